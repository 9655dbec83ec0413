//! `replay` of log files.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};

use super::{Logs, lines};
use crate::support::program::{run_with_input, samples, sum};

fn replay(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    command.arg("replay").args(arguments).env("TZ", "UTC");
    run_with_input(&mut command, input.as_bytes())
}

fn metrics(arguments: &[&str], input: &str) -> String {
    let output = replay(arguments, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn received(text: &str) -> u64 {
    sum(text, "nflog_exporter_received_packets_total")
}

fn gzip(path: &Path, text: &str) {
    let mut encoder = GzEncoder::new(fs::File::create(path).unwrap(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

#[test]
fn logs_captures_and_standard_input_add_up() {
    let logs = Logs::new();
    let (plain, packed) = (logs.path("kern.log"), logs.path("kern.log.2.gz"));
    fs::write(&plain, lines(0..10)).unwrap();
    gzip(&packed, &lines(10..30));
    let (plain, packed) = (plain.to_str().unwrap(), packed.to_str().unwrap());
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures/mixed.pcap");
    let text = metrics(&[plain, capture, packed, "-"], &lines(30..37));
    assert_eq!(received(&text), 10 + 20 + 7 + 189);
    assert_eq!(sum(&text, "nflog_exporter_kernel_log_lines_total"), 37);
}

#[test]
fn other_compressions_are_read() {
    let logs = Logs::new();
    let plain = logs.path("kern.log");
    fs::write(&plain, lines(0..10)).unwrap();
    for program in ["xz", "zstd", "bzip2"] {
        let output = Command::new(program).arg("-kc").arg(&plain).output().unwrap();
        assert!(output.status.success());
        let path = logs.path(&format!("kern.log.{program}"));
        fs::write(&path, output.stdout).unwrap();
        assert_eq!(received(&metrics(&[path.to_str().unwrap()], "")), 10, "{program}");
    }
}

#[test]
fn the_corpus_of_lines_is_read() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kernel_log/packets.txt");
    let text = metrics(&[corpus], "");
    let skipped = sum(&text, "nflog_exporter_kernel_log_skipped_lines_total");
    assert!(received(&text) > 50 && skipped > 0, "{text}");
}

/// The rates of ten minutes depend on the order of the packets: a replay ends at the time of its last one.
#[test]
fn rotated_files_are_read_in_the_order_of_their_times_also_over_the_turn_of_the_year() {
    let logs = Logs::new();
    let packet = |time: &str, source: u8| {
        format!(
            "{time} fw kernel: IN=eth0 OUT= SRC=203.0.113.{source} DST=198.51.100.1 LEN=40 PROTO=ICMP TYPE=8\n"
        )
    };
    // Written on 3 January 2026.
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_398_400);
    let file = |name: &str, text: &str| {
        let path = logs.path(name);
        fs::write(&path, text).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let newest = file("kern.log", &packet("Jan  2 10:00:00", 1));
    let oldest = file(
        "kern.log.1",
        &(2..=9).map(|source| packet("Dec 30 10:00:00", source)).collect::<String>(),
    );
    let text = metrics(&[&newest, &oldest], "");
    // In the last ten minutes there is one source, not nine.
    let sources = samples(&text, "nflog_source_addresses");
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!((sources[0].1 - 1.0).abs() < 0.5, "{sources:?}");
}

#[test]
fn a_log_without_packets_is_an_error() {
    let logs = Logs::new();
    let file = logs.path("auth.log");
    fs::write(&file, "Nov 28 10:00:00 web1 sshd[7]: Accepted\n".repeat(3)).unwrap();
    let output = replay(&[file.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("auth.log: neither a capture (pcap, pcapng) nor a log"), "{said}");
    assert!(said.contains("none of its 3 lines"), "{said}");
}

/// As a log is just after its rotation.
#[test]
fn an_empty_log_has_no_packets_and_is_no_error() {
    let logs = Logs::new();
    let (empty, packed, full) =
        (logs.path("kern.log"), logs.path("kern.log.2.gz"), logs.path("kern.log.1"));
    fs::write(&empty, "").unwrap();
    gzip(&packed, "");
    fs::write(&full, lines(0..7)).unwrap();
    let paths = [&empty, &packed, &full].map(|path| path.to_str().unwrap());
    assert_eq!(received(&metrics(&paths, "")), 7);
    for path in [paths[0], paths[1], "-"] {
        assert_eq!(received(&metrics(&[path], "")), 0, "{path}");
    }
    for (files, packets) in [(&paths[..], "7"), (&paths[..1], "0")] {
        let output = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
            .args(["report", "--format", "json"])
            .args(files)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("\"packets\": {packets},")), "{text}");
    }
}

#[test]
fn a_compressed_log_that_is_cut_is_counted_up_to_its_end() {
    let logs = Logs::new();
    let file = logs.path("kern.log.gz");
    gzip(&file, &lines(0..20_000));
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let output = replay(&[file.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let counted = received(&String::from_utf8(output.stdout).unwrap());
    assert!(counted > 1000 && counted < 20_000, "{counted}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot read") && said.contains("after line"), "{said}");
}
