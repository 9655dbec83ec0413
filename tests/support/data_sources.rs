//! The data sources of the dashboards: a real Prometheus, and real databases with the rows of exporters that have every
//! metric.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    clickhouse::ClickHouseServer,
    dashboards::{Choice, Dashboard, Query, expression, fill, label_values},
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::{Prometheus, open_to_all},
};

/// The data sources that run the statements.
pub struct DataSources<'s> {
    pub prometheus: &'s Prometheus<'s>,
    pub maria: &'s MariaDb,
    pub postgres: Option<&'s PostgresServer>,
    pub clickhouse: Option<&'s ClickHouseServer>,
}

/// The results of all statements of a dashboard.
#[derive(Default)]
pub struct Results {
    /// The number of statements.
    pub asked: usize,
    /// The statements without a result.
    pub wrong: Vec<String>,
}

impl DataSources<'_> {
    /// Whether a statement can be run.
    pub fn has(&self, query: &Query) -> bool {
        match query.source.as_str() {
            "postgres" | "grafana-postgresql-datasource" => self.postgres.is_some(),
            "grafana-clickhouse-datasource" => self.clickhouse.is_some(),
            _ => true,
        }
    }

    /// Runs each statement of a dashboard with a selection. Panels with a title that may be empty need no result, nor do
    /// statements about the period before the time range, in which nothing was counted yet.
    pub fn check(
        &self,
        dashboard: &Dashboard,
        choice: &Choice<'_>,
        now: u64,
        may_be_empty: impl Fn(&str) -> bool,
    ) -> Results {
        let mut results = Results::default();
        for query in dashboard.targets() {
            let title = query.place.split_once(": ").unwrap().1;
            let text = fill(dashboard, &query, choice, now);
            results.asked += 1;
            let is_earlier = query.text.contains(" offset $__range");
            if self.answers(&query, &text) == 0 && !is_earlier && !may_be_empty(title) {
                results.wrong.push(format!("{}: no result of\n{text}", query.place));
            }
        }
        for query in dashboard.variable_queries() {
            results.asked += 1;
            if label_values(&query.text).is_some() {
                if self.values(dashboard, &query, choice, now).is_empty() {
                    results.wrong.push(format!("{}: no value of {}", query.place, query.text));
                }
                continue;
            }
            let inner = Query { text: expression(&query.text).to_owned(), ..query };
            if self.answers(&inner, &fill(dashboard, &inner, choice, now)) == 0 {
                results.wrong.push(format!("{}: no value", inner.place));
            }
        }
        results
    }

    /// The number of series or rows in the result. Panics on an error.
    pub fn answers(&self, query: &Query, text: &str) -> usize {
        if query.source == "prometheus" {
            let answer = self.prometheus.query(text).expect("Prometheus answers");
            return answer.iter().filter(|(_, value)| !value.is_nan()).count();
        }
        self.lines(&query.source, text).lines().count()
    }

    /// Runs SQL in the database of a type of data source: one line for each row.
    pub fn lines(&self, source: &str, sql: &str) -> String {
        match source {
            // Grafana's session, with the default mode of MySQL 8.
            "mysql" => self.maria.query("log", &format!(
                "SET time_zone = '+00:00', sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'; {sql}"
            )),
            "grafana-clickhouse-datasource" => self.clickhouse.unwrap().query("log", sql),
            _ => self.postgres.unwrap().psql("log", sql),
        }
    }

    /// The values of a label, as Grafana queries them.
    pub fn values(
        &self,
        dashboard: &Dashboard,
        query: &Query,
        choice: &Choice<'_>,
        now: u64,
    ) -> Vec<String> {
        let (metric, label) = label_values(&query.text).expect("label_values");
        let metric = Query {
            place: query.place.clone(),
            text: metric.to_owned(),
            source: query.source.clone(),
        };
        let count = format!("count by ({label}) ({})", fill(dashboard, &metric, choice, now));
        let answer = self.prometheus.query(&count).expect("Prometheus answers");
        answer.into_iter().map(|(labels, _)| labels[label].clone()).collect()
    }

    /// The selection with the hidden variables that follow from it, and all values if nothing is
    /// selected and the dashboard has no pattern for all.
    pub fn derived<'c>(&self, dashboard: &Dashboard, choice: &Choice<'c>, now: u64) -> Choice<'c> {
        let mut choice = choice.clone();
        for query in dashboard.variable_queries() {
            for name in ["job", "instance"] {
                if query.source == "prometheus"
                    && query.place.ends_with(&format!("variable {name}"))
                    && !choice.contains_key(name)
                {
                    choice.insert(name, self.values(dashboard, &query, &choice, now));
                }
            }
            for name in ["network_first", "network_last", "index"] {
                if query.place.ends_with(&format!("variable {name}")) {
                    let value = self.lines(&query.source, &fill(dashboard, &query, &choice, now));
                    choice.insert(name, vec![value]);
                }
            }
        }
        choice
    }
}

/// The address at which [`config_with_every_metric`] receives syslog messages.
pub const SYSLOG: &str = "127.0.0.1:5140";

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The rule files that Prometheus loads.
pub fn rule_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts");
    ["nflog_exporter.rules.yml", "nflog_exporter.recording.rules.yml"]
        .map(|file| directory.join(file))
        .into()
}

/// The configuration of a host with every source and every kind of file, so that each metric exists. Its files are in
/// the directory.
pub fn config_with_every_metric(url: &str, host: &str, directory: &Path) -> String {
    for (name, content) in
        [("list", "0.0.0.0/1\n128.0.0.0/1\n"), ("networks", "192.168.0.0/16, office\n")]
    {
        fs::write(directory.join(name), content).unwrap();
    }
    let asn = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/geoip/GeoLite2-ASN-Test.mmdb");
    fs::copy(asn, directory.join("asn.mmdb")).unwrap();
    open_to_all(directory);
    let directory = directory.display();
    format!(
        "[nflog]\ngroups = [1]\n[kernel_log]\nfiles = ['{directory}/kern.log']\nsyslog = ['udp://{SYSLOG}']\nstate_file = '{directory}/state/positions'\n\
         [geoip]\ndatabases = ['{directory}/asn.mmdb']\n\
         [[family]]\nname = 'list'\nlabels = ['list', 'prefix', 'ct_state']\n\
         [[family]]\nname = 'asn'\nlabels = ['prefix', 'asn']\n\
         [[family]]\nname = 'host'\nlabels = ['host', 'prefix', 'country']\n\
         [networks]\nfile = '{directory}/networks'\n[[list]]\nname = 'drop'\nfile = '{directory}/list'\n\
         [[output]]\nname = 'json'\ntarget = 'file://{directory}/packets.json'\n\
         [mirror]\nurl = '{url}'\nhost = '{host}'\n[mirror.spool]\ndirectory = '{directory}/spool'\n"
    )
}
