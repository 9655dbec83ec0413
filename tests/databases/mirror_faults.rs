//! Rows of a running exporter under load, with faults of its database, its disk and itself. Requires root, and a
//! MariaDB of Debian's packages.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::support::{
    Wire, frame,
    mariadb::MariaDb,
    program::{Exporter, samples, sum, wait_for, whole},
    proxy::Proxy,
    tmpfs::Tmpfs,
};

/// Logs all UDP, counts it, and drops it.
pub(super) const RULES: &str = "
    table inet t {
        counter logged {}
        chain in {
            type filter hook prerouting priority -100;
            iifname wan0 meta l4proto udp counter name logged log prefix \"load\" group 1 drop
        }
    }
";

/// Packets per second of the load: enough for several transactions at any moment.
const RATE: u32 = 4_000;

/// Name of the database.
pub(super) const DATABASE: &str = "log";

/// A server with an empty database.
fn database() -> MariaDb {
    let server = MariaDb::start();
    server.query("mysql", &format!("CREATE DATABASE {DATABASE}"));
    server
}

/// Its URL through a socket, which every network namespace shares.
fn url(socket: &Path) -> String {
    format!("mysql://root@localhost/{DATABASE}?socket={}", socket.display())
}

/// The frame with this number; each has a different source.
pub(super) fn numbered(number: u32) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    frame::udp([133, 11, middle, low], 20_000 + u16::from(high), 53, b"x")
}

/// The numbers of all rows, including duplicates.
pub(super) fn numbers(database: &MariaDb) -> Vec<u32> {
    let rows = database.query(DATABASE, "SELECT ip_saddr & 65535, udp_sport - 20000 FROM ulog");
    let number = |row: &str| {
        let (low, high) = row.split_once('\t').unwrap();
        low.parse::<u32>().unwrap() | high.parse::<u32>().unwrap() << 16
    };
    rows.lines().map(number).collect()
}

pub(super) fn config(url: &str, spool: &Path, more: &str) -> String {
    format!(
        "[mirror]\nurl = '{url}'\nhost = 'test'\n{more}\n[mirror.spool]\ndirectory = '{}'\n",
        spool.display()
    )
}

/// The mirror's metrics of a scrape.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) received: u64,
    pub(super) written: u64,
    pub(super) spooled: u64,
    pub(super) queued: u64,
    pub(super) dropped: u64,
    pub(super) filtered: u64,
    pub(super) recovered: u64,
    pub(super) up: bool,
}

/// Scrapes, and checks the account against the packets received.
#[track_caller]
pub(super) fn scrape(exporter: &Exporter<'_>) -> Mirror {
    let text = exporter.scrape();
    let rows = |what: &str| sum(&text, &format!("nflog_exporter_mirror_{what}"));
    let mirror = Mirror {
        received: sum(&text, "nflog_exporter_received_packets_total"),
        written: rows("written_rows_total"),
        spooled: rows("spooled_rows"),
        queued: rows("queued_rows"),
        dropped: rows("dropped_rows_total"),
        filtered: rows("filtered_rows_total"),
        recovered: rows("recovered_rows_total"),
        up: rows("up") == 1,
    };
    let Mirror { written, spooled, queued, dropped, filtered, .. } = mirror;
    assert_eq!(
        written + spooled + queued + dropped + filtered,
        mirror.received + mirror.recovered,
        "{mirror:?}"
    );
    assert_eq!(sum(&text, "nflog_exporter_lost_packets_total"), 0);
    mirror
}

fn dropped(exporter: &Exporter<'_>, reason: &str) -> u64 {
    let dropped = samples(&exporter.scrape(), "nflog_exporter_mirror_dropped_rows_total");
    let of = dropped.iter().find(|(labels, _)| labels["reason"] == reason).unwrap();
    whole(of.1)
}

/// Waits until every received packet is written or dropped, and the database is up.
pub(super) fn settled(exporter: &Exporter<'_>, sent: u64) -> Mirror {
    wait_for("all rows in the database", || {
        let mirror = scrape(exporter);
        let all = mirror.received >= sent && mirror.up;
        (all && mirror.spooled + mirror.queued == 0).then_some(mirror)
    })
}

/// A load that continues until it is dropped.
pub(super) struct Load<'s> {
    sent: &'s AtomicU32,
    stop: &'s AtomicBool,
}

impl Load<'_> {
    pub(super) fn sent(&self) -> u32 {
        self.sent.load(Relaxed)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Runs `work` while numbered packets arrive at [`RATE`]. Returns their number.
pub(super) fn under_load(wire: &Wire, work: impl FnOnce(&Load<'_>)) -> u32 {
    let (sent, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            wire.send((0..).map_while(|number| {
                let due = began + Duration::from_secs(1) * number / RATE;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                sent.store(number, Relaxed);
                (!stop.load(Relaxed)).then(|| numbered(number))
            }));
        });
        work(&Load { sent: &sent, stop: &stop });
    });
    sent.into_inner()
}

/// The database is killed ten times, hangs, and loses connections in the middle of commits; the exporter is killed
/// twice. No row is a duplicate. The rows of the second before a kill of the exporter can be missing, and those of
/// packets that arrived while it did not run.
#[test]
fn rows_survive_all_faults() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let proxied = sockets.path().join("proxy.sock");
    let proxy = Proxy::start(&proxied, &database.socket());
    let config = config(&url(&proxied), spool.path(), "");

    let mut exporter = Some(Exporter::start(&wire.host, &config, &[]));
    let mut gaps = Vec::new();
    let mut recovered = 0;
    let mut random = 7_u64;
    let mut chance = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % most
    };
    let sent = under_load(&wire, |load| {
        for round in 0..10 {
            let running = exporter.as_ref().unwrap();
            let written = scrape(running).written + 500 + chance(4_000);
            wait_for("rows", || (scrape(running).written >= written).then_some(()));
            proxy.cut(round % 2 == 1);
            database.kill_9();
            let spooled = scrape(running).spooled + 500 + chance(4_000);
            wait_for("rows in the spool", || (scrape(running).spooled >= spooled).then_some(()));
            if round == 3 || round == 7 {
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
            database.restart();
        }
        let running = exporter.as_ref().unwrap();
        let cuts = proxy.cuts();
        proxy.cut(true);
        wait_for("commits that are cut", || {
            scrape(running);
            (proxy.cuts() >= cuts + 10).then_some(())
        });
        proxy.cut(false);

        database.stop();
        let stopped = Instant::now();
        let mut slowest = Duration::ZERO;
        while stopped.elapsed() < Duration::from_secs(30) {
            let asked = Instant::now();
            scrape(running);
            slowest = slowest.max(asked.elapsed());
        }
        assert!(!scrape(running).up, "a database that hangs is not up");
        database.cont();
        assert!(slowest < Duration::from_secs(5), "a scrape took {slowest:?}");
    });

    let running = exporter.as_ref().unwrap();
    wait_for("everything through the rules", || {
        (wire.host.counter("logged") >= u64::from(sent)).then_some(())
    });
    let last = settled(running, 0);
    assert_eq!(last.dropped, 0);
    assert!(recovered > 0, "a killed exporter leaves rows in its spool");
    let numbers = numbers(&database);
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "duplicate rows");
    let missing = |number: &u32| !distinct.contains(number);
    for number in (0..sent).filter(missing) {
        assert!(
            gaps.iter().any(|gap| gap.contains(&number)),
            "{number} is missing, not in {gaps:?}"
        );
    }
    assert!(proxy.cuts() >= 10);
}

/// On a full disk the spool keeps what fits, and memory a little more; the rest is counted, and the counters are
/// not affected. Afterwards all kept rows are delivered.
#[test]
fn a_full_disk_loses_rows_only() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let disk = Tmpfs::mount(1 << 20);
    let config = config(&url(&database.socket()), &disk.path(), "");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    wait_for("the mirror to be up", || scrape(&exporter).up.then_some(()));
    database.kill_9();
    let mut sent = 0;
    while dropped(&exporter, "spool_failed") == 0 {
        assert!(sent < 400_000, "the disk never fills");
        sent += u32::try_from(wire.send((sent..sent + 5_000).map(numbered))).unwrap();
        wait_for("packets", || (scrape(&exporter).received >= u64::from(sent)).then_some(()));
    }
    let counted = sum(&exporter.scrape(), "nflog_exporter_received_packets_total");
    assert_eq!(counted, u64::from(sent));
    let log = exporter.program.log();
    assert!(log.contains("no space left on the file system"), "{log}");

    database.restart();
    let settled = settled(&exporter, u64::from(sent));
    let numbers = numbers(&database);
    assert_eq!(numbers.len() as u64, settled.written);
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    assert_eq!(settled.written + settled.dropped, u64::from(sent));

    // Everything works again.
    let more = wire.send((sent..sent + 1_000).map(numbered));
    let after = self::settled(&exporter, u64::from(sent) + more);
    assert_eq!(after.dropped, settled.dropped);
}

/// A full spool drops the newest rows, and logs it.
#[test]
fn a_full_spool_drops_the_newest() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let config =
        format!("{}max_size = '1MiB'\n", config(&url(&database.socket()), spool.path(), ""));
    database.kill_9();
    // The database can be unreachable at start, too.
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let mut sent = 0;
    while dropped(&exporter, "spool_full") == 0 {
        assert!(sent < 200_000, "the spool never fills");
        sent += u32::try_from(wire.send((sent..sent + 5_000).map(numbered))).unwrap();
        wait_for("packets", || (scrape(&exporter).received >= u64::from(sent)).then_some(()));
    }
    let size = sum(&exporter.scrape(), "nflog_exporter_mirror_spool_size_bytes");
    assert!(size <= 1 << 20, "{size}");
    assert!(!scrape(&exporter).up);

    database.restart();
    let settled = settled(&exporter, u64::from(sent));
    let numbers: BTreeSet<_> = numbers(&database).into_iter().collect();
    assert_eq!(numbers.len() as u64, settled.written);
    // The oldest rows were kept: all of the first batches.
    let first_missing = (0..sent).find(|number| !numbers.contains(number)).unwrap();
    assert!(first_missing > 5_000, "{first_missing}");
}

/// A connection that breaks in the middle of commits is not a slow database: transactions stay large.
#[test]
fn cut_commits_do_not_make_transactions_small() {
    const ROWS: u32 = 100_000;
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let proxied = sockets.path().join("proxy.sock");
    let proxy = Proxy::start(&proxied, &database.socket());
    database.kill_9();
    let exporter = Exporter::start(&wire.host, &config(&url(&proxied), spool.path(), ""), &[]);
    for start in (0..ROWS).step_by(5_000) {
        wire.send((start..start + 5_000).map(numbered));
        let sent = u64::from(start + 5_000);
        wait_for("packets", || (scrape(&exporter).received >= sent).then_some(()));
    }
    proxy.cut(true);
    database.restart();
    settled(&exporter, ROWS.into());
    // Ten of 10,000 rows would be enough; a third of the commits is lost or not acknowledged.
    assert!(proxy.cuts() >= 3 && proxy.commits() <= 30, "{} commits", proxy.commits());
    let numbers = numbers(&database);
    assert_eq!(numbers.len(), ROWS as usize);
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>().len(), ROWS as usize);
}

/// Each kill leaves a writer in the database, which the next start removes; an unreadable segment loses its own
/// rows only.
#[test]
fn a_kill_leaves_no_writer_and_an_unreadable_file_loses_no_other_rows() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let config = config(&url(&database.socket()), spool.path(), "");
    let mut sent = 0;
    for _ in 0..3 {
        let mut exporter = Exporter::start(&wire.host, &config, &[]);
        wire.send((sent..sent + 1_000).map(numbered));
        sent += 1_000;
        settled(&exporter, 1_000);
        exporter.program.signal(Signal::SIGKILL);
        exporter.program.wait();
    }
    // A file of another user, and one that is not a regular file.
    std::os::unix::fs::symlink("nowhere", spool.path().join("00000000-00000000.seg")).unwrap();
    let locked = spool.path().join("locked.seg");
    std::fs::write(&locked, "x").unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    let exporter = Exporter::start(&wire.host, &config, &[]);
    wire.send((sent..sent + 1_000).map(numbered));
    let last = settled(&exporter, 1_000);
    assert_eq!((last.written, last.dropped), (1_000, 0));
    assert!(exporter.program.log().contains("locked.seg: Permission denied"));
    assert_eq!(database.query(DATABASE, "SELECT COUNT(*) FROM nflog_writers").trim(), "1");
    assert_eq!(numbers(&database).len(), 4_000);
    // The spool is in use: the disk, not memory, has the rows.
    let files = std::fs::read_dir(spool.path()).unwrap().map(|file| file.unwrap().path());
    assert!(files.filter(|file| file.extension().is_some_and(|it| it == "seg")).count() > 2);
}

/// A position that was never sent, as after a restored backup or a copied state, loses no row.
#[test]
fn a_position_ahead_of_what_was_sent_is_rejected() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let config = config(&url(&database.socket()), spool.path(), "");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let mut sent = 0;
    for ahead in ["+ 5000", "+ 1", "* 2 + 100000"] {
        sent += u32::try_from(wire.send((sent..sent + 2_000).map(numbered))).unwrap();
        settled(&exporter, sent.into());
        database
            .query(DATABASE, &format!("UPDATE nflog_writers SET delivered = delivered {ahead}"));
    }
    sent += u32::try_from(wire.send((sent..sent + 2_000).map(numbered))).unwrap();
    assert_eq!(settled(&exporter, sent.into()).written, u64::from(sent));
    let numbers: BTreeSet<_> = numbers(&database).into_iter().collect();
    assert_eq!(numbers.len(), sent as usize);
    assert!(exporter.program.log().contains("claims rows that were never sent"));
}

/// When a database refuses every row, the rows wait until an administrator fixes it. A single rejected row is dropped
/// alone.
#[test]
fn rows_wait_while_the_database_refuses_all() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let database = database();
    let spool = tempfile::tempdir().unwrap();
    let config = config(&url(&database.socket()), spool.path(), "");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    wire.send((0..1_000).map(numbered));
    settled(&exporter, 1_000);
    database.query(DATABASE, "DELETE FROM packets");
    database.query(DATABASE, "ALTER TABLE packets ADD CONSTRAINT wrong CHECK (length < 0)");
    wire.send((1_000..2_000).map(numbered));
    wait_for("the refusal", || {
        let is_waiting = exporter.program.log().contains("every row is rejected");
        let mirror = scrape(&exporter);
        (is_waiting && !mirror.up && mirror.spooled == 1_000).then_some(())
    });
    // Rows with one of the ports are rejected. Before the other constraint is dropped, so that none is written meanwhile.
    database.query(DATABASE, "ALTER TABLE packets ADD CONSTRAINT one CHECK (source_port <> 20000)");
    database.query(DATABASE, "ALTER TABLE packets DROP CONSTRAINT wrong");
    wire.send((65_536..65_636).map(numbered));
    wait_for("the valid rows", || {
        let mirror = scrape(&exporter);
        (mirror.up && mirror.spooled + mirror.queued == 0).then_some(())
    });
    assert_eq!(dropped(&exporter, "rejected"), 1_000);
    assert_eq!(numbers(&database).len(), 100);
}
