//! Inserts into MariaDB: the mirror's writer compared with LOAD DATA and with ulogd2, and the whole
//! exporter under load. Uses the real table with its indexes, durable commits and a buffer pool of 1 GiB.
//!
//! `cargo bench --bench mirror`, as root, with Debian's `mariadb-server` and `ulogd2-mysql`. It uses
//! both cores; on a busy machine the ranges show how reliable the medians are. The rate of ulogd2 depends
//! on the time of a commit on the disk, so it is measured without commits to disk as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

mod bulk;
mod figures;
mod live;
#[path = "../../tests/support/mod.rs"]
mod support;
mod ulogd;

use std::fs;

use figures::{Figures, median};
use support::mariadb::MariaDb;

/// Rows of one run.
const ROWS: u64 = 1_000_000;

/// Number of runs of each method; the methods alternate.
const RUNS: usize = 3;

fn main() {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let server = MariaDb::start_with(&[
        "--innodb-buffer-pool-size=1G",
        // MariaDB's defaults, which the tests' servers do not use.
        "--innodb-log-file-size=96M",
    ]);
    println!("{}, load of this machine before: {load}", server.query("mysql", "SELECT VERSION()"));

    let rows = bulk::rows(ROWS);
    let file = bulk::file(&rows);
    let (mut ours, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        loaded.push(bulk::load_data(&server, file.path(), ROWS));
        ours.push(bulk::write(&server, &rows));
    }
    drop((rows, file));
    let (durable, buffered) = (ulogd::run(&server, true), ulogd::run(&server, false));
    let live = live::run(&server);

    println!("{:>30} {:>9} {:>19} {:>11} {:>11}", "", "rows/s", "of runs", "client", "server");
    println!("{:>30} {:>9} {:>19} {:>11} {:>11}", "", "", "", "µs/row", "µs/row");
    let (ours, loaded) = (line("our writer", &ours), line("(a) LOAD DATA LOCAL", &loaded));
    let durable = line("(b) ulogd2", &[durable]);
    let buffered = line("(c) ulogd2, commits in memory", &[buffered]);
    println!("{live}");
    println!("ours / (a): {:.0} % (aim: 70 % or more)", 100.0 * ours / loaded);
    println!("ours / (b): {:.0} times (aim: 30 or more)", ours / durable);
    println!("ours, durable / (c): {:.0} times", ours / buffered);
}

/// Prints the median of some runs. Returns its rows per second.
fn line(name: &str, runs: &[Figures]) -> f64 {
    let rate = |run: &Figures| run.rows as f64 / run.time.as_secs_f64();
    let rates: Vec<_> = runs.iter().map(rate).collect();
    let (least, most) = rates
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let per_row =
        |run: &Figures, time: std::time::Duration| 1e6 * time.as_secs_f64() / run.rows as f64;
    let client = median(runs.iter().map(|run| per_row(run, run.client)));
    let server = median(runs.iter().map(|run| per_row(run, run.server)));
    let rate = median(rates);
    println!("{name:>30} {rate:>9.0} {least:>9.0}-{most:<9.0} {client:>11.2} {server:>11.2}");
    rate
}
