//! The text as a whole, and what Prometheus's own tools make of it.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

#[path = "../../../tests/support/golden.rs"]
mod golden;

use std::{sync::Arc, time::Duration};

use super::{super::reload::ReloadStatus, *};
use crate::{
    event::{Interner, NameField, NameId, Names},
    exposition::{render, to_plain},
    geoip::{Country, CountryId, DatabaseStatus},
    metrics::{
        ABSENT, Dimension, FamilySnapshot, Key, OTHER, ScanFigures, SeriesSnapshot, Snapshot,
        process::ProcessMetrics,
    },
    mirror::{MirrorStatus, account::Account},
};
use golden::check_golden;

/// The collectors of a scrape in which everything is there.
struct Scrape {
    packets: SnapshotMetrics,
    groups: GroupMetrics,
    databases: DatabaseMetrics,
    process: ProcessMetrics,
}

impl Scrape {
    fn render(self) -> String {
        let collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(self.packets),
            Box::new(self.groups),
            Box::new(mirror()),
            Box::new(self.databases),
            Box::new(ReloadStatus { successful: true, timestamp_seconds: 1_780_000_000.5 }),
            Box::new(server()),
            Box::new(LastScrape(Some(1_700_000_000.5))),
            Box::new(Confinement::default()),
            Box::new(LogMetrics),
            Box::new(Build { version: "0.1.0", revision: "0123abc" }),
            Box::new(self.process),
        ];
        render(collectors, 0).unwrap()
    }
}

/// The value of the label `country`.
fn country(code: &str) -> u64 {
    Country::Known(CountryId::from_code(code).unwrap()).to_bits()
}

fn family(name: &str, labels: &[Dimension], series: &[(&[u64], u64, u64)]) -> FamilySnapshot {
    let series = series.iter().map(|&(values, packets, bytes)| SeriesSnapshot {
        key: Key::new(values),
        packets,
        bytes,
    });
    FamilySnapshot {
        name: name.into(),
        labels: labels.into(),
        series: series.collect(),
        series_limit: 2000,
        demand: 0.0,
        folded: vec![0; labels.len()],
        retired_packets: 0,
        pending_packets: 0,
        replaced_series: 0,
    }
}

/// A small scrape in which everything is there; `prefix` is the log prefix of some series.
fn scrape(prefix: &str, database: &str) -> Scrape {
    let names = Names::default();
    let prefix = Interner::new(names.clone()).intern(NameField::Prefix, prefix.as_bytes());
    let id = u64::from(prefix.index());
    let (de, fr) = (country("DE"), country("FR"));
    let traffic = [Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port];
    let mut families = vec![
        family(
            "traffic",
            &traffic,
            &[
                (&[id, 6, fr, 443], 2, 120),
                (&[id, 6, de, 443], 7, 420),
                (&[id, 6, de, OTHER], 1, 60),
                (&[OTHER, OTHER, OTHER, OTHER], 0, 0),
                (&[id, 1, de, ABSENT], 3, 252),
                (&[id, 6, de, 22], u64::MAX, u64::MAX),
            ],
        ),
        family("asn", &[Dimension::Asn], &[(&[64496], 13, 852)]),
    ];
    families[0].folded = vec![0, 0, 0, 1];
    families[0].retired_packets = 11;
    families[0].pending_packets = 12;
    families[0].replaced_series = 13;
    Scrape {
        packets: SnapshotMetrics {
            snapshot: Snapshot {
                generation: 1,
                received: vec![(1, 13), (7, 0)],
                undecoded: [0, 4, 0, 0],
                families,
                source_addresses: vec![(prefix, 2.5), (NameId::OTHER, 0.0)],
                source_addresses_folded_packets: 0,
                scans: vec![
                    ScanFigures { prefix, sources: 2, most_ports: 131.0 },
                    ScanFigures { prefix: NameId::OTHER, sources: 0, most_ports: 0.0 },
                ],
                scan_displaced_sources: 3,
                countries: ["FR", "CI"].map(|code| CountryId::from_code(code).unwrap()).into(),
            },
            names,
        },
        groups: GroupMetrics(vec![Arc::new(GroupMeter {
            group: 1,
            lost_packets: 5.into(),
            socket_drops: 6.into(),
            receive_buffer_bytes: 33_554_432.into(),
            ..GroupMeter::default()
        })]),
        databases: DatabaseMetrics(vec![DatabaseStatus {
            name: database.into(),
            build_timestamp: 1_780_000_000,
            edition: String::new(),
            provides: String::new(),
            reloads_ok: 2,
            reloads_failed: 1,
        }]),
        process: ProcessMetrics {
            cpu_seconds: Some(1.25),
            resident_bytes: Some(10_000_000),
            virtual_bytes: Some(20_000_000),
            open_fds: Some(12),
            max_fds: Some(1024),
            start_time_seconds: Some(1_779_999_999.25),
            threads: Some(4),
        },
    }
}

fn mirror() -> MirrorStatus {
    MirrorStatus {
        account: Account {
            offered: 13,
            recovered: 1,
            queued: 3,
            spooled: 4,
            written: 4,
            dropped: from_first(1),
            filtered: from_first(2),
        },
        up: true,
        lag: Duration::from_millis(250),
        spool_size: 4096,
        other_target_rows: 3,
        spool_limit: 1 << 30,
        retention_held: false,
        panics: 0,
        maintenance_timestamp: 1_780_000_000,
    }
}

/// The first figure, and zeros.
fn from_first<const LENGTH: usize>(first: u64) -> [u64; LENGTH] {
    std::array::from_fn(|at| if at == 0 { first } else { 0 })
}

/// Those of a server with a web configuration and no rejection.
fn server() -> ServerMetrics {
    let file = tempfile::NamedTempFile::new().unwrap();
    ServerMetrics::new(Arc::default(), Arc::new(WebConfigWatcher::open(file.path()).unwrap()))
}

/// Both formats of a scrape, `OpenMetrics` first.
fn texts(scrape: Scrape) -> [String; 2] {
    let openmetrics = scrape.render();
    let plain = to_plain(&openmetrics);
    [openmetrics, plain]
}

#[test]
fn the_whole_text() {
    let [openmetrics, plain] = texts(scrape("drop: ", "dbip-country"));
    check_golden("src/daemon/testdata/scrape.openmetrics", &openmetrics);
    check_golden("src/daemon/testdata/scrape.txt", &plain);
}

#[test]
fn the_order_of_the_snapshot_does_not_show() {
    let mut shuffled = scrape("drop", "dbip");
    shuffled.packets.snapshot.families[0].series.reverse();
    shuffled.packets.snapshot.source_addresses.reverse();
    shuffled.packets.snapshot.countries.reverse();
    assert_eq!(texts(shuffled), texts(scrape("drop", "dbip")));
}

#[test]
fn a_metric_without_samples_is_left_out() {
    let mut empty = scrape("drop", "dbip");
    empty.groups.0.clear();
    empty.databases.0.clear();
    empty.packets.snapshot.countries.clear();
    empty.process = ProcessMetrics::default();
    empty.packets.snapshot.families[1].series.clear();
    for text in texts(empty) {
        for absent in ["process_", "geoip", "country_info", "lost_packets", "nflog_asn_packets"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }
}

#[test]
fn help_texts_need_no_escapes() {
    let [openmetrics, plain] = texts(scrape("drop", "dbip"));
    for help in openmetrics.lines().chain(plain.lines()).filter(|line| line.starts_with("# HELP")) {
        assert!(!help.contains(['\\', '"']) && help.ends_with('.'), "{help}");
    }
}

#[test]
fn hostile_names_stay_inside_their_quotes() {
    let check = |prefix: &str, expect: &str| {
        for text in texts(scrape(prefix, "x\n# EOF\ny\\z\"")) {
            assert!(
                text.contains(&format!(r#"{{prefix="{expect}",proto="icmp",country="DE"}} 3"#))
            );
            assert!(text.contains(r#"{database="x\n# EOF\ny\\z\"",result="success"} 2"#));
            assert!(text.lines().all(|line| !line.starts_with('y')));
        }
    };
    check(r#"a"b"#, r#"a\"b"#);
    check(r"a\", r"a\\");
    check(r#""} 1"#, r#"\"} 1"#);
    check(r"\n", r"\\n");
    check("# EOF", "# EOF");
    check("Ünïcode 🦀", "Ünïcode 🦀");
    check("a\nb", "a\u{fffd}b");
}

/// Runs promtool, which the test set-up installs, and fails without it.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: install Prometheus");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let spooler = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A promtool that stopped reading tells why on its own.
    let _ = spooler.join().unwrap();
    output
}

const HOSTILE: &str = "a\\b\"c{d}=e,# Ünïcode";

#[test]
fn promtool_has_no_complaint() {
    for prefix in ["drop", HOSTILE] {
        let [_, plain] = texts(scrape(prefix, "x\ny\\z\""));
        let output = promtool(&["check", "metrics"], &plain);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}\n{plain}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

/// Prometheus's `OpenMetrics` parser, by way of its importer, which wants a time on each sample.
#[test]
fn prometheus_reads_back_what_was_written() {
    let [openmetrics, _] = texts(scrape(HOSTILE, "x\ny\\z\""));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openmetrics");
    let database = directory.path().join("database");
    let timed: Vec<String> = openmetrics
        .lines()
        .map(|line| {
            if line.starts_with('#') { format!("{line}\n") } else { format!("{line} 1780000000\n") }
        })
        .collect();
    std::fs::write(&file, timed.concat()).unwrap();
    let database = database.to_str().unwrap();

    let import = ["tsdb", "create-blocks-from", "openmetrics", file.to_str().unwrap(), database];
    let output = promtool(&import, "");
    assert!(output.status.success(), "{output:?}\n{openmetrics}");
    // It dumps no database that has never been written to by a server.
    std::fs::create_dir(format!("{database}/wal")).unwrap();
    let output = promtool(&["tsdb", "dump", database], "");
    assert!(output.status.success(), "{output:?}");

    let dump = String::from_utf8(output.stdout).unwrap();
    let samples = openmetrics.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(dump.lines().count(), samples, "{dump}");
    // Prometheus sorts labels by name and quotes them as Go does, which is alike here.
    let quoted = HOSTILE.replace('\\', r"\\").replace('"', r#"\""#);
    let series = format!(
        r#"{{__name__="nflog_packets_total", country="DE", port="443", prefix="{quoted}", proto="tcp"}} 7 "#
    );
    assert!(dump.contains(&series), "{series} not in {dump}");
    assert!(dump.contains(r#"database="x\ny\\z\"""#), "{dump}");
}
