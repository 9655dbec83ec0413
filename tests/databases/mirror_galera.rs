//! The mirror with a Galera cluster of three nodes, under load. Requires root, and MariaDB and galera-4 of Debian's packages.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use nflog_exporter::mirror::{schema, store::Kind};

use super::mirror_faults::{DATABASE, RULES, config, numbers, scrape, settled, under_load};
use crate::support::{
    Wire,
    doctor::{Report, doctor_with},
    galera::{Galera, NODES},
    program::{Exporter, open_to_all, sum, wait_for},
};

/// Rows that are written after each fault.
const MORE: u64 = 4_000;

/// A cluster with a database, and the URL of all nodes; the certificate of each node is valid for its address only.
fn cluster(wire: &Wire) -> (Galera<'_>, tempfile::TempDir, String) {
    let cluster = Galera::start(&wire.host);
    cluster.node(0).query(
        "mysql",
        &format!(
            "CREATE DATABASE {DATABASE}; CREATE USER nflog IDENTIFIED BY 'secret'; \
             GRANT ALL ON {DATABASE}.* TO nflog"
        ),
    );
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let authorities = directory.path().join("ca.pem");
    fs::write(&authorities, cluster.authorities()).unwrap();
    fs::set_permissions(&authorities, fs::Permissions::from_mode(0o644)).unwrap();
    let url = format!(
        "mysql://nflog:secret@{}/{DATABASE}?sslrootcert={}",
        Galera::hosts().join(","),
        authorities.display()
    );
    (cluster, directory, url)
}

/// Creates what is missing, as an administrator does.
fn create_views(cluster: &Galera<'_>) {
    cluster.node(0).load(DATABASE, schema::ddl(Kind::MySql));
}

/// The node that the exporter uses, by its log.
fn used(exporter: &Exporter<'_>) -> usize {
    let log = exporter.program.log();
    let line = log.lines().rfind(|line| line.contains("mirror: uses ")).unwrap();
    (0..NODES).find(|node| line.contains(&format!("@{}/", Galera::hosts()[*node]))).unwrap()
}

/// The nodes to which the exporter is connected, by its metrics.
fn connected(exporter: &Exporter<'_>) -> Vec<usize> {
    let metrics = exporter.scrape();
    let value =
        |host: &String| format!("nflog_exporter_mirror_server_connected{{server=\"{host}\"}} 1");
    let is_connected = |node: &usize| metrics.contains(&value(&Galera::hosts()[*node]));
    (0..NODES).filter(is_connected).collect()
}

/// Number of times that the exporter chose a node.
fn choices(exporter: &Exporter<'_>) -> usize {
    exporter.program.log().matches("mirror: uses ").count()
}

/// Waits until more rows are written.
fn wait_for_rows(exporter: &Exporter<'_>) {
    let written = scrape(exporter).written;
    wait_for("rows", || (scrape(exporter).written >= written + MORE).then_some(()));
}

/// Waits until the exporter uses another node than this one, and writes rows there. Returns that node.
fn wait_for_change(exporter: &Exporter<'_>, from: usize) -> usize {
    wait_for("another node", || (used(exporter) != from).then_some(()));
    wait_for_rows(exporter);
    wait_for_connection(exporter)
}

/// Waits until the exporter is connected to the node that it chose last, and only to that one. Returns that node.
fn wait_for_connection(exporter: &Exporter<'_>) -> usize {
    wait_for("a connection to the node in use", || {
        let node = used(exporter);
        (connected(exporter) == [node]).then_some(node)
    })
}

/// Checks that every packet is one row on every node.
fn check_rows(cluster: &Galera<'_>, exporter: &Exporter<'_>, sent: u32) {
    let last = settled(exporter, u64::from(sent));
    assert_eq!((last.dropped, last.written), (0, u64::from(sent)));
    assert_eq!(sum(&exporter.scrape(), "nflog_exporter_mirror_reverted_rows_total"), 0);
    let expect: Vec<u32> = (0..sent).collect();
    for node in 0..NODES {
        cluster.wait_for_state(node, "Synced");
        // It applies what the others have committed.
        let wait = "SET SESSION wsrep_sync_wait = 1; SELECT COUNT(*) FROM packets";
        cluster.node(node).query(DATABASE, wait);
        let mut rows = numbers(cluster.node(node));
        rows.sort_unstable();
        let difference = rows.iter().zip(&expect).find(|(row, expect)| row != expect);
        assert!(rows == expect, "node {node}: {} of {sent} rows, {difference:?}", rows.len());
    }
}

/// Nodes are killed, separated from the others, and not synced. The exporter goes to a node that can be used, and every
/// packet is one row on every node.
#[test]
fn rows_survive_faults_of_nodes() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let (cluster, directory, url) = cluster(&wire);
    create_views(&cluster);
    let spool = directory.path().join("spool");
    let exporter = Exporter::start(&wire.host, &config(&url, &spool, ""), &[]);
    let sent = under_load(&wire, |_| {
        wait_for_rows(&exporter);
        assert_eq!(used(&exporter), 0, "the first of the URL");

        // It is killed, and the next one is not synced.
        cluster.node(1).query("mysql", "SET GLOBAL wsrep_desync = ON");
        cluster.node(0).kill_9();
        assert_eq!(wait_for_change(&exporter, 0), 2);
        let log = exporter.program.log();
        assert!(log.contains("the node is not synced (its state is Donor/Desynced)"), "{log}");
        cluster.node(1).query("mysql", "SET GLOBAL wsrep_desync = OFF");
        cluster.rejoin(0);

        // It is separated from the others, but not from the exporter.
        cluster.separate(2);
        cluster.wait_for_component(2, "non-Primary");
        assert_eq!(wait_for_change(&exporter, 2), 0);
        // After the change: the doctor reports a running exporter that cannot write.
        let found = doctor_with(&wire.host, &config(&url, &spool, ""));
        found.ok("mirror", "the node is not in the primary component");
        cluster.reunite();
        cluster.wait_for_state(2, "Synced");

        // When nodes come together again, the one in use can reject a transaction, and another one is chosen.
        wait_for_rows(&exporter);
        let first = wait_for_connection(&exporter);
        let [second, third] = [1, 2].map(|distance| (first + distance) % NODES);

        // A working connection stays, also to a node that is not synced.
        let before = choices(&exporter);
        cluster.node(first).query("mysql", "SET GLOBAL wsrep_desync = ON");
        wait_for_rows(&exporter);
        cluster.node(first).query("mysql", "SET GLOBAL wsrep_desync = OFF");
        cluster.node(second).query("mysql", "SET GLOBAL read_only = ON");
        assert_eq!(choices(&exporter), before, "{}", exporter.program.log());

        // The next one is read-only.
        cluster.node(first).kill_9();
        assert_eq!(wait_for_change(&exporter, first), third);
        assert!(exporter.program.log().contains("is read-only (read_only is ON)"));
        check_doctor(&wire, &url, &spool, [first, second, third]);
        cluster.rejoin(first);

        // It is killed, and no other one is both writable and synced.
        check_last_resort(&cluster, &exporter, [first, second, third], || {
            doctor_with(&wire.host, &config(&url, &spool, ""))
        });
    });
    check_rows(&cluster, &exporter, sent);
}

/// Only a desynced node accepts rows: the third node, which is used, is killed, and the second is read-only.
fn check_last_resort(
    cluster: &Galera<'_>,
    exporter: &Exporter<'_>,
    [first, second, third]: [usize; NODES],
    doctor: impl Fn() -> Report,
) {
    cluster.node(first).query("mysql", "SET GLOBAL wsrep_desync = ON");
    cluster.wait_for_state(first, "Donor/Desynced");
    cluster.node(third).kill_9();
    assert_eq!(wait_for_change(exporter, third), first);
    let hosts = Galera::hosts();
    let expect = format!(
        "mirror: no other server accepts rows: mysql://nflog@{}/{DATABASE}: Galera: the node is not synced (its state \
         is Donor/Desynced)",
        hosts[first]
    );
    let log = exporter.program.log();
    assert!(log.contains(&expect), "{log}");
    let found = doctor();
    let usable = found.all("mirror", "ok").join("\n");
    assert!(
        usable.contains("(its state is Donor/Desynced); it is used if no other one is usable"),
        "{usable}"
    );
    found.ok("mirror_rights", "rows can be written");
    // It stays in use when another one is synced again, because it works.
    cluster.node(second).query("mysql", "SET GLOBAL read_only = OFF");
    let before = choices(exporter);
    wait_for_rows(exporter);
    assert_eq!(choices(exporter), before);
    cluster.node(first).query("mysql", "SET GLOBAL wsrep_desync = OFF");
    cluster.rejoin(third);
}

/// The doctor describes each node: the first was killed, the second is read-only, and the third can be used.
fn check_doctor(wire: &Wire, url: &str, spool: &Path, [first, second, third]: [usize; NODES]) {
    let hosts = Galera::hosts();
    let found = doctor_with(&wire.host, &config(url, spool, ""));
    found.failed("mirror", &hosts[first]);
    let usable = found.all("mirror", "ok").join("\n");
    let read_only = format!("{}/{DATABASE}: MySQL: is read-only", hosts[second]);
    let synced = format!("{}/{DATABASE} is a synced node of a Galera cluster of 2", hosts[third]);
    assert!(usable.contains(&read_only) && usable.contains(&synced), "{usable}");
    found.ok("mirror_rights", "rows can be written");
}

/// Exporters start on all nodes at the same time. Another client changes the row with the position on another node, and several
/// exporters change partitions. The exporter stays with its node, and every packet is one row.
#[test]
fn conflicts_repeat_transactions() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let (cluster, directory, url) = cluster(&wire);
    let spool = directory.path().join("spool");
    inspect_on_all_nodes(&wire, &url, &spool);
    create_views(&cluster);
    let config = config(&url, &spool, "server_order = 'random'");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let sent = under_load(&wire, |_| {
        wait_for_rows(&exporter);
        let node = used(&exporter);
        let other = cluster.node((node + 1) % NODES);
        let conflicts = || -> u64 {
            let count = |name| cluster.status(node, name).unwrap().parse::<u64>().unwrap();
            count("wsrep_local_bf_aborts") + count("wsrep_local_cert_failures")
        };
        let (before, stop) = (conflicts(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let sql = "UPDATE nflog_writers SET updated = updated + INTERVAL 1 MICROSECOND";
                    other.try_query(DATABASE, sql);
                }
            });
            let ended = StopOnDrop(&stop);
            wait_for("conflicts", || (conflicts() >= before + 50).then_some(()));
            drop(ended);
        });
        wait_for_rows(&exporter);

        // Each exporter that starts creates the days that another one lacks.
        for _ in 0..3 {
            let days = "SELECT GROUP_CONCAT(PARTITION_NAME) FROM information_schema.PARTITIONS WHERE \
                        TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'packets' AND PARTITION_DESCRIPTION > \
                        CONCAT('''', UTC_DATE() + INTERVAL 2 DAY) AND PARTITION_NAME <> 'pmax'";
            let days = other.query(DATABASE, days);
            other.query(DATABASE, &format!("ALTER TABLE packets DROP PARTITION {days}"));
            inspect_on_all_nodes(&wire, &url, &spool);
            wait_for_rows(&exporter);
        }
    });
    check_rows(&cluster, &exporter, sent);
    assert_eq!(choices(&exporter), 1, "{}", exporter.program.log());
}

/// Prepares tables and partitions on all nodes at the same time, as starting exporters do.
fn inspect_on_all_nodes(wire: &Wire, url: &str, spool: &Path) {
    thread::scope(|scope| {
        for host in Galera::hosts() {
            let url = url.replace(&Galera::hosts().join(","), &host);
            scope.spawn(move || {
                let found = doctor_with(&wire.host, &config(&url, spool, ""));
                found.ok("mirror_schema", "the tables exist and are up to date");
                found.ok("mirror_rights", "rows can be written");
                found.ok("mirror_days", "the partitions of the next days exist");
            });
        }
    });
}

/// Ends a thread, also after a panic.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
