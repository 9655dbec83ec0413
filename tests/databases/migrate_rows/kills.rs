//! Copies that are killed, or run at the same time.

use std::process::Child;

use super::{Database, command, copy, shipped};
use crate::support::program::wait_for;

/// Kills copies ten times, then runs two at the same time.
#[track_caller]
fn check_kills(from: &Database, to: &Database, more_rows: &str) {
    const ROWS: u64 = 120_000;
    let spawn = || command(&from.url(), &to.url(), &[]).spawn().unwrap();
    let kill = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    // The schema.
    copy(&from.url(), &to.url(), &[]);
    from.load(more_rows);
    let mut seen = 0;
    for _ in 0..10 {
        let child = spawn();
        let before = seen;
        seen = wait_for("more rows", || {
            Some(to.count()).filter(|&count| count > before || count == ROWS)
        });
        kill(child);
    }
    assert!(seen < ROWS, "{seen}");
    let two = [spawn(), spawn()];
    for child in two {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let different = to.query("SELECT COUNT(DISTINCT prefix) FROM packets");
    assert_eq!((to.count(), different), (ROWS, ROWS.to_string()));
    assert!(copy(&from.url(), &to.url(), &[]).starts_with("copied 0 rows"));
}

#[test]
fn killed_copies_from_mysql_to_postgres_resume() {
    let (from, to) = (Database::maria(), Database::postgres());
    from.load(&shipped("mysql-ulogd2-flat.sql"));
    check_kills(
        &from,
        &to,
        "INSERT INTO ulog2 (oob_time_sec, oob_prefix) SELECT 1795889420 + seq DIV 10, seq FROM seq_1_to_120000",
    );
}

#[test]
fn killed_copies_from_sqlite_to_mysql_resume() {
    let (from, to) = (Database::sqlite(), Database::maria());
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    check_kills(
        &from,
        &to,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000) \
         INSERT INTO ulog SELECT 1795889420 + i / 10, i FROM n",
    );
}

#[test]
fn killed_copies_from_postgres_to_sqlite_resume() {
    let (from, to) = (Database::postgres(), Database::sqlite());
    from.load(&shipped("pgsql-ulogd2.sql"));
    check_kills(
        &from,
        &to,
        "INSERT INTO ulog2 (oob_time_sec, oob_prefix) SELECT 1795889420 + i / 10, i FROM generate_series(1, 120000) i",
    );
}

/// Rows of neighbouring ids are of several days, so that a batch is several inserts.
#[test]
fn killed_copies_from_mysql_to_clickhouse_resume() {
    let (from, to) = (Database::maria(), Database::clickhouse());
    from.load(&shipped("mysql-ulogd2-flat.sql"));
    check_kills(
        &from,
        &to,
        "INSERT INTO ulog2 (oob_time_sec, oob_prefix) SELECT 1795889420 + 86400 * (seq MOD 3), seq \
         FROM seq_1_to_120000",
    );
}
