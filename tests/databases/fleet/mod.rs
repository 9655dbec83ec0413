//! 50 hosts that share a Prometheus and a database: what is counted, stored and shown is what was sent to each host.

mod hosts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use self::hosts::{EndOfLoad, FABRIC, Fleet, HOSTS, Kind, Sent, Traffic, host_name};
use crate::support::{
    dashboards::{Choice, Dashboard, Query, expression, fill},
    data_sources::{DataSources, config_with_every_metric, now, rule_files},
    mariadb::MariaDb,
    program::{Exporter, Prometheus, open_to_all, samples, sum, wait_for, whole},
};

/// The host whose exporter is killed.
const VICTIM: usize = 17;

/// The scrape interval.
const INTERVAL: &str = "3s";

/// The load: a packet to each host in each interval.
const LOAD: Duration = Duration::from_millis(50);

/// Panels that can be empty, each with the reason.
const MAY_BE_EMPTY: [(&str, &str); 1] =
    [("Firing alerts (unfiltered)", "an alert waits for minutes before it fires")];

/// The exporters of a fleet with their configurations.
struct Exporters<'f> {
    fleet: &'f Fleet,
    configs: Vec<String>,
    web: String,
    running: Vec<Exporter<'f>>,
    _directories: Vec<TempDir>,
}

impl<'f> Exporters<'f> {
    /// Starts all exporters at the same time, with an empty database.
    fn start(fleet: &'f Fleet, maria: &MariaDb) -> Self {
        maria.query(
            "mysql",
            "CREATE DATABASE log; CREATE USER nflog IDENTIFIED BY 'secret'; GRANT ALL ON log.* TO nflog",
        );
        open_to_all(maria.directory());
        let url = format!(
            "mysql://nflog:secret@{FABRIC}:{}/log?sslrootcert={}",
            maria.port(),
            maria.directory().join("ca.pem").display()
        );
        let directories: Vec<_> = (0..HOSTS).map(|_| tempfile::tempdir().unwrap()).collect();
        let config = |(number, directory): (usize, &TempDir)| {
            let web = "[web]\nlisten_addresses = ['0.0.0.0:10239']\n";
            config_with_every_metric(&url, &host_name(number), directory.path()) + web
        };
        let configs: Vec<_> = directories.iter().enumerate().map(config).collect();
        let web = directories[0].path().join("web.yml");
        fs::write(&web, "{}").unwrap();
        let web = web.display().to_string();
        let mut exporters =
            Self { fleet, configs, web, running: Vec::new(), _directories: directories };
        exporters.running = (0..HOSTS).map(|number| exporters.spawn(number)).collect();
        exporters
    }

    fn spawn(&self, number: usize) -> Exporter<'f> {
        let arguments = ["--web.config.file", &self.web];
        Exporter::spawn(&self.fleet.hosts[number], &self.configs[number], &arguments)
    }

    /// Waits until the metrics of each exporter have this state.
    fn wait_for(&self, what: &str, holds: impl Fn(usize, &str) -> bool) {
        for (number, exporter) in self.running.iter().enumerate() {
            wait_for(&format!("{what}, host {number}"), || {
                let (_, text) = exporter.get("/metrics")?;
                holds(number, &text).then_some(())
            });
        }
    }

    /// Kills the exporter of a host, and starts it again.
    fn kill(&mut self, number: usize) {
        self.running[number].program.signal(Signal::SIGKILL);
        self.running[number].program.wait();
        self.running[number] = self.spawn(number);
    }
}

/// Rows in the database and packets in the metrics of each host, by kind.
type Counts = BTreeMap<usize, BTreeMap<Kind, u64>>;

#[test]
fn fifty_hosts_share_a_prometheus_and_a_database() {
    let fleet = &Fleet::new();
    let maria = &MariaDb::start_in(&fleet.fabric, FABRIC);
    let mut exporters = Exporters::start(fleet, maria);
    let targets = tempfile::tempdir().unwrap();
    let prometheus = &start_prometheus(fleet, targets.path());

    exporters.wait_for("rows to be accepted", |_, text| sum(text, "nflog_exporter_mirror_up") == 1);
    check_start(&exporters, maria);
    // Until its first scrape, the fetches of this test would let new series leave zero.
    wait_for("the first scrape of each host", || {
        let up = prometheus.query("sum(up)")?;
        (whole(up.first()?.1) == HOSTS as u64).then_some(())
    });

    let traffic = &Traffic::default();
    let killed = std::thread::scope(|scope| {
        for host in 0..HOSTS {
            fleet.burst(traffic, host, |kind| 10 + host * (kind + 1));
        }
        scope.spawn(|| fleet.load(traffic, LOAD));
        let _end = EndOfLoad(traffic);
        kill_one(&mut exporters, prometheus, maria, traffic)
    });

    let sent = traffic.lock();
    check_counts(&exporters, &sent, &killed);
    check_rows(maria, &sent);
    check_prometheus(prometheus, &sent, &killed);
    let sources = &DataSources { prometheus, maria, postgres: None, clickhouse: None };
    check_dashboards(sources, &sent);
    print_cost(&exporters, prometheus, maria);
}

/// A Prometheus in the fabric, which finds the hosts by a file with their names.
fn start_prometheus<'f>(fleet: &'f Fleet, directory: &Path) -> Prometheus<'f> {
    let names: Vec<_> = (0..HOSTS).map(|number| format!("{}:10239", host_name(number))).collect();
    let file = directory.join("hosts.yml");
    fs::write(&file, format!("- targets: {names:?}\n")).unwrap();
    Prometheus::start_with_targets(&fleet.fabric, INTERVAL, &rule_files(), &file)
}

/// The exporters created the schema together, without an error, and each has one connection.
fn check_start(exporters: &Exporters<'_>, maria: &MariaDb) {
    for (number, exporter) in exporters.running.iter().enumerate() {
        let log = exporter.program.log();
        let complaint = log.lines().find(|line| {
            // The families `list` and `asn` have labels that need conntrack and an ASN database.
            ["level=warn", "level=error"].iter().any(|level| line.contains(level))
                && !["family.list.labels", "family.asn.labels"].iter().any(|key| line.contains(key))
        });
        assert_eq!(complaint, None, "host {number}");
    }
    let count = |sql: &str| maria.query("log", sql);
    assert_eq!(
        count("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'nflog'"),
        HOSTS.to_string()
    );
    // Yesterday, today, three days ahead, and the rest.
    let partitions = "SELECT COUNT(*) FROM information_schema.partitions \
                      WHERE table_schema = 'log' AND table_name = 'packets'";
    assert_eq!(count(partitions), "6");
}

/// Kills the exporter of a host while its rows wait for the database, and all other hosts get packets. Returns how many
/// packets it had counted.
fn kill_one(
    exporters: &mut Exporters<'_>,
    prometheus: &Prometheus<'_>,
    maria: &MariaDb,
    traffic: &Traffic,
) -> BTreeMap<Kind, u64> {
    maria.stop();
    exporters.fleet.burst(traffic, VICTIM, |_| 500);
    let before = {
        let mut sent = traffic.lock();
        sent.paused = Some(VICTIM);
        sent.packets[&VICTIM].clone()
    };
    let victim = &exporters.running[VICTIM];
    let expected: u64 = before.values().sum();
    let waiting = wait_for("the rows in the spool", || {
        let text = victim.scrape();
        let is_spooled = sum(&text, "nflog_exporter_received_packets_total") == expected
            && sum(&text, "nflog_exporter_mirror_queued_rows") == 0;
        is_spooled.then(|| sum(&text, "nflog_exporter_mirror_spooled_rows"))
    });
    assert!(waiting >= 2_000, "{waiting}");
    // What was counted since the last scrape would be lost with the process.
    wait_for("a scrape of all packets", || {
        let selector =
            format!("sum(nflog_packets_total{{instance='{}:10239'}})", host_name(VICTIM));
        let shown = whole(prometheus.query(&selector)?.first()?.1);
        (shown == expected).then_some(())
    });
    exporters.kill(VICTIM);
    wait_for("the new exporter", || {
        exporters.running[VICTIM].get("/-/ready").filter(|(status, _)| *status == 200)
    });
    maria.cont();
    traffic.lock().paused = None;
    // The other exporters and the new one deliver what has waited, and what arrives meanwhile.
    exporters.wait_for("the rows that waited", |_, text| {
        sum(text, "nflog_exporter_mirror_written_rows_total") > 0
            && samples(text, "nflog_exporter_mirror_lag_seconds")[0].1 < 2.0
    });
    before
}

/// What the exporters count is what was sent, by host and kind. The killed one counts what was sent since.
fn check_counts(exporters: &Exporters<'_>, sent: &Sent, killed: &BTreeMap<Kind, u64>) {
    let mut expected = sent.packets.clone();
    subtract(expected.get_mut(&VICTIM).unwrap(), killed);
    exporters.wait_for("all packets", |number, text| {
        let packets: u64 = expected[&number].values().sum();
        let recovered = sum(text, "nflog_exporter_mirror_recovered_rows_total");
        sum(text, "nflog_packets_total") == packets
            && sum(text, "nflog_exporter_mirror_written_rows_total") == packets + recovered
    });
    for (number, exporter) in exporters.running.iter().enumerate() {
        let text = exporter.scrape();
        let counted = by_kind(samples(&text, "nflog_packets_total"));
        assert_eq!(counted, expected[&number], "host {number}");
        assert_eq!(sum(&text, "nflog_exporter_lost_packets_total"), 0, "host {number}");
        assert_eq!(exporters.fleet.hosts[number].counter("logged"), sent.to(number));
    }
}

fn subtract(from: &mut BTreeMap<Kind, u64>, counts: &BTreeMap<Kind, u64>) {
    for (kind, count) in counts {
        *from.get_mut(kind).unwrap() -= count;
    }
    from.retain(|_, count| *count > 0);
}

/// Sums of a metric with the labels of the family `traffic`.
fn by_kind(
    samples: impl IntoIterator<Item = (BTreeMap<String, String>, f64)>,
) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    // The series of packets with folded labels are 0.
    for (labels, value) in samples.into_iter().filter(|(_, value)| *value > 0.0) {
        let kind = kind(&labels["prefix"], &labels["proto"], labels.get("port"));
        *counts.entry(kind).or_default() += whole(value);
    }
    counts
}

fn kind(prefix: &str, proto: &str, port: Option<&String>) -> Kind {
    let port = port.filter(|port| !port.is_empty()).map(|port| port.parse().unwrap());
    let known = |words: &[&'static str], word: &str| {
        *words.iter().find(|known| **known == word).unwrap_or_else(|| panic!("{word}"))
    };
    let proto = known(&["tcp", "udp", "icmp"], proto);
    let number = match proto {
        "tcp" => 6,
        "udp" => 17,
        _ => 1,
    };
    (known(&["ssh:", "tcp", "udp", "ping"], prefix), proto, number, port)
}

/// Each packet is one row of its host.
fn check_rows(maria: &MariaDb, sent: &Sent) {
    let rows = maria.query(
        "log",
        "SELECT host, prefix, CASE protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE 'icmp' END, \
         IFNULL(destination_port, ''), COUNT(*), COUNT(DISTINCT source_port) \
         FROM packets GROUP BY 1, 2, 3, 4",
    );
    let mut found = Counts::new();
    for row in rows.lines() {
        let columns: Vec<_> = row.split('\t').collect();
        let number = (0..HOSTS).find(|number| host_name(*number) == columns[0]).unwrap();
        let kind = kind(columns[1], columns[2], Some(&columns[3].to_owned()));
        if kind.3.is_some() {
            assert_eq!(columns[4], columns[5], "a packet has two rows: {row}");
        }
        found.entry(number).or_default().insert(kind, columns[4].parse().unwrap());
    }
    assert_eq!(found, sent.packets);
}

/// What Prometheus shows and what it sums up over the restart is what was sent.
fn check_prometheus(prometheus: &Prometheus<'_>, sent: &Sent, killed: &BTreeMap<Kind, u64>) {
    let total = |host: usize| sent.to(host);
    let all: u64 = (0..HOSTS).map(total).sum();
    let lost_with_the_process: u64 = killed.values().sum();
    wait_for("all packets in Prometheus", || {
        let shown = prometheus.query("sum(nflog_packets_total)")?;
        (whole(shown.first()?.1) == all - lost_with_the_process).then_some(())
    });
    let increases = prometheus.increase("nflog_packets_total[10m]");
    for number in 0..HOSTS {
        let of_host = increases.iter().filter(|(labels, _)| labels["instance"] == instance(number));
        assert_eq!(by_kind(of_host.cloned()), sent.packets[&number], "host {number}");
    }
}

/// The label `instance` of a host.
fn instance(number: usize) -> String {
    format!("{}:10239", host_name(number))
}

/// Every statement of the dashboards has a result, for all hosts and for one; those by host have a result for each.
fn check_dashboards(sources: &DataSources<'_>, sent: &Sent) {
    let now = now();
    let one = Choice::from([
        ("job", vec!["nflog".to_owned()]),
        ("instance", vec![instance(VICTIM)]),
        ("host", vec![host_name(VICTIM)]),
    ]);
    let (mut asked, mut wrong) = (0, Vec::new());
    for dashboard in Dashboard::all() {
        // No host sends lines by syslog.
        let is_of_senders = dashboard.uid() == "nflog-senders";
        if is_of_senders || !dashboard.targets().iter().all(|query| sources.has(query)) {
            continue;
        }
        for choice in [&Choice::new(), &one] {
            let choice = sources.derived(&dashboard, choice, now);
            let results = sources.check(&dashboard, &choice, now, |title| {
                MAY_BE_EMPTY.iter().any(|(panel, _)| *panel == title)
            });
            asked += results.asked;
            wrong.extend(results.wrong);
        }
        let all = sources.derived(&dashboard, &Choice::new(), now);
        for query in dashboard.targets() {
            let hosts = hosts_of(sources, &query, &fill(&dashboard, &query, &all, now));
            if ![0, HOSTS].contains(&hosts) {
                wrong.push(format!("{}: {hosts} hosts", query.place));
            }
        }
        check_variables(sources, &dashboard, sent, now);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(asked > 150, "{asked} statements");
}

/// The number of different hosts in a result; 0 if it is not by host.
fn hosts_of(sources: &DataSources<'_>, query: &Query, text: &str) -> usize {
    if query.source != "prometheus" || text.contains("topk") {
        return 0;
    }
    let answer = sources.prometheus.query(text).unwrap();
    let instances: BTreeSet<_> =
        answer.iter().filter_map(|(labels, _)| labels.get("instance")).collect();
    instances.len()
}

/// The variables list each host, a selected instance is the host of its rows, and totals are those of all hosts or one.
fn check_variables(sources: &DataSources<'_>, dashboard: &Dashboard, sent: &Sent, now: u64) {
    let names: BTreeSet<_> = (0..HOSTS).map(host_name).collect();
    let all = sources.derived(dashboard, &Choice::new(), now);
    match dashboard.uid() {
        "nflog-overview" => {
            let variables = dashboard.variable_queries();
            let host = variables.iter().find(|query| query.place.ends_with("variable host"));
            let text = expression(&host.unwrap().text).to_owned();
            let query = Query { text, ..dashboard.variable_queries().remove(0) };
            let selected = |number| {
                let mut choice = all.clone();
                choice.insert("instance", vec![instance(number)]);
                let text = fill(dashboard, &query, &choice, now);
                sources.prometheus.query(&text).unwrap()[0].0["instance"].clone()
            };
            assert!((0..HOSTS).all(|number| selected(number) == instance(number)));
        }
        "nflog-health" => {
            let targets = dashboard.targets();
            let query = targets.iter().find(|query| query.place.ends_with(": Exporters")).unwrap();
            let text = fill(dashboard, query, &all, now);
            let (labels, _) = sources.prometheus.query(&text).unwrap().remove(0);
            assert_eq!(labels["up"], HOSTS.to_string());
            assert_eq!(labels["all"], HOSTS.to_string());
        }
        "nflog-drilldown-mysql" => {
            for query in dashboard.variable_queries() {
                if query.place.ends_with("variable host") {
                    let text = fill(dashboard, &query, &all, now);
                    let listed = sources.lines(&query.source, &text);
                    assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), names);
                }
            }
            let targets = dashboard.targets();
            let totals = targets.iter().find(|query| query.place.ends_with("Totals")).unwrap();
            let packets = |choice: &Choice<'_>| {
                let answer = sources.lines(&totals.source, &fill(dashboard, totals, choice, now));
                answer.split('\t').next().unwrap().parse::<u64>().unwrap()
            };
            assert_eq!(packets(&all), (0..HOSTS).map(|host| sent.to(host)).sum::<u64>());
            let mut one = all.clone();
            one.insert("host", vec![host_name(VICTIM)]);
            assert_eq!(packets(&one), sent.to(VICTIM));
        }
        _ => {}
    }
}

/// Prints what a host costs; `docs/many-hosts.md` has these values.
fn print_cost(exporters: &Exporters<'_>, prometheus: &Prometheus<'_>, maria: &MariaDb) {
    let value = |expression: &str| prometheus.query(expression).unwrap()[0].1;
    println!(
        "samples per host: {} to {}; scrape duration: at most {} s, average {} s; rows {}, {}, {}",
        value("min(scrape_samples_scraped)"),
        value("max(scrape_samples_scraped)"),
        value("max(max_over_time(scrape_duration_seconds[10m]))"),
        value("avg(avg_over_time(scrape_duration_seconds[10m]))"),
        maria.query("log", "SELECT COUNT(*) FROM packets"),
        maria.query("log", "SHOW STATUS LIKE 'Max_used_connections'"),
        maria.query("log", "SHOW GLOBAL STATUS LIKE 'Com_commit'"),
    );
    let memory = exporters.running.iter().map(|exporter| {
        whole(samples(&exporter.scrape(), "process_resident_memory_bytes")[0].1) >> 20
    });
    println!("memory of the exporters, MiB: {:?}", memory.collect::<Vec<_>>());
}
