//! Several threads that count, with one budget, and beside a followed file.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use nix::sys::signal::Signal;
use rusqlite::Connection;

use super::{FAMILIES, apply, assert_totals, config, frame_of, received};
use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, samples, sum, wait_for, whole},
};

/// Two threads count a flood of packets of different keys: at every scrape, no family exceeds its budget, and all totals are
/// exact.
#[test]
fn a_flood_through_two_threads_stays_in_every_budget() {
    let wire = Wire::new();
    apply(&wire.host, &["nft", "--log", "all", "--limit", "0", "--spread", "2"]);
    let config = format!("[nflog]\ngroups = [1, 2]\nqueue_timeout = '10ms'\n{FAMILIES}");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let is_done = AtomicBool::new(false);
    let mut scrapes = 0;
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let sent = (0..20).map(|round: u8| {
                wire.send((0..10_000_u16).map(|number| {
                    let [high, low] = number.to_be_bytes();
                    frame::udp(
                        [100 + round, high, low, 1],
                        number,
                        number.wrapping_mul(31) | 1,
                        b"x",
                    )
                }))
            });
            let sent: u64 = sent.sum();
            is_done.store(true, Relaxed);
            sent
        });
        while !is_done.load(Relaxed) {
            let text = exporter.scrape();
            scrapes += 1;
            assert_totals(&text);
            for (metric, most) in [
                ("nflog_small_packets_total", 50),
                ("nflog_packets_total", 2_000),
                ("nflog_network_packets_total", 2_000),
            ] {
                let labels = samples(&text, metric).len();
                assert!(labels <= most, "{labels} label sets of {metric}");
            }
        }
        sender.join().unwrap()
    });
    assert!(scrapes > 3, "{scrapes}");
    let text = wait_for("the packets", || {
        Some(exporter.scrape())
            .filter(|text| received(text) + sum(text, "nflog_exporter_lost_packets_total") >= sent)
    });
    assert_totals(&text);
    let groups: BTreeMap<_, _> = samples(&text, "nflog_exporter_received_packets_total")
        .into_iter()
        .map(|(labels, count)| (labels["group"].clone(), whole(count)))
        .collect();
    assert!(groups["1"] > sent / 4 && groups["2"] > sent / 4, "{groups:?}");
}

/// Lines of a followed file are read beside packets of two groups, which other threads offer to the same mirror: after kills,
/// each line is one row.
#[test]
fn kills_beside_two_groups_write_every_line_once() {
    let wire = Wire::new();
    apply(&wire.host, &["nft", "--log", "all", "--limit", "0", "--spread", "2"]);
    let files = tempfile::tempdir().unwrap();
    open_to_all(files.path());
    let log = files.path().join("kern.log");
    fs::write(&log, "").unwrap();
    let config = format!(
        "{}[kernel_log]\nfiles = ['{}']\nstate_file = '{}/positions'\n",
        config(&[1, 2], files.path()),
        log.display(),
        files.path().display()
    );
    let start = || {
        let exporter = Exporter::start(&wire.host, &config, &[]);
        wait_for("the file", || {
            exporter.program.log().contains("following a log file").then_some(())
        });
        exporter
    };
    drop(start());
    let (written, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(&log).unwrap();
            while !is_done.load(Relaxed) {
                let number = written.load(Relaxed);
                let line = format!(
                    "Nov 28 10:00:00 web1 kernel: [12345.{number:06}] line IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 \
                     TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=UDP SPT={} DPT={} LEN=20 \n",
                    number % 50_000,
                    number / 50_000
                );
                file.write_all(line.as_bytes()).unwrap();
                written.store(number + 1, Relaxed);
                thread::sleep(Duration::from_micros(fastrand::u64(200..800)));
            }
        });
        scope.spawn(|| {
            let mut number = 0_u16;
            while !is_done.load(Relaxed) {
                wire.send((0..500).map(|more| frame_of((number + more) % 8_000)));
                number = (number + 500) % 8_000;
            }
        });
        for _ in 0..8 {
            let mut exporter = start();
            let before = written.load(Relaxed);
            let more = fastrand::u64(100..600);
            wait_for("more lines", || (written.load(Relaxed) > before + more).then_some(()));
            exporter.program.signal(Signal::SIGKILL);
            exporter.program.wait();
        }
        is_done.store(true, Relaxed);
    });
    let written = written.load(Relaxed);
    let mut exporter = start();
    let count = || {
        let rows = Connection::open(files.path().join("rows.db")).ok()?;
        let query = "SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT source_port, destination_port FROM packets \
                     WHERE prefix = 'line')) FROM packets WHERE prefix = 'line'";
        rows.query_row(query, [], |row| {
            Ok((u64::from(row.get::<_, u32>(0)?), u64::from(row.get::<_, u32>(1)?)))
        })
        .ok()
    };
    wait_for("every row", || count().filter(|(rows, _)| *rows >= written));
    exporter.program.signal(Signal::SIGTERM);
    assert!(exporter.program.wait().success());
    assert_eq!(count(), Some((written, written)));
    let text = exporter.program.log();
    assert!(!text.contains("panicked"), "{text}");
}
