//! The exporter is killed again and again while lines are written and files are rotated.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use rusqlite::Connection;

use super::{Exporter, Logs, append, line};
use crate::support::program::wait_for;

/// Every line becomes one row, whenever the exporter is killed.
#[test]
fn ten_kills_write_every_line_once() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, "");
    let (rows, spool) = (logs.path("state/packets.db"), logs.path("state/spool"));
    let config = logs.config(
        "kern.log",
        &format!(
            "[mirror]\nurl = 'sqlite:{}'\nretention = '0s'\nspool.directory = '{}'\n",
            rows.display(),
            spool.display()
        ),
    );
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("following a log file");
    drop(exporter);

    let (written, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !is_done.load(Ordering::Relaxed) {
                append(&file, &line(number));
                number += 1;
                written.store(number, Ordering::Relaxed);
                if number % 400 == 0 {
                    // The exporter can be down for more than one rotation. No file is removed: on a busy host, many can
                    // be rotated before it has read them.
                    for age in (1..number / 400).rev() {
                        let name = |age: u64| logs.path(&format!("kern.log.{age}"));
                        let _ = fs::rename(name(age), name(age + 1));
                    }
                    if number % 800 == 0 {
                        fs::rename(&file, logs.path("kern.log.1")).unwrap();
                    } else {
                        fs::copy(&file, logs.path("kern.log.1")).unwrap();
                        fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
                    }
                }
                thread::sleep(Duration::from_micros(fastrand::u64(500..2000)));
            }
        });
        for _ in 0..10 {
            let exporter = Exporter::start(&logs, &config);
            let before = written.load(Ordering::Relaxed);
            let more = fastrand::u64(50..500);
            wait_for("more lines", || {
                (written.load(Ordering::Relaxed) > before + more).then_some(())
            });
            exporter.kill();
        }
        is_done.store(true, Ordering::Relaxed);
    });

    let written = i64::try_from(written.load(Ordering::Relaxed)).unwrap();
    let exporter = Exporter::start(&logs, &config);
    let count = || {
        let connection = Connection::open(&rows).ok()?;
        let query = "SELECT count(*), count(DISTINCT source_port) FROM packets";
        connection
            .query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .ok()
    };
    wait_for("every row", || count().filter(|(rows, _)| *rows >= written));
    exporter.stop();
    assert_eq!(count(), Some((written, written)));
}

/// A kill after the lines were counted counts none of them again.
#[test]
fn ten_kills_count_every_line_once() {
    let logs = Logs::new();
    let file = logs.path("kern.log");
    append(&file, "");
    let config = logs.config("kern.log", "");
    let exporter = Exporter::start(&logs, &config);
    exporter.wait_for_log("following a log file");
    exporter.kill();
    let mut number = 0;
    for round in 0..10 {
        append(&file, &line(number));
        let exporter = Exporter::start(&logs, &config);
        exporter.wait_for_packets(1);
        if round % 2 == 1 {
            fs::rename(&file, logs.path("kern.log.1")).unwrap();
        }
        for more in 1..=5 {
            append(&file, &line(number + more));
        }
        number += 6;
        exporter.wait_for_packets(6);
        exporter.kill();
    }
}
