//! Captures and lines that programs of others read: tshark, fail2ban and jq.

use std::{fs, path::Path, process::Command};

use super::{GROUP, config, log_and_drop, to_file, wait_for_rows};
use crate::support::{
    Wire, frame,
    netns::PEER_V6,
    program::{Exporter, open_to_all},
    server::run,
};

/// Sources of the packets to port 22; the last two are below the limit of the filter.
const SOURCES: [(u8, usize); 4] = [(1, 30), (2, 20), (3, 4), (4, 1)];

/// The standard output of a program, which must succeed.
fn output(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// Runs an exporter with an output of each kind, in the files `pcap`, `pcapng`, `logemu` and `json` of a directory. Returns the
/// number of packets.
fn write_outputs(directory: &Path) -> u64 {
    let wire = Wire::new();
    log_and_drop(&wire, &[GROUP]);
    open_to_all(directory);
    let formats = ["pcap", "pcapng", "logemu", "json"];
    let outputs = formats.map(|format| to_file(format, format, &directory.join(format), ""));
    let exporter = Exporter::start(&wire.host, &config(&outputs.concat()), &[]);
    let mut frames = vec![frame::udp_v6(PEER_V6, 1000, 53, b"x"), frame::ping([8, 8, 8, 8])];
    for (last, count) in SOURCES {
        frames.extend((0..count).map(|_| frame::syn([203, 0, 113, last], 1000, 22)));
    }
    let sent = wire.send(frames);
    for format in formats {
        wait_for_rows(&exporter, format, sent);
    }
    sent
}

/// Time in seconds since 1970 with nanoseconds, log prefix, source and port of a packet.
type Packet = [String; 4];

#[test]
fn tshark_jq_and_fail2ban_read_the_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let sent = write_outputs(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let rows = rows_in_jq(&path("json"));
    assert_eq!(rows.len() as u64, sent);
    for capture in ["pcap", "pcapng"] {
        assert_eq!(packets_in_tshark(&path(capture)), rows, "{capture}");
    }
    assert_eq!(lines_in_fail2ban(&path("logemu"), directory.path()), SOURCES);
}

fn rows_in_jq(file: &str) -> Vec<Packet> {
    let filter = r#"[
        (.time | sub("\\.[0-9]+Z$"; "Z") | fromdate | tostring)
            + (.time | capture("(?<micros>\\.[0-9]+)Z$").micros) + "000",
        .prefix, .source, (.destination_port // "" | tostring)
    ] | join("\t")"#;
    let text = output(Command::new("jq").args(["-r", filter, file]));
    let column = |columns: &[&str], number: usize| columns[number].to_owned();
    let packet = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        [0, 1, 2, 3].map(|number| column(&columns, number))
    };
    text.lines().map(packet).collect()
}

fn packets_in_tshark(capture: &str) -> Vec<Packet> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", capture, "-T", "fields"]);
    for field in
        ["frame.time_epoch", "nflog.prefix", "ip.src", "ipv6.src", "tcp.dstport", "udp.dstport"]
    {
        command.args(["-e", field]);
    }
    let packet = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [time, prefix, v4, v6, tcp, udp] = columns[..] else { panic!("{line}") };
        // The label and the rows have no space at the end of the prefix.
        [time.to_owned(), prefix.trim_end().to_owned(), [v4, v6].concat(), [tcp, udp].concat()]
    };
    output(&mut command).lines().map(packet).collect()
}

/// The last number of each address that fail2ban finds in the lines, with the number of its lines.
fn lines_in_fail2ban(lines: &str, directory: &Path) -> [(u8, usize); 4] {
    let filter = directory.join("nflog.conf");
    let definition =
        "[Definition]\nfailregex = drop in: +IN=\\S+ .*SRC=<HOST> .*PROTO=TCP .*DPT=22 \n";
    fs::write(&filter, definition).unwrap();
    let mut command = Command::new("fail2ban-regex");
    let found = output(command.args(["--out", "ip", lines]).arg(&filter));
    SOURCES.map(|(last, _)| {
        let address = format!("203.0.113.{last}");
        (last, found.lines().filter(|line| *line == address).count())
    })
}
