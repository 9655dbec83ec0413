//! ulogd2 with its own schema and the stack of Debian's example.

use std::{
    fs,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    figures::{Figures, cpu},
    live,
    support::{
        Wire,
        mariadb::MariaDb,
        netns::log_and_drop,
        program::wait_for,
        ulogd::{Database, Input},
    },
};

/// Maximum number of packets sent.
const PACKETS: u64 = 50_000;

/// Maximum time for counting its rows.
const LONGEST: Duration = Duration::from_secs(20);

/// Packets sent at a time, four times a second: more than it can process.
const BURST: usize = 1_250;

/// Time without a new row after which the run ends.
const QUIET: Duration = Duration::from_secs(2);

const INPUT: Input =
    Input { group: 2, receive_buffer: 16 << 20, queue_threshold: 50, queue_timeout: 1 };

/// Sends packets faster than it processes them, and counts its rows from the first to the last. Unless
/// `durable`, its commits, one for each packet, do not wait for the disk.
pub fn run(server: &MariaDb, durable: bool) -> Figures {
    let flush = |when: u8| {
        server.query("mysql", &format!("SET GLOBAL innodb_flush_log_at_trx_commit = {when}"));
    };
    flush(u8::from(durable));
    let database = Database::new(server);
    let wire = Wire::new();
    wire.host.nft(&log_and_drop(2, ""));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("ulogd.conf");
    fs::write(&config, database.configuration(&INPUT, directory.path())).unwrap();
    let child = wire
        .host
        .command("ulogd")
        .arg("--configfile")
        .arg(&config)
        .env("MYSQL_UNIX_PORT", server.socket())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ulogd = Ended(child);
    wait_for("ulogd2", || {
        let groups = wire
            .host
            .run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").unwrap());
        (!groups.is_empty()).then_some(())
    });

    let rows =
        || -> u64 { database.query("SELECT IFNULL(MAX(_id), 0) FROM ulog2").parse().unwrap() };
    let mut numbers = 0..PACKETS;
    let mut send = || wire.send(numbers.by_ref().take(BURST).map(live::packet));
    send();
    let first = wait_for("ulogd2's first rows", || Some(rows()).filter(|rows| *rows > 0));
    let (id, server_id) = (ulogd.0.id(), server.pid());
    let (spent, answered, began) = (cpu(id), cpu(server_id), Instant::now());
    let (mut last, mut time) = (first, Duration::ZERO);
    // Packets that overflowed its socket never become rows: stop when no more rows appear.
    while last < PACKETS && began.elapsed() < LONGEST && began.elapsed() < time + QUIET {
        send();
        // Rarely, because each query is work for the server.
        sleep(Duration::from_millis(250));
        let now = rows();
        if now > last {
            (last, time) = (now, began.elapsed());
        }
    }
    let figures = Figures {
        rows: last - first,
        time,
        client: cpu(id).saturating_sub(spent),
        server: cpu(server_id).saturating_sub(answered),
    };
    drop(ulogd);
    flush(1);
    figures
}

/// A process that ends when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
