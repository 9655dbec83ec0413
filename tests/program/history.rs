//! The counts of longer ranges of the page: they are those of the packets, and kept over stops, kills and damage.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{
    log_files::{Exporter, Logs, append, lines},
    support::program::{get_from, samples, sum, wait_for},
};

const RANGES: [&str; 4] = ["1h", "24h", "7d", "30d"];

/// A configuration with files.
fn config(logs: &Logs) -> String {
    let directory = directory(logs);
    logs.config("a.log", &format!("[history]\ndirectory = '{}'\n", directory.display()))
}

fn directory(logs: &Logs) -> PathBuf {
    logs.path("state/history")
}

fn overview(exporter: &Exporter, query: &str) -> Value {
    let (status, body) = get_from(exporter.address, &format!("/overview.json?{query}")).unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Every longer range has these packets, in its total, its timeline and each of its lists.
#[track_caller]
fn assert_packets(exporter: &Exporter, packets: u64) {
    for range in RANGES {
        let overview = overview(exporter, &format!("range={range}"));
        assert_eq!(overview["window"]["range"], range);
        assert_eq!(overview["total"]["packets"], packets, "{range}");
        let sum = |values: &Value, of: &dyn Fn(&Value) -> u64| -> u64 {
            values.as_array().unwrap().iter().map(of).sum()
        };
        assert_eq!(sum(&overview["timeline"], &|it| it.as_u64().unwrap()), packets);
        let of_row = |row: &Value| row["packets"].as_u64().unwrap();
        assert_eq!(sum(&overview["countries"], &of_row), packets);
        for list in ["ports", "prefixes", "protocols", "networks"] {
            assert_eq!(sum(&overview[list]["rows"], &of_row), packets, "{range} {list}");
        }
        let prefix = &overview["prefixes"]["rows"][0]["value"];
        assert_eq!((prefix, packets > 0), (&Value::from("[UFW BLOCK]"), true));
    }
}

fn metric(exporter: &Exporter, name: &str) -> u64 {
    let name = format!("nflog_exporter_history_{name}");
    let scrape = exporter.scrape();
    assert_eq!(samples(&scrape, &name).len(), 1);
    sum(&scrape, &name)
}

#[test]
fn ranges_have_the_packets_of_all_runs() {
    let logs = Logs::new();
    let log = logs.path("a.log");
    append(&log, "");
    let exporter = Exporter::start(&logs, &config(&logs));
    append(&log, &lines(0..700));
    exporter.wait_for_packets(700);
    assert_packets(&exporter, 700);
    let filtered = overview(&exporter, "range=24h&port=53&country=private");
    let other = overview(&exporter, "range=24h&port=54");
    assert_eq!(filtered["total"]["packets"], 700);
    assert_eq!(other["total"]["packets"], 0);
    // Nothing was counted before.
    assert_eq!(filtered["total"].get("before"), None);
    exporter.stop();

    // A stop stores all of them.
    let exporter = Exporter::start(&logs, &config(&logs));
    assert_packets(&exporter, 700);
    let file = directory(&logs).join("10s.slices");
    let size = || fs::metadata(&file).map_or(0, |it| it.len());
    let before = size();
    append(&log, &lines(0..300));
    exporter.wait_for_packets(300);
    assert_packets(&exporter, 1000);
    // A kill loses only what was not stored yet: slices of ten seconds, which are stored within five.
    wait_for("the slice to be stored", || (size() > before).then_some(()));
    exporter.kill();
    let exporter = Exporter::start(&logs, &config(&logs));
    assert_packets(&exporter, 1000);
    assert!(metric(&exporter, "size_bytes") > 0);
    assert_eq!(metric(&exporter, "damaged_files_total"), 0);
    exporter.stop();

    // Damage costs what follows it, and is counted.
    let mut damaged = 0;
    for entry in fs::read_dir(directory(&logs)).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "slices") {
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&path, &bytes).unwrap();
            damaged += 1;
        }
    }
    let exporter = Exporter::start(&logs, &config(&logs));
    assert_eq!(metric(&exporter, "damaged_files_total"), damaged);
    assert!(exporter.log().contains("skipped a damaged part of the history"));
    let left = overview(&exporter, "range=24h")["total"]["packets"].as_u64().unwrap();
    assert!(left < 1000, "{left}");
    append(&log, &lines(0..5));
    exporter.wait_for_packets(5);
    let now = overview(&exporter, "range=24h")["total"]["packets"].as_u64().unwrap();
    assert_eq!(now, left + 5);
}

#[test]
fn invalid_ranges_are_rejected() {
    let logs = Logs::new();
    append(&logs.path("a.log"), "");
    let exporter = Exporter::start(&logs, &logs.config("a.log", ""));
    for (query, expect) in [
        ("range=2h", "invalid value \"2h\" for range: expected 10m, 1h, 24h, 7d or 30d"),
        ("range=1h&range=1h", "duplicate parameter \"range\": give it once"),
    ] {
        let (status, body) =
            get_from(exporter.address, &format!("/overview.json?{query}")).unwrap();
        assert_eq!((status, body.trim()), (400, expect));
    }
    // Without a directory, the counts are in memory.
    assert_eq!(overview(&exporter, "range=30d")["total"]["packets"], 0);
    assert_eq!(metric(&exporter, "size_bytes"), 0);
}
