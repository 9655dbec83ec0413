//! Rows into MariaDB, PostgreSQL, ClickHouse and SQLite: the mirror compared with each database's own bulk loader and
//! with ulogd2, the whole exporter under load, and the mirror's cost on the thread that reads packets.
//!
//! `cargo bench --bench mirror`, as root, with Debian's `mariadb-server`, `postgresql`, `sqlite3` and `ulogd2-mysql`,
//! and PyPI's chdb. It uses the real tables with their indexes, durable commits, and buffers of 1 GiB in the servers. It
//! uses both cores; on a busy machine the ranges show how reliable the medians are. The rate of ulogd2 depends on the
//! time of a commit on the disk, so it is measured without commits to disk as well.
//! `cargo bench --bench mirror -- reader mariadb postgresql clickhouse sqlite exporter` runs these parts; the default is
//! all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

mod bulk;
mod clickhouse;
#[path = "../datagrams/mod.rs"]
mod datagrams;
mod figures;
mod file;
mod live;
mod mariadb;
mod packets;
mod postgres;
mod reader;
mod sqlite;
#[path = "../../tests/support/mod.rs"]
mod support;
mod ulogd;

use std::{env, fs};

use bulk::Database;
use figures::{Figures, median};
use nflog_exporter::event::Event;
use packets::Packets;
use support::{clickhouse::ClickHouseServer, mariadb::MariaDb, postgres_server::PostgresServer};

/// Rows of one run.
const ROWS: u64 = 1_000_000;

/// Number of runs of each method; the methods alternate.
const RUNS: usize = 3;

/// Options of MariaDB: its defaults, which the tests' servers do not use, and a large buffer.
const MARIADB: [&str; 2] = ["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=96M"];

fn main() {
    println!("load of this machine before: {}", fs::read_to_string("/proc/loadavg").unwrap());
    let parts: Vec<_> = env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("reader") {
        reader::run();
    }
    let mut packets = Packets::new();
    let events = packets.events(ROWS);
    println!("{:>30} {:>9} {:>19} {:>11} {:>11}", "", "rows/s", "of runs", "client", "server");
    println!("{:>30} {:>9} {:>19} {:>11} {:>11}", "", "", "", "µs/row", "µs/row");
    let mut ours = None;
    if is_wanted("mariadb") {
        ours = Some(compare(&MariaDb::start_with(&MARIADB), &packets, &events));
    }
    if is_wanted("postgresql") {
        compare(&PostgresServer::start_with(&["shared_buffers=1GB"]), &packets, &events);
    }
    if is_wanted("clickhouse") {
        compare(&ClickHouseServer::start(), &packets, &events);
    }
    if is_wanted("sqlite") {
        compare(&sqlite::Files::new(), &packets, &events);
    }
    drop(events);
    if is_wanted("exporter") {
        let server = MariaDb::start_with(&MARIADB);
        let durable = line("ulogd2", &[ulogd::run(&server, true)]);
        let buffered = line("ulogd2, commits in memory", &[ulogd::run(&server, false)]);
        if let Some(ours) = ours {
            println!("the mirror / ulogd2: {:.0} times (aim: 30 or more)", ours / durable);
            println!("the mirror, durable / ulogd2 in memory: {:.0} times", ours / buffered);
        }
        println!("{}", live::run(&server));
    }
}

/// Compares the mirror with the bulk loader of a database. Returns the mirror's rows per second.
fn compare<D: Database>(server: &D, packets: &Packets, events: &[Event]) -> f64 {
    let (name, loader) = D::NAMES;
    let rows = packets.rows(events);
    let file = tempfile::NamedTempFile::new().unwrap();
    server.write_file(&rows, file.path());
    let [mut bulk, mut store, mut mirror] = [const { Vec::new() }; 3];
    for _ in 0..RUNS {
        bulk.push(bulk::load(server, file.path(), rows.len()));
        store.push(bulk::write(server, &rows));
        mirror.push(bulk::mirror(server, packets, events));
    }
    let bulk = line(&format!("{name}, {loader}"), &bulk);
    line(&format!("{name}, store"), &store);
    let mirror = line(&format!("{name}, mirror"), &mirror);
    println!("{:>30} {:>8.0} % of {loader}", "", 100.0 * mirror / bulk);
    mirror
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
