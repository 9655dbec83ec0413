//! Captures that tcpdump and `replay` read.

use std::{collections::BTreeSet, path::Path, process::Command};

use super::{GROUP, config, json_lines, log_and_drop, metric, scrape_with_accounts, to_file};
use crate::support::{
    Wire, frame,
    netns::PEER_V6,
    program::{EXPORTER, Exporter, open_to_all, samples, wait_for},
};

const OUTPUTS: [(&str, &str, &str); 4] = [
    ("pcap", "pcap", "nflog"),
    ("pcap-raw", "pcap", "raw"),
    ("pcapng", "pcapng", "nflog"),
    ("pcapng-raw", "pcapng", "raw"),
];

/// The lines of tcpdump, and its first line about the link type.
fn tcpdump(path: &Path) -> (Vec<String>, String) {
    let mut command = Command::new("tcpdump");
    let output = command.args(["-tt", "-n", "-r"]).arg(path).output().expect("install tcpdump");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    (
        lines.lines().map(str::to_owned).collect(),
        errors.lines().next().unwrap_or_default().to_owned(),
    )
}

/// The packets by country and prefix.
fn series(text: &str) -> BTreeSet<String> {
    let samples = samples(text, "nflog_country_packets_total");
    samples.iter().map(|sample| format!("{sample:?}")).collect()
}

#[test]
fn captures_are_read_by_tcpdump_and_replay() {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    let mut outputs = to_file("json", "json", &path("json"), "");
    for (name, format, link) in OUTPUTS {
        let more = format!("link_layer = '{link}'");
        outputs.push_str(&to_file(name, format, &path(name), &more));
    }
    let exporter = Exporter::start(&wire.host, &config(&outputs), &[]);
    let mut sent = 0;
    for size in 0..50_u8 {
        let data = vec![size; usize::from(size)];
        sent += wire.send([
            frame::udp([203, 0, 113, size], 1000, 53, &data),
            frame::syn([8, 8, 8, size], 1000, 22),
            frame::udp_v6(PEER_V6, 1000, 53, &data),
        ]);
    }
    let names: Vec<_> = OUTPUTS.iter().map(|(name, ..)| *name).chain(["json"]).collect();
    wait_for("all rows", || {
        let text = scrape_with_accounts(&exporter, &names);
        let is_written = |name: &&str| metric(&text, name, "written_rows_total") == sent;
        names.iter().all(is_written).then_some(())
    });
    // New series show zero first.
    let live = exporter.scrape();
    let times: Vec<String> = json_lines(&path("json"))
        .iter()
        .map(|row| {
            row["time"]
                .as_str()
                .unwrap()
                .rsplit_once(':')
                .unwrap()
                .1
                .trim_end_matches('Z')
                .to_owned()
        })
        .collect();
    for (name, _, link) in OUTPUTS {
        let (lines, about) = tcpdump(&path(name));
        assert_eq!(lines.len() as u64, sent, "{name}");
        let link_type = if link == "raw" { "link-type RAW" } else { "link-type NFLOG" };
        assert!(about.contains(link_type), "{name}: {about}");
        for (line, time) in lines.iter().zip(&times) {
            // Seconds of the minute, and microseconds.
            let (seconds, micros) = line.split(' ').next().unwrap().split_once('.').unwrap();
            let second = seconds.parse::<u64>().unwrap() % 60;
            assert_eq!(format!("{second:02}.{micros}"), *time, "{name}: {line}");
        }
        let mut replay = Command::new(EXPORTER);
        let replay = replay.arg("replay").arg(path(name)).output().unwrap();
        assert!(replay.status.success(), "{replay:?}");
        let replayed = String::from_utf8(replay.stdout).unwrap();
        if link == "nflog" {
            assert_eq!(series(&replayed), series(&live), "{name}");
        }
        let count = |text: &str| {
            samples(text, "nflog_country_bytes_total").iter().map(|it| it.1).sum::<f64>()
        };
        assert!((count(&replayed) - count(&live)).abs() < 0.5, "{name}");
    }
}
