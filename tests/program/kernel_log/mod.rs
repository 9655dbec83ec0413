//! Lines of the kernel log: a corpus of the formats of daemons and devices.
//!
//! `tests/data/kernel_log/packets.txt` contains each line, and below it what is read. The lines are composed from the
//! format strings of the writers.

mod model;
mod property;

use std::{fmt::Write as _, fs};

use nflog_exporter::source::log::{
    envelope::{self, Envelope},
    line_time::{LineTime, Zone},
    packet_line::{self, LoggedPacket},
};

use crate::support::golden::check_golden;

const FILE: &str = "tests/data/kernel_log/packets.txt";

/// 2026-12-04 00:00:00 UTC, when the file is read.
const REFERENCE: u64 = 1_796_342_400_000_000;

/// Mark of a line of the result.
const RESULT: &str = "    ";

/// Replaces `\r`, `\0` and `\xNN` by their bytes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let (byte, length) = match after.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'0', ..] => (0, 1),
            [b'x', ..] => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
            _ => (b'\\', 0),
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    bytes.extend(rest.bytes());
    bytes
}

fn shown_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// One line for the envelope, and one for the packet.
fn shown(line: &[u8]) -> String {
    let envelope = envelope::parse(line);
    let mut text = format!("{RESULT}{}\n", shown_envelope(&envelope));
    if envelope.may_log_packets() {
        match packet_line::parse(envelope.message) {
            Ok(packet) => writeln!(text, "{RESULT}{}", shown_packet(&packet)).unwrap(),
            Err(reason) => writeln!(text, "{RESULT}{}", reason.name()).unwrap(),
        }
    }
    text
}

fn shown_envelope(envelope: &Envelope<'_>) -> String {
    let mut text = match envelope.time {
        LineTime::SinceBoot(micros) => format!("boot+{micros}us"),
        LineTime::Unknown => "no time".into(),
        time => format!("{}us", time.resolve(REFERENCE, &Zone::utc()).unwrap()),
    };
    for (name, value) in [("host", envelope.host), ("program", envelope.program)] {
        if let Some(value) = value {
            write!(text, " {name}={}", shown_bytes(value)).unwrap();
        }
    }
    if let Some(count) = envelope.repeated {
        write!(text, " repeated={count}").unwrap();
    }
    text
}

fn shown_packet(packet: &LoggedPacket<'_>) -> String {
    let headers = &packet.headers;
    let mut text = format!("prefix={}", shown_bytes(packet.prefix));
    let mut show = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            write!(text, " {name}={value}").unwrap();
        }
    };
    show("in", Some(packet.in_device.into()));
    show("out", Some(packet.out_device.into()));
    show("direction", packet.direction.map(|direction| direction.name().into()));
    show("ether_type", packet.ether_type.map(|number| format!("{number:04x}")));
    let octets: Vec<_> =
        packet.hardware_address.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    show("sender", Some(octets.join(":")));
    show("source", headers.addresses.map(|addresses| addresses.source().to_string()));
    show("destination", headers.addresses.map(|addresses| addresses.destination().to_string()));
    show("protocol", headers.protocol.map(|number| number.to_string()));
    show("length", Some(headers.length.to_string()));
    show("ttl", headers.ttl.map(|ttl| ttl.to_string()));
    show("transport", Some(format!("{:?}", headers.transport)));
    show("mark", (packet.mark != 0).then(|| format!("{:#x}", packet.mark)));
    show("uid", packet.uid.map(|uid| uid.to_string()));
    show("issue", headers.issue.map(|issue| issue.name().into()));
    text
}

/// The lines of the corpus.
fn lines() -> Vec<Vec<u8>> {
    let corpus = fs::read_to_string(FILE).unwrap();
    let is_line = |line: &&str| !line.is_empty() && !line.starts_with(['#', ' ']);
    corpus.lines().filter(is_line).map(unescape).collect()
}

#[test]
fn no_line_allocates_memory() {
    let (lines, zone) = (lines(), Zone::system());
    let read = |line: &[u8]| {
        let envelope = envelope::parse(line);
        let time = envelope.time.resolve(REFERENCE, &zone);
        (time, packet_line::parse(envelope.message).is_ok())
    };
    // The first call builds a table.
    read(b"first");
    let mut packets = 0;
    for line in &lines {
        let allocated = allocation_counter::measure(|| packets += usize::from(read(line).1));
        assert_eq!(allocated.count_total, 0, "{}", line.escape_ascii());
    }
    assert!(packets > 50, "{packets}");
}

#[test]
fn each_line_of_the_corpus_is_read_as_expected() {
    let corpus = fs::read_to_string(FILE).unwrap();
    let mut text = String::new();
    for line in corpus.lines().filter(|line| !line.starts_with(RESULT)) {
        writeln!(text, "{line}").unwrap();
        if !line.is_empty() && !line.starts_with('#') {
            text += &shown(&unescape(line));
        }
    }
    check_golden(FILE, &text);
}
