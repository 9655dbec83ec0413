//! The text as Prometheus's own tools parse it.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use super::{example::scrape, texts};

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
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // If promtool stops reading, its output has the reason.
    let _ = writer.join().unwrap();
    output
}

/// A log prefix with characters that need escapes.
const HOSTILE: &str = "a\\b\"c{d}=e,# Ünïcode";

#[test]
fn promtool_accepts_the_text() {
    for prefix in ["drop", HOSTILE] {
        let [_, plain] = texts(scrape(prefix, "x\ny\\z\""));
        let output = promtool(&["check", "metrics"], &plain);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{errors}\n{plain}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

/// Uses Prometheus's `OpenMetrics` parser through its importer, which needs a time on each sample.
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
    // `tsdb dump` needs the directory, which only a server creates.
    std::fs::create_dir(format!("{database}/wal")).unwrap();
    let output = promtool(&["tsdb", "dump", database], "");
    assert!(output.status.success(), "{output:?}");

    let dump = String::from_utf8(output.stdout).unwrap();
    let samples = openmetrics.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(dump.lines().count(), samples, "{dump}");
    // Prometheus sorts labels by name and quotes them as Go does, which is the same for these values.
    let quoted = HOSTILE.replace('\\', r"\\").replace('"', r#"\""#);
    let series = format!(
        r#"{{__name__="nflog_packets_total", country="DE", port="443", prefix="{quoted}", proto="tcp"}} 7 "#
    );
    assert!(dump.contains(&series), "{series} not in {dump}");
    assert!(dump.contains(r#"database="x\ny\\z\"""#), "{dump}");
}
