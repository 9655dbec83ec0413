//! Time per line of the kernel log, from its bytes to the packet, on one thread.
//!
//! The lines are those of `tests/data/kernel_log/packets.txt` that rsyslog and the kernel write, with 10,000 different
//! addresses and ports.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

use std::{hint::black_box, net::Ipv4Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nflog_exporter::source::log::{
    envelope,
    line_time::{LineTime, Zone},
    packet_line,
};

const LINES: u32 = 10_000;

/// 2026-12-04 00:00:00 UTC.
const REFERENCE: u64 = 1_796_342_400_000_000;

const CORPUS: &str = include_str!("../tests/data/kernel_log/packets.txt");

/// Lines like the first line of the corpus that starts with this text.
fn lines(start: &str) -> Vec<Vec<u8>> {
    let line = CORPUS.lines().find(|line| line.starts_with(start)).unwrap();
    let number = |index: u32| index.wrapping_mul(0x9e37_79b9);
    (0..LINES)
        .map(|index| {
            let source = Ipv4Addr::from_bits(number(index)).to_string();
            let port = (number(index) & 0xffff).to_string();
            line.replace("203.0.113.7", &source).replace("51413", &port).into_bytes()
        })
        .collect()
}

fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(LINES.into()));
    let (rsyslog, iso) = (lines("Dec  3 10:11:12 web1"), lines("2026-12-03T10:11:12.345678+01:00"));
    let messages: Vec<Vec<u8>> =
        rsyslog.iter().map(|line| envelope::parse(line).message.to_vec()).collect();
    group.bench_function("packet of a message", |bencher| {
        bencher.iter(|| {
            for message in &messages {
                black_box(packet_line::parse(black_box(message)).unwrap());
            }
        });
    });
    let zone = Zone::system();
    for (name, lines) in [("RFC 3164", &rsyslog), ("RFC 3339", &iso)] {
        group.bench_function(format!("line with a time of {name}"), |bencher| {
            bencher.iter(|| {
                for line in lines {
                    let envelope = envelope::parse(black_box(line));
                    assert!(envelope.time != LineTime::Unknown && envelope.may_log_packets());
                    black_box(envelope.time.resolve(REFERENCE, &zone));
                    black_box(packet_line::parse(envelope.message).unwrap());
                }
            });
        });
    }
    let other: Vec<Vec<u8>> = (0..LINES)
        .map(|index| format!("Dec  3 10:11:12 web1 kernel: [{index}.345678] usb 1-1: new high-speed USB device number 2 using xhci_hcd, and so on").into_bytes())
        .collect();
    group.bench_function("line without a packet", |bencher| {
        bencher.iter(|| {
            for line in &other {
                let envelope = envelope::parse(black_box(line));
                black_box(packet_line::parse(envelope.message)).unwrap_err();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, log);
criterion_main!(benches);
