//! Every query of every dashboard, run on a real Prometheus and on real databases with the metrics and rows that
//! a running exporter made of packets on a wire. Requires root, Prometheus, MariaDB, PostgreSQL, and
//! PyPI's chdb.

use std::{collections::BTreeSet, fs, net::UdpSocket, path::Path};

use crate::support::{
    Namespace, Wire,
    clickhouse::ClickHouseServer,
    dashboards::{Choice, Dashboard, RANGE, fill, metrics},
    data_sources::{DataSources, SYSLOG, config_with_every_metric, now, rule_files},
    frame,
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    program::{Exporter, Prometheus, sum, wait_for},
};

/// Panels that can be empty, each with the reason.
const MAY_BE_EMPTY: [(&str, &str); 2] = [
    ("Firing alerts (unfiltered)", "an alert waits for minutes before it fires"),
    ("Senders without packets", "no sender is silent"),
];

/// The dashboard of the hosts that send lines by syslog, which has data only after [`check_senders`] sent some.
const SENDERS: &str = "nflog-senders";

/// Panels that are empty if one country, port, prefix and network is selected.
const EMPTY_OF_ONE: [(&str, &str); 2] = [
    ("Not on the map", "the selected country has coordinates"),
    ("Scans", "only one port is selected"),
];

const RULES: &str = "
    table inet t {
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 tcp dport 22 log prefix \"ssh: \" group 1 drop
            iifname wan0 tcp dport 1-65535 log prefix \"tcp it's \" group 1 drop
            iifname wan0 meta l4proto udp log prefix \"udp\" group 1 drop
            iifname wan0 icmp type echo-request log prefix \"ping\" group 1 drop
            iifname wan0 icmpv6 type echo-request log prefix \"ping\" group 1 drop
        }
    }
";

/// A source in the selected network, and one that scans.
const CHOSEN: [u8; 4] = [133, 11, 0, 7];
const SCANNER: [u8; 4] = [130, 75, 1, 1];

/// Several countries, addresses without one, ports, protocols and prefixes.
fn packets() -> Vec<Vec<u8>> {
    let sources =
        [CHOSEN, [200, 160, 2, 3], [193, 0, 6, 139], SCANNER, [18, 7, 22, 1], [10, 1, 2, 3]];
    let mut frames = Vec::new();
    for _ in 0..20 {
        for source in sources {
            for port in [22, 80, 443] {
                frames.push(frame::syn(source, 40_000, port));
            }
            frames.push(frame::udp(source, 40_000, 53, b"x"));
            frames.push(frame::ping(source));
        }
        let v6 = [0x20, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        frames.push(frame::syn_v6(v6, 40_000, 22));
        frames.push(frame::ping_v6(v6));
    }
    frames.extend((8000..8040).map(|port| frame::syn(SCANNER, 40_000, port)));
    frames
}

/// Selections of a user, from all values to hostile input.
fn choices() -> Vec<(&'static str, Choice<'static>)> {
    let chosen = |pairs: &[(&'static str, &[&str])]| -> Choice<'static> {
        pairs.iter().map(|(n, v)| (*n, v.iter().map(|&v| v.to_owned()).collect())).collect()
    };
    vec![
        ("all", Choice::new()),
        (
            "one of each",
            chosen(&[
                ("job", &["nflog"]),
                ("instance", &["127.0.0.1:10239"]),
                ("host", &["gate.example.net"]),
                ("prefix", &["ssh:"]),
                ("country", &["JP"]),
                ("port", &["22"]),
                ("network", &["133.11.0.0/24"]),
            ]),
        ),
    ]
}

/// Waits until all packets are counted and written.
fn settle(exporter: &Exporter<'_>, sent: u64) {
    wait_for("every packet to be counted and written", || {
        let text = exporter.scrape();
        [
            "nflog_packets_total",
            "nflog_network_packets_total",
            "nflog_country_packets_total",
            "nflog_exporter_mirror_written_rows_total",
        ]
        .iter()
        .all(|metric| sum(&text, metric) == sent)
        .then_some(())
    });
}

/// Runs `work` after packets of a host are in all databases and in Prometheus.
fn on_a_busy_host(work: impl FnOnce(&DataSources<'_>, &str, &Namespace)) {
    let maria = MariaDb::start();
    maria.query("mysql", "CREATE DATABASE log");
    let postgres = PostgresServer::start();
    postgres.psql("postgres", "CREATE DATABASE log");
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let wires = [Wire::new(), Wire::new(), Wire::new()];
    let clickhouse = ClickHouseServer::start_in(&wires[2].host);
    clickhouse.query("default", "CREATE DATABASE log");
    let urls = [
        format!("mysql://root@localhost/log?socket={}", maria.socket().display()),
        format!(
            "postgres://postgres@localhost:{}/log?host={}",
            postgres.port(),
            postgres.directory().display()
        ),
        clickhouse.url("log"),
    ];
    for wire in &wires {
        wire.host.nft(RULES);
    }
    // A database file that is never looked up, so that the metrics of such files exist.
    let directory = tempfile::tempdir().unwrap();
    crate::support::program::open_to_all(directory.path());
    let web = directory.path().join("web.yml").display().to_string();
    fs::write(&web, "{}").unwrap();
    let start = |number: usize| {
        let arguments = ["--web.config.file", &web];
        let directory = directories[number].path();
        let config = config_with_every_metric(&urls[number], "gate.example.net", directory);
        Exporter::start(&wires[number].host, &config, &arguments)
    };
    let exporters = [start(0), start(1), start(2)];
    let prometheus = Prometheus::start_with_rules(&wires[0].host, &rule_files());
    let sent = packets().len() as u64;
    for wire in &wires {
        assert_eq!(wire.send(packets()), sent);
    }
    settle(&exporters[1], sent);
    settle(&exporters[2], sent);
    wait_for("all packets in Prometheus", || {
        let growth = prometheus.growth("nflog_packets_total[5m]");
        let total: f64 = growth.iter().map(|(_, value)| value).sum();
        let whole = u32::try_from(sent).unwrap().into();
        (total >= whole).then_some(())
    });
    settle(&exporters[0], sent);
    let sources = DataSources {
        prometheus: &prometheus,
        maria: &maria,
        postgres: Some(&postgres),
        clickhouse: Some(&clickhouse),
    };
    work(&sources, &exporters[0].scrape(), &wires[0].host);
}

#[test]
fn every_statement_has_a_result() {
    on_a_busy_host(|sources, scrape, host| {
        let mut wrong = names_that_do_not_exist(sources, scrape);
        let mut asked = 0;
        for (label, choice) in choices() {
            let now = now();
            let may_be_empty = |title: &str| {
                let among =
                    |panels: &[(&str, &str)]| panels.iter().any(|(panel, _)| *panel == title);
                among(&MAY_BE_EMPTY) || label != "all" && among(&EMPTY_OF_ONE)
            };
            for dashboard in Dashboard::all().into_iter().filter(|each| each.uid() != SENDERS) {
                let choice = sources.derived(&dashboard, &choice, now);
                let results = sources.check(&dashboard, &choice, now, may_be_empty);
                asked += results.asked;
                wrong.extend(results.wrong.into_iter().map(|what| format!("{label}: {what}")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert!(asked > 100, "{asked} statements");
        check_exporters(sources);
        check_as_names(sources);
        check_figures(sources);
        check_runbooks(sources);
        check_senders(sources, host);
        let rules = sources.prometheus.rules();
        for (name, expression, error) in &rules {
            assert_eq!(error, "", "{name}");
            // Some rules are evaluated only every few minutes.
            sources.prometheus.query(expression).unwrap();
        }
        assert!(rules.len() > 40, "{} rules", rules.len());
    });
}

/// Checks the text of the number of exporters, with and without an exporter.
fn check_exporters(sources: &DataSources<'_>) {
    let all = Dashboard::all();
    let health = all.iter().find(|each| each.uid() == "nflog-health").unwrap();
    let targets = health.targets();
    let query = targets.iter().find(|query| query.place.ends_with(": Exporters")).unwrap();
    for (job, expected) in [("nflog", "1 of 1"), ("none", "0 of 0")] {
        let chosen = [("job", job), ("instance", "127.0.0.1:10239")];
        let choice = chosen.map(|(name, value)| (name, vec![value.to_owned()])).into();
        let answer = sources.prometheus.query(&fill(health, query, &choice, now())).unwrap();
        let texts: Vec<_> = answer
            .iter()
            .map(|(labels, _)| format!("{} of {}", labels["up"], labels["all"]))
            .collect();
        assert_eq!(texts, [expected], "{job}");
    }
}

/// Checks that autonomous systems have their names in the ASN database.
fn check_as_names(sources: &DataSources<'_>) {
    let all = Dashboard::all();
    let overview = all.iter().find(|each| each.uid() == "nflog-overview").unwrap();
    let choice = sources.derived(overview, &Choice::new(), now());
    let targets = overview.targets();
    let of_systems = targets.iter().filter(|query| query.text.contains("nflog_asn_info"));
    let mut asked = 0;
    for query in of_systems {
        asked += 1;
        let answer = sources.prometheus.query(&fill(overview, query, &choice, now())).unwrap();
        let mut names: Vec<_> = answer
            .iter()
            .map(|(labels, _)| (&*labels["asn"], labels.get("name").map(String::as_str)))
            .collect();
        names.sort_unstable();
        let known = ("3", Some("Massachusetts Institute of Technology"));
        assert_eq!(names, [known, ("private", None), ("unknown", None)], "{}", query.place);
    }
    assert_eq!(asked, 2);
}

/// Sends lines of a host by syslog, and checks the dashboard of such hosts.
fn check_senders(sources: &DataSources<'_>, namespace: &Namespace) {
    let line = "<4>Nov 23 12:00:00 router kernel: ssh: IN=wan OUT= SRC=133.11.0.7 DST=198.51.100.1 LEN=44 TTL=60 \
                PROTO=TCP SPT=40000 DPT=22 SYN";
    namespace.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            socket.send_to(line.as_bytes(), SYSLOG).unwrap();
        }
    });
    wait_for("the lines in Prometheus", || {
        let lines = sources.prometheus.increase("nflog_host_packets_total{host='router'}[5m]");
        (lines.iter().map(|(_, value)| value).sum::<f64>() >= 20.0).then_some(())
    });
    let all = Dashboard::all();
    let dashboard = all.iter().find(|each| each.uid() == SENDERS).unwrap();
    let may_be_empty = |title: &str| MAY_BE_EMPTY.iter().any(|(panel, _)| *panel == title);
    for host in [None, Some("router")] {
        let chosen = host.map(|host| ("host", vec![host.to_owned()]));
        let choice = sources.derived(dashboard, &chosen.into_iter().collect(), now());
        let results = sources.check(dashboard, &choice, now(), may_be_empty);
        assert!(results.wrong.is_empty(), "{host:?}: {}", results.wrong.join("\n\n"));
        assert!(results.asked > 15, "{} statements", results.asked);
    }
    let senders = dashboard.variable_queries();
    let senders = senders.iter().find(|query| query.place.ends_with("variable host")).unwrap();
    let choice = sources.derived(dashboard, &Choice::new(), now());
    assert_eq!(sources.values(dashboard, senders, &choice, now()), ["router"]);
}

/// Checks that each metric is in a scrape or in a recording rule.
fn names_that_do_not_exist(sources: &DataSources<'_>, scrape: &str) -> Vec<String> {
    let recorded =
        sources.prometheus.query(r#"count by (__name__) ({__name__=~".+:.+"})"#).unwrap();
    let mut known: BTreeSet<String> =
        recorded.into_iter().map(|(labels, _)| labels["__name__"].clone()).collect();
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    known.extend(samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()));
    let mut missing = Vec::new();
    for dashboard in Dashboard::all() {
        let mut queries = dashboard.targets();
        queries.extend(dashboard.variable_queries());
        queries.extend(dashboard.annotation_queries());
        for query in queries.iter().filter(|query| query.source == "prometheus") {
            let names = metrics(&query.text).into_iter();
            let unknown = names.filter(|name| !known.contains(*name));
            missing.extend(
                unknown.map(|name| format!("{}: the metric {name} does not exist", query.place)),
            );
        }
    }
    missing
}

/// Runs the queries of the runbooks.
fn check_runbooks(sources: &DataSources<'_>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/README.md");
    let (mut expressions, mut statements) = (0, 0);
    for code in fs::read_to_string(file).unwrap().split('`').skip(1).step_by(2) {
        let text = [("HOST", "127.0.0.1:10239"), ("PREFIX", "ssh:"), ("XX", "JP"), ("PORT", "22")]
            .iter()
            .fold(code.to_owned(), |text, (name, value)| text.replace(name, value));
        if code.starts_with("SELECT") {
            statements += 1;
            assert_ne!(sources.lines("mysql", &text), "", "{code}");
        } else if code.contains("{instance=") || code.starts_with("up{") {
            expressions += 1;
            let answer = sources.prometheus.query(&text).unwrap();
            assert!(!answer.is_empty(), "{code}");
        }
    }
    assert!(expressions > 15 && statements > 2, "{expressions} and {statements}");
}

/// Checks that selections filter the packets of a drill-down.
fn check_figures(sources: &DataSources<'_>) {
    let all = packets().len().to_string();
    let none = "'; DROP TABLE packets; -- ";
    // The country `other` selects any country; an invalid port or network selects all.
    let expected: [(&str, &str, &str); 17] = [
        ("country", "JP", "140"),
        ("country", "private", "100"),
        ("country", "other", &all),
        ("country", none, "0"),
        ("prefix", "ssh:", "140"),
        ("prefix", "tcp it's", "280"),
        ("port", "22", "140"),
        ("port", "53", "120"),
        ("port", "other", &all),
        ("port", none, &all),
        ("network", "133.11.0.0/24", "100"),
        ("network", "133.11.0.7", "100"),
        ("network", "128.0.0.0/5", "240"),
        ("network", "2001:200::/47", "40"),
        ("network", "2001:200::/48", "40"),
        ("network", "2001:200::8", "0"),
        ("network", none, &all),
    ];
    let now = now();
    for dashboard in Dashboard::all().iter().filter(|each| each.uid().contains("drilldown")) {
        let targets = dashboard.targets();
        let total = targets.iter().find(|query| query.place.ends_with("Totals")).unwrap();
        for (variable, value, expected) in expected {
            let choice = Choice::from([(variable, vec![value.to_owned()])]);
            let choice = sources.derived(dashboard, &choice, now);
            let answer = sources.lines(&total.source, &fill(dashboard, total, &choice, now));
            let packets = answer.split(['\t', '|']).next().unwrap();
            assert_eq!(packets, expected, "{}: {variable} = {value}", dashboard.file);
            for query in dashboard.targets() {
                sources.answers(&query, &fill(dashboard, &query, &choice, now));
            }
        }
        check_columns(sources, dashboard, now);
        let scans = targets.iter().find(|query| query.place.ends_with("Scans")).unwrap();
        let choice = sources.derived(dashboard, &Choice::new(), now);
        let answer = sources.lines(&scans.source, &fill(dashboard, scans, &choice, now));
        let columns: Vec<_> = answer.split(['\t', '|']).take(5).collect();
        assert_eq!(columns, ["130.75.1.1", "look up", "🇩🇪", "DE", "44"], "{answer}");
    }
}

/// Checks the flags of countries, the links of addresses with the variable on and off, and the totals of the period
/// before the time range.
fn check_columns(sources: &DataSources<'_>, dashboard: &Dashboard, now: u64) {
    let targets = dashboard.targets();
    let answer = |panel: &str, choice: Choice<'_>, now: u64| {
        let query = targets.iter().find(|query| query.place.ends_with(panel)).unwrap();
        let choice = sources.derived(dashboard, &choice, now);
        sources.lines(&query.source, &fill(dashboard, query, &choice, now))
    };
    let source = |lookup: &str, network: &str| {
        let chosen = [("lookup", lookup), ("network", network)];
        answer(
            ": Top sources",
            chosen.map(|(name, value)| (name, vec![value.to_owned()])).into(),
            now,
        )
    };
    for (lookup, network, expected) in [
        ("on", "133.11.0.7", ["133.11.0.7", "look up", "🇯🇵", "JP"]),
        ("off", "133.11.0.7", ["133.11.0.7", "", "🇯🇵", "JP"]),
        ("on", "10.1.2.3", ["10.1.2.3", "", "", "private"]),
    ] {
        let answer = source(lookup, network);
        let columns: Vec<_> = answer
            .split(['\t', '|'])
            .take(4)
            .map(|value| value.replace("NULL", "").replace("\\N", ""))
            .collect();
        assert_eq!(columns, expected, "{}: {answer}", dashboard.file);
    }
    // After a time range, all packets are before the next one.
    let later = now + RANGE + 60;
    for (panel, now, expected) in [
        (": Totals", now, packets().len()),
        (": Totals of the period before", now, 0),
        (": Totals", later, 0),
        (": Totals of the period before", later, packets().len()),
    ] {
        let answer = answer(panel, Choice::new(), now);
        let packets = answer.split(['\t', '|']).next().unwrap();
        assert_eq!(packets, expected.to_string(), "{}{panel}", dashboard.file);
    }
}
