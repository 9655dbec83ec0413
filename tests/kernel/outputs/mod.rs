//! Outputs of a running exporter: files, captures, sockets and ulogd's text.

mod captures;
mod failures;
mod receivers;
mod tools;
mod ulogd;

use std::path::Path;

use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, samples, sum, wait_for, whole},
};

/// Group of the packets that the exporter reads.
const GROUP: u16 = 5;

/// A chain that logs inbound packets, except for those of the kernels' own neighbour discovery, and drops them.
fn log_and_drop(wire: &Wire, groups: &[u16]) {
    let log = |group: &u16| format!("log prefix \"drop in: \" group {group}");
    let logs = groups.iter().map(log).collect::<Vec<_>>().join("; ");
    wire.host.nft(&format!(
        "table inet t {{
            chain log_drop {{ {logs}; drop; }}
            chain in {{
                type filter hook prerouting priority raw
                icmpv6 type != {{ echo-request, echo-reply }} accept
                iifname wan0 meta mark set 0x2a jump log_drop
            }}
        }}"
    ));
}

/// The configuration of an exporter with outputs.
fn config(outputs: &str) -> String {
    format!("[nflog]\ngroups = [{GROUP}]\ncopy_range = 65531\n{outputs}")
}

/// An output with a target and further keys.
fn output(name: &str, format: &str, target: &str, more: &str) -> String {
    format!("[[output]]\nname = '{name}'\nformat = '{format}'\ntarget = '{target}'\n{more}\n")
}

/// The same to a file.
fn to_file(name: &str, format: &str, path: &Path, more: &str) -> String {
    output(name, format, &format!("file://{}", path.display()), more)
}

/// The value of an output's metric, summed over its other labels.
fn metric(text: &str, output: &str, metric: &str) -> u64 {
    let samples = samples(text, &format!("nflog_exporter_output_{metric}"));
    let own = samples.iter().filter(|(labels, _)| labels["output"] == output);
    whole(own.map(|(_, value)| value).sum())
}

/// Asserts that the account of each output is complete, and returns the metrics.
fn scrape_with_accounts(exporter: &Exporter, outputs: &[&str]) -> String {
    let text = exporter.scrape();
    let received = sum(&text, "nflog_exporter_received_packets_total");
    for output in outputs {
        let states =
            ["written_rows_total", "queued_rows", "dropped_rows_total", "filtered_rows_total"];
        let accounted: u64 = states.iter().map(|state| metric(&text, output, state)).sum();
        assert_eq!(accounted, received, "{output}: {text}");
    }
    text
}

/// Waits until an output has written so many rows.
fn wait_for_rows(exporter: &Exporter, output: &str, rows: u64) -> String {
    wait_for(&format!("{rows} rows of {output}"), || {
        let text = scrape_with_accounts(exporter, &[output]);
        (metric(&text, output, "written_rows_total") == rows).then_some(text)
    })
}

/// The lines of a file as JSON.
fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// Rows of JSON in files that logrotate renames, and that the exporter rotates.
#[test]
fn rotation_loses_no_row() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let (renamed, rotated) = (directory.path().join("a.json"), directory.path().join("b.json"));
    let outputs = [
        to_file("renamed", "json", &renamed, ""),
        to_file("rotated", "ecs", &rotated, "rotate_size = '64KiB'\nkeep = 1000"),
    ];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    let mut sent = 0;
    for (number, signal) in [nix::sys::signal::Signal::SIGHUP, nix::sys::signal::Signal::SIGUSR1]
        .into_iter()
        .enumerate()
    {
        sent += wire.send((0..500).map(|port| frame::udp([203, 0, 113, 5], port, 53, b"x")));
        wait_for_rows(&exporter, "renamed", sent);
        std::fs::rename(&renamed, directory.path().join(format!("a.json.{number}"))).unwrap();
        exporter.program.signal(signal);
        wait_for("the new file", || renamed.exists().then_some(()));
    }
    sent += wire.send((0..10).map(|port| frame::udp([203, 0, 113, 5], port, 53, b"x")));
    wait_for_rows(&exporter, "renamed", sent);
    wait_for_rows(&exporter, "rotated", sent);
    scrape_with_accounts(&exporter, &["renamed", "rotated"]);
    let rows = |prefix: &str| {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let own =
            files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
        own.map(|path| (json_lines(&path).len(), path.metadata().unwrap().len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows("a.json").iter().map(|(rows, _)| *rows as u64).sum::<u64>(), sent);
    assert_eq!(rows("a.json").len(), 3);
    let files = rows("b.json");
    assert_eq!(files.iter().map(|(rows, _)| *rows as u64).sum::<u64>(), sent);
    assert!(files.len() > 3 && files.iter().all(|(_, size)| *size <= 64 * 1024), "{files:?}");
    let row = &json_lines(&renamed)[0];
    for (key, value) in [("prefix", "drop in:"), ("source", "203.0.113.5"), ("in_device", "wan0")] {
        assert_eq!(row[key], value, "{row}");
    }
    assert_eq!((&row["destination_port"], &row["mark"]), (&53.into(), &42.into()));
}

/// One packet in ten of one prefix, with anonymized addresses; the rest is filtered.
#[test]
fn rows_are_selected_and_anonymized() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    let outputs = [
        to_file("sampled", "json", &path("a"), "sample = 10\nanonymize = 'truncate'"),
        to_file("other", "json", &path("b"), "prefixes = ['other']"),
    ];
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    wire.send((0..1000).map(|port| frame::udp([203, 0, 113, 5], port, 53, b"x")));
    wait_for_rows(&exporter, "sampled", 100);
    wait_for("all packets", || {
        let text = scrape_with_accounts(&exporter, &["sampled", "other"]);
        let filtered = ["sampled", "other"].map(|name| metric(&text, name, "filtered_rows_total"));
        (filtered == [900, 1000]).then_some(())
    });
    for row in json_lines(&path("a")) {
        assert_eq!((&row["source"], &row["weight"]), (&"203.0.113.0".into(), &10.into()));
    }
    assert!(json_lines(&path("b")).is_empty());
}
