//! Rows of a running exporter under load in ClickHouse, with faults of the server and kills of both. Requires root, and
//! PyPI's chdb, which `tests/run chdb` installs.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::mirror_faults::{RULES, config, numbered, scrape, settled, under_load};
use crate::support::{
    Wire,
    clickhouse::ClickHouseServer,
    program::{Exporter, wait_for},
};

/// Name of the database.
const DATABASE: &str = "log";

fn server(wire: &Wire) -> ClickHouseServer {
    let server = ClickHouseServer::start_in(&wire.host);
    server.query("default", &format!("CREATE DATABASE {DATABASE}"));
    server
}

/// The numbers of all rows, including duplicates.
fn numbers(server: &ClickHouseServer) -> Vec<u32> {
    let query = "SELECT bitAnd(ip_saddr, 65535), udp_sport - 20000 FROM ulog";
    let rows = server.query(DATABASE, query);
    let number = |row: &str| {
        let (low, high) = row.split_once('\t').unwrap();
        low.parse::<u32>().unwrap() | high.parse::<u32>().unwrap() << 16
    };
    rows.lines().map(number).collect()
}

/// What happens to the server while rows arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It is killed.
    Kill,
    /// It executes inserts, and closes their connections without an answer.
    Cut,
    /// It hangs for longer than the exporter waits, and then executes what it has received.
    Hang,
    /// It executes inserts after the deadline of the exporter.
    Slow,
    /// It executes all inserts when the fault ends, and answers everything else meanwhile.
    Stall,
}

/// Starts a fault, and waits until rows wait.
fn begin(server: &ClickHouseServer, exporter: &Exporter<'_>, fault: Fault) {
    match fault {
        Fault::Kill => server.kill_9(),
        Fault::Cut => server.fault("cut"),
        Fault::Hang => server.stop(),
        Fault::Slow => server.fault("slow 16"),
        Fault::Stall => server.fault("stall"),
    }
    let is_down = || (!scrape(exporter).up).then_some(());
    wait_for("the mirror to be down", is_down);
    // More than at another moment of the fault: rows of an earlier fault can still be written, because the server executes
    // inserts during some faults.
    let mut least = u64::MAX;
    wait_for("rows in the spool", || {
        let spooled = scrape(exporter).spooled;
        least = least.min(spooled);
        (spooled >= least + 2_000).then_some(())
    });
}

fn end(server: &ClickHouseServer, fault: Fault) {
    match fault {
        Fault::Kill => server.restart(),
        Fault::Hang => server.cont(),
        Fault::Cut | Fault::Slow | Fault::Stall => server.fault(""),
    }
}

/// No row is a duplicate. The rows of the second before a kill of the exporter can be missing, and those of packets that
/// arrived while it did not run.
#[test]
fn rows_survive_all_faults() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let server = server(&wire);
    let spool = tempfile::tempdir().unwrap();
    let config = config(&server.url(DATABASE), spool.path(), "");
    let mut exporter = Some(Exporter::start(&wire.host, &config, &[]));
    let mut gaps = Vec::new();
    let mut recovered = 0;
    let sent = under_load(&wire, |load| {
        let faults = [Fault::Kill, Fault::Cut, Fault::Hang, Fault::Slow, Fault::Stall];
        for (fault, is_killed) in faults.into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let running = exporter.as_ref().unwrap();
            let written = scrape(running).written + 5_000;
            wait_for("rows", || (scrape(running).written >= written).then_some(()));
            begin(&server, running, fault);
            if is_killed {
                // Packets sent a second before must not be lost.
                let (before, then) = (load.sent(), Instant::now());
                wait_for("a second", || (then.elapsed() >= Duration::from_secs(1)).then_some(()));
                let mut killed = exporter.take().unwrap();
                killed.program.signal(Signal::SIGKILL);
                killed.program.wait();
                drop(killed);
                exporter = Some(Exporter::start(&wire.host, &config, &[]));
                gaps.push(before..load.sent() + 1);
                recovered += scrape(exporter.as_ref().unwrap()).recovered;
            }
            end(&server, fault);
        }
    });
    let running = exporter.as_ref().unwrap();
    wait_for("everything through the rules", || {
        (wire.host.counter("logged") >= u64::from(sent)).then_some(())
    });
    let last = settled(running, 0);
    assert_eq!(last.dropped, 0);
    assert!(recovered > 0, "a killed exporter leaves rows in its spool");
    let counts = server.query(DATABASE, "SELECT count(), uniqExact(writer, sequence) FROM packets");
    let (rows, different) = counts.split_once('\t').unwrap();
    assert_eq!(rows, different, "duplicate rows");
    let numbers = numbers(&server);
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "duplicate packets");
    for number in (0..sent).filter(|number| !distinct.contains(number)) {
        let in_gap = gaps.iter().any(|gap| gap.contains(&number));
        assert!(in_gap, "{number} is missing, not in {gaps:?}");
    }
}

/// When the database refuses every row, the rows wait. A single rejected row is dropped alone.
#[test]
fn rows_wait_while_the_database_refuses_all() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let server = server(&wire);
    let spool = tempfile::tempdir().unwrap();
    let exporter =
        Exporter::start(&wire.host, &config(&server.url(DATABASE), spool.path(), ""), &[]);
    wire.send((0..1_000).map(numbered));
    settled(&exporter, 1_000);
    server.query(DATABASE, "ALTER TABLE packets ADD CONSTRAINT wrong CHECK length < 0");
    wire.send((1_000..1_100).map(numbered));
    wait_for("the refusal", || {
        let is_waiting = exporter.program.log().contains("every row is rejected");
        let mirror = scrape(&exporter);
        (is_waiting && !mirror.up && mirror.spooled == 100).then_some(())
    });
    // Rows with one of the sources are rejected.
    server.query(
        DATABASE,
        "ALTER TABLE packets ADD CONSTRAINT one CHECK source <> toIPv6('133.11.4.10')",
    );
    server.query(DATABASE, "ALTER TABLE packets DROP CONSTRAINT wrong");
    let last = settled(&exporter, 1_100);
    assert_eq!((last.written, last.dropped), (1_099, 1));
    assert_eq!(numbers(&server).len(), 1_099);
}
