//! The mirror with a PostgreSQL primary and a standby that is promoted, under load. Requires root, and PostgreSQL of Debian's
//! packages.

use std::collections::BTreeSet;

use super::mirror_faults::{DATABASE, RULES, config, scrape, settled, under_load};
use crate::support::{
    Wire,
    doctor::doctor_with,
    postgres_server::PostgresServer,
    program::{EXPORTER, Exporter, sum, wait_for},
};

/// Rows that are written before and after each step.
const MORE: u64 = 4_000;

/// A primary with a database, and its standby. Both have the same users.
fn servers(wire: &Wire, settings: &[&str]) -> (PostgresServer, PostgresServer) {
    let primary = PostgresServer::start_in(&wire.host, settings);
    let standby = primary.start_standby(&wire.host, &[]);
    primary.psql("postgres", "CREATE USER nflog PASSWORD 'secret'");
    primary.psql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER nflog"));
    (primary, standby)
}

/// The standby is listed first, so that it is skipped.
fn url(primary: &PostgresServer, standby: &PostgresServer) -> String {
    format!(
        "postgres://nflog:secret@127.0.0.1:{},127.0.0.1:{}/{DATABASE}?target_session_attrs=read-write",
        standby.port(),
        primary.port()
    )
}

/// The numbers of all rows, including duplicates.
fn numbers(server: &PostgresServer) -> Vec<u32> {
    let sql =
        "SELECT ((source - '0.0.0.0'::inet) & 65535) | ((source_port - 20000) << 16) FROM packets";
    server.psql(DATABASE, sql).lines().map(|line| line.parse().unwrap()).collect()
}

/// Waits until more rows are written.
fn wait_for_rows(exporter: &Exporter<'_>) {
    let written = scrape(exporter).written;
    wait_for("rows", || (scrape(exporter).written >= written + MORE).then_some(()));
}

fn reverted(exporter: &Exporter<'_>) -> u64 {
    sum(&exporter.scrape(), "nflog_exporter_mirror_reverted_rows_total")
}

/// With a synchronous standby, every packet is one row of the promoted server.
#[test]
fn a_promoted_synchronous_standby_has_every_row_once() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let (primary, standby) = servers(&wire, &["synchronous_standby_names=*"]);
    let spool = tempfile::tempdir().unwrap();
    let config = config(&url(&primary, &standby), spool.path(), "");
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let sent = under_load(&wire, |_| {
        wait_for_rows(&exporter);
        let log = exporter.program.log();
        assert!(log.contains("is a standby (in recovery)"), "{log}");
        let found = doctor_with(&wire.host, &config);
        found.ok("mirror", "is a standby (in recovery); it is not usable now");
        found.ok("mirror", "is the primary; it is usable first");
        primary.kill_9();
        wait_for("no server", || (!scrape(&exporter).up).then_some(()));
        // Rows can be read nevertheless.
        let url = format!("--mirror.url={}", url(&primary, &standby));
        let report = wire.host.exec(EXPORTER, &["report", "--mirror", &url, "--format=json"]);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert!(report["packets"].as_u64().unwrap() >= MORE, "{report}");
        standby.psql("postgres", "SELECT pg_promote()");
        wait_for_rows(&exporter);
    });
    let last = settled(&exporter, u64::from(sent));
    assert_eq!((last.dropped, last.written, reverted(&exporter)), (0, u64::from(sent), 0));
    let mut rows = numbers(&standby);
    rows.sort_unstable();
    assert!(rows == (0..sent).collect::<Vec<_>>(), "{} of {sent} rows", rows.len());
}

/// An asynchronous standby lacks the last rows when it is promoted, and the exporter no longer has them. It counts them, and
/// writes all later rows once.
#[test]
fn rows_that_a_promoted_asynchronous_standby_lacks_are_counted() {
    let wire = Wire::new();
    wire.host.nft(RULES);
    let (primary, standby) = servers(&wire, &[]);
    let spool = tempfile::tempdir().unwrap();
    let config = config(&url(&primary, &standby), spool.path(), "");
    let mut exporter = Exporter::start(&wire.host, &config, &[]);
    let sent = under_load(&wire, |_| {
        wait_for_rows(&exporter);
        wait_for("the writer on the standby", || {
            let known = standby.try_psql(DATABASE, "SELECT delivered FROM nflog_writers").ok()?;
            (known.parse::<u64>().ok()? > 0).then_some(())
        });
        // The standby receives nothing from here on.
        standby.psql("postgres", "ALTER SYSTEM SET primary_conninfo = 'host=/nonexistent'");
        standby.psql("postgres", "SELECT pg_reload_conf()");
        let receiver = "SELECT count(*) FROM pg_stat_wal_receiver";
        wait_for("the receiver to end", || {
            (standby.psql("postgres", receiver) == "0").then_some(())
        });
        wait_for_rows(&exporter);
        primary.kill_9();
        wait_for("no server", || (!scrape(&exporter).up).then_some(()));
        standby.psql("postgres", "SELECT pg_promote()");
        wait_for_rows(&exporter);
    });
    let last = settled(&exporter, u64::from(sent));
    let reverted = reverted(&exporter);
    assert_eq!((last.dropped, last.written), (0, u64::from(sent)));
    assert!(reverted >= MORE, "{reverted}");
    let log = exporter.program.log();
    assert!(log.contains("confirmed rows that it does not account for any more"), "{log}");

    // The rest is there once, also after a restart.
    exporter.program.signal(nix::sys::signal::Signal::SIGTERM);
    exporter.program.wait();
    drop(exporter);
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let more = wire.send((sent..sent + 1_000).map(super::mirror_faults::numbered));
    settled(&exporter, more);
    assert_eq!(self::reverted(&exporter), 0);
    let rows = numbers(&standby);
    let distinct: BTreeSet<_> = rows.iter().copied().collect();
    assert_eq!(distinct.len(), rows.len(), "duplicate rows");
    assert_eq!(rows.len() as u64, u64::from(sent) + more - reverted);
}
