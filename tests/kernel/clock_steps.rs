//! Steps of the clock while the exporter runs: counts, ages, rows and health stay correct. Requires root.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, samples, sum, wait_for},
};

const RULES: &str = "
    table inet t {
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 meta l4proto udp log prefix \"step\" group 1 drop
        }
    }
";

/// Steps of the clock: offsets from the real time in seconds.
const STEPS: [i64; 5] = [3_600, -3_600, 3 * 365 * 86_400, -86_400, 0];

/// Sets the exporter's clock.
fn set(clock: &Path, offset: i64) {
    let next = clock.with_extension("next");
    fs::write(&next, format!("{offset:+}\n")).unwrap();
    fs::rename(next, clock).unwrap();
}

/// The first sample of a metric.
fn value(text: &str, metric: &str) -> f64 {
    samples(text, &format!("nflog_exporter_{metric}"))[0].1
}

fn overview(exporter: &Exporter<'_>) -> Value {
    let (status, text) = exporter.get("/overview.json").unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn true_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "small")]
fn seconds(offset: i64) -> f64 {
    offset as f64
}

#[test]
fn a_step_of_the_clock_changes_no_count_and_no_age() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    // The exporter can read the directory of its database.
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    open_to_all(&data);
    let (clock, database) = (data.join("clock"), data.join("rows.db"));
    set(&clock, 0);
    // A directory in place of the file: the database cannot be opened, and rows wait.
    fs::create_dir(&database).unwrap();
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\nhost = 'test'\nretention = '14d'\n\
         [mirror.spool]\ndirectory = '{}'\n",
        database.display(),
        directory.path().join("spool").display()
    );
    let began = Instant::now();
    let exporter = Exporter::start_with_clock_in(&wire.host, &clock, &config);
    let mut sent = 0;
    let mut more = |count: u16| {
        sent += wire.send((0..count).map(|port| frame::udp([133, 11, 0, 7], 40_000, port, b"x")));
        wait_for("the packets", || {
            let text = exporter.scrape();
            let rows = |what: &str| sum(&text, &format!("nflog_exporter_mirror_{what}_rows"));
            let counted = sum(&text, "nflog_packets_total") == sent;
            let all = rows("spooled")
                + rows("queued")
                + sum(&text, "nflog_exporter_mirror_written_rows_total");
            (counted && all == sent && rows("queued") == 0).then_some(text)
        })
    };
    let check = |text: &str, offset: i64, sent: u64| {
        let lag = value(text, "mirror_lag_seconds");
        assert!((0.0..=began.elapsed().as_secs_f64()).contains(&lag), "{offset}: {lag}");
        assert_eq!(exporter.get("/-/healthy").unwrap().0, 200, "{offset}");
        let page = overview(&exporter);
        let off = page["time"].as_f64().unwrap() - true_time() - seconds(offset);
        assert!(off.abs() < 60.0, "{offset}: {off}");
        // The recent packets, by the monotonic clock.
        assert_eq!(page["total"]["packets"].as_u64(), Some(sent), "{offset}: {page}");
        assert!(page["window"]["running"].as_f64().unwrap() <= began.elapsed().as_secs_f64());
        lag
    };
    // Rows wait.
    for offset in STEPS {
        set(&clock, offset);
        let text = more(100);
        let sent = sum(&text, "nflog_packets_total");
        assert_eq!(sum(&text, "nflog_exporter_mirror_spooled_rows"), sent);
        assert!(check(&text, offset, sent) > 0.0, "{offset}");
    }
    // Rows are written.
    fs::remove_dir(&database).unwrap();
    // The mirror has compared the clocks: from now on it detects steps.
    wait_for("the mirror to be up", || {
        let text = exporter.scrape();
        let looked = value(&text, "mirror_last_maintenance_timestamp_seconds") > 0.0;
        (looked && value(&text, "mirror_up") > 0.0).then_some(())
    });
    for offset in STEPS {
        set(&clock, offset);
        let sent = sum(&more(100), "nflog_packets_total");
        let text = wait_for("the rows, and the detection of the clock step", || {
            let text = exporter.scrape();
            let written = sum(&text, "nflog_exporter_mirror_written_rows_total") == sent;
            let held = value(&text, "mirror_retention_held") > 0.0;
            (written && held && value(&text, "mirror_up") > 0.0).then_some(text)
        });
        check(&text, offset, sent);
    }
    let rows = Command::new("sqlite3")
        .arg(&database)
        .arg("SELECT COUNT(*), COUNT(DISTINCT id) FROM packets")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&rows.stdout).trim(), "1000|1000");
    assert!(exporter.program.log().contains("no rows are dropped"), "{}", exporter.program.log());
}
