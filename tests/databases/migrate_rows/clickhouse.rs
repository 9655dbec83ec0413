//! Copies to ClickHouse, which has no transactions: failures of the server, rejected and expired rows.

use std::{fs, process::Command, sync::Arc};

use super::{Database, command, copy, rejected};
use crate::support::{
    clickhouse::ClickHouseServer,
    program::{EXPORTER, wait_for},
};

/// A server of its own, for faults, with a database.
fn server() -> (Arc<ClickHouseServer>, Database) {
    let server = Arc::new(ClickHouseServer::start());
    let name = server.database();
    (Arc::clone(&server), Database::ClickHouse(server, name))
}

/// The table of a source; its rows are numbered from 1 by the column `oob_prefix`.
fn source() -> Database {
    let from = Database::sqlite();
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    from
}

/// Adds rows with these numbers, which alternate between two days.
fn add(from: &Database, first: u64, last: u64) {
    from.load(&format!(
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
         INSERT INTO ulog SELECT 1795889420 + 86400 * (i % 2), i FROM n"
    ));
}

/// Checks that the target has each of the rows with the numbers 1 to `last` once.
#[track_caller]
fn check_rows(to: &Database, last: u64) {
    let found = to.query("SELECT count(), uniqExact(prefix), min(toUInt64(prefix)), max(toUInt64(prefix)) FROM packets");
    assert_eq!(found, format!("{last}\t{last}\t1\t{last}"));
}

/// The insert of a killed run is stored while the next run, which does not see its rows, sends more rows after the same
/// position.
#[test]
fn an_insert_of_a_killed_run_is_not_stored_twice() {
    let (from, (server, to)) = (source(), server());
    add(&from, 1, 2);
    copy(&from.url(), &to.url(), &[]);
    add(&from, 3, 10);
    let stalled = server.directory().join("stalled");
    server.fault("stall");
    let mut first = command(&from.url(), &to.url(), &[]).spawn().unwrap();
    wait_for("a stalled insert", || stalled.exists().then_some(()));
    first.kill().unwrap();
    first.wait().unwrap();
    fs::remove_file(&stalled).unwrap();
    add(&from, 11, 20);
    let next = command(&from.url(), &to.url(), &[]).spawn().unwrap();
    wait_for("another stalled insert", || stalled.exists().then_some(()));
    server.fault("");
    let output = next.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check_rows(&to, 20);
}

/// An insert is stored, but its answer is lost; then the server is killed.
#[test]
fn a_failed_server_loses_no_row() {
    const ROWS: u64 = 60_000;
    let (from, (server, to)) = (source(), server());
    add(&from, 1, 1_000);
    server.fault("cut");
    let why = rejected(&from.url(), &to.url(), &[]);
    assert!(
        why.contains("rows that were copied stay, and the next run resumes after them"),
        "{why}"
    );
    server.fault("");
    assert_eq!(to.count(), 250, "one day of the first batch");
    add(&from, 1_001, ROWS);
    let running = command(&from.url(), &to.url(), &[]).spawn().unwrap();
    wait_for("rows", || (to.count() > 5_000).then_some(()));
    server.kill_9();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    server.restart();
    copy(&from.url(), &to.url(), &[]);
    check_rows(&to, ROWS);
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 0 rows"));
}

/// A killed server can know the token of an insert without its rows.
#[test]
fn a_token_without_rows_loses_none() {
    let (from, to) = (source(), Database::clickhouse());
    add(&from, 1, 10);
    copy(&from.url(), &to.url(), &[]);
    to.query("ALTER TABLE packets DELETE WHERE 1 SETTINGS mutations_sync = 2");
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 10 rows"));
    check_rows(&to, 10);
}

/// Rows that the target rejects do not stop the others, and rows that its TTL deletes are not copied.
#[test]
fn rejected_and_expired_rows_are_counted() {
    let (from, to) = (source(), Database::clickhouse());
    add(&from, 1, 2);
    copy(&from.url(), &to.url(), &[]);
    to.query("ALTER TABLE packets ADD CONSTRAINT test CHECK prefix NOT IN ('3', '700', '3000')");
    add(&from, 3, 3_000);
    // Past the last year of the table's times.
    from.load("INSERT INTO ulog VALUES (4102444800, 'late')");
    let said = copy(&from.url(), &to.url(), &[]);
    assert!(said.starts_with("copied 2995 rows"), "{said}");
    assert_eq!(
        said.matches("not copied: 1: rejected by the target: the time of a row").count(),
        1,
        "{said}"
    );
    assert_eq!(
        said.matches("not copied: 1: rejected by the target: ClickHouse: ").count(),
        3,
        "{said}"
    );
    assert_eq!(to.query("SELECT count(), uniqExact(prefix) FROM packets"), "2997\t2997");
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 0 rows"));

    let (from, to) = (Database::sqlite(), Database::clickhouse());
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    from.load("INSERT INTO ulog VALUES (1, 'old'), (unixepoch() - 60, 'new')");
    // With the default retention.
    let output = Command::new(EXPORTER)
        .args(["migrate", "rows", &from.url(), "--mirror.url", &to.url()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("copied 1 rows"), "{said}");
    assert!(said.contains("not copied: 1: older than mirror.retention"), "{said}");
    assert_eq!(to.query("SELECT prefix FROM packets"), "new");
}
