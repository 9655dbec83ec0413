//! The text as a whole, and what Prometheus's own tools make of it.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

#[path = "../../tests/support/golden.rs"]
mod golden;

use super::*;
use crate::{
    aggregate::{ABSENT, Dimension, FamilySnapshot, Key, OTHER, ScanFigures, Series, Snapshot},
    event::{Interner, NameId, Named, Names},
    geoip::{Country, CountryId},
};
use golden::check_golden;

/// The value of the label `country`.
fn country(code: &str) -> u64 {
    Country::Known(CountryId::from_code(code).unwrap()).to_bits()
}

fn family(name: &str, labels: &[Dimension], series: &[(&[u64], u64, u64)]) -> FamilySnapshot {
    let series = series.iter().map(|&(values, packets, bytes)| Series {
        key: Key::new(values),
        packets,
        bytes,
    });
    FamilySnapshot {
        name: name.into(),
        labels: labels.into(),
        series: series.collect(),
        series_limit: 2000,
        is_full: false,
        folded: vec![0; labels.len()],
        retired_packets: 0,
        pending_packets: 0,
        replaced_series: 0,
    }
}

/// A small scrape in which everything is there; `prefix` is the log prefix of some series.
fn scrape(prefix: &str, database: &str) -> Scrape {
    let names = Names::default();
    let prefix = Interner::new(names.clone()).intern(Named::Prefix, prefix.as_bytes());
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
            countries: vec![],
        },
        names,
        countries: vec![
            row("FR", "FRA", "France", 46.25, 2.5),
            row("CI", "CIV", "Côte d'Ivoire", 8.0, -5.5),
        ],
        groups: vec![GroupStatus {
            group: 1,
            lost_packets: 5,
            socket_drops: 6,
            malformed_messages: 0,
            truncated_datagrams: 0,
            receive_buffer_bytes: 33_554_432,
        }],
        mirror: Some(MirrorStatus {
            up: true,
            written: 4,
            dropped: vec![("queue_full", 1), ("spool_full", 0)],
            filtered: vec![("prefix", 2), ("sample", 0)],
            recovered: 1,
            queued: 3,
            spooled: 4,
            lag_seconds: 0.25,
            retention_held: false,
            panics: 0,
            spool_size_bytes: 4096,
            other_target_rows: 3,
            spool_size_limit_bytes: 1 << 30,
            upkeep_timestamp_seconds: 1_780_000_000,
        }),
        databases: vec![DatabaseStatus {
            name: database.into(),
            build_timestamp: 1_780_000_000,
            reloads_ok: 2,
            reloads_failed: 1,
        }],
        reload: ReloadStatus { successful: true, timestamp_seconds: 1_780_000_000.5 },
        confinement: vec![("landlock", false), ("user", true)],
        last_scrape_timestamp_seconds: Some(1_700_000_000.5),
        web_config_successful: Some(true),
        refusals: vec![("busy", 0), ("password", 3)],
        log_lines_left_out: 0,
        build: Build { version: "0.1.0", revision: "0123abc" },
        vitals: Vitals {
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

fn row(
    code: &'static str,
    iso3: &'static str,
    name: &'static str,
    latitude: f64,
    longitude: f64,
) -> CountryRow {
    CountryRow { code, iso3, name, latitude, longitude }
}

/// Both formats of a scrape, `OpenMetrics` first.
fn texts(scrape: Scrape) -> [String; 2] {
    let openmetrics = render(scrape).unwrap();
    let plain = to_plain(&openmetrics);
    [openmetrics, plain]
}

#[test]
fn the_whole_text() {
    let [openmetrics, plain] = texts(scrape("drop: ", "dbip-country"));
    check_golden("src/exposition/testdata/scrape.openmetrics", &openmetrics);
    check_golden("src/exposition/testdata/scrape.txt", &plain);
}

#[test]
fn the_order_of_the_snapshot_does_not_show() {
    let mut shuffled = scrape("drop", "dbip");
    shuffled.snapshot.families[0].series.reverse();
    shuffled.snapshot.source_addresses.reverse();
    shuffled.countries.reverse();
    assert_eq!(texts(shuffled), texts(scrape("drop", "dbip")));
}

#[test]
fn a_metric_without_samples_is_left_out() {
    let mut empty = scrape("drop", "dbip");
    empty.groups.clear();
    empty.databases.clear();
    empty.countries.clear();
    empty.vitals = Vitals::default();
    empty.snapshot.families[1].series.clear();
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
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A promtool that stopped reading tells why on its own.
    let _ = feeder.join().unwrap();
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
