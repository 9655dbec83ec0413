//! A target with several servers.

use super::{Database, command, copy, rejected};
use crate::support::{mariadb::MariaDb, program::wait_for};

const ROWS: u64 = 60_000;

/// A server with a database and a user.
fn server(database: &str) -> MariaDb {
    let server = MariaDb::start();
    server.query("mysql", &format!("CREATE DATABASE {database}"));
    server.query("mysql", "CREATE USER nflog@'127.0.0.1' IDENTIFIED BY 'secret'");
    server.query("mysql", &format!("GRANT ALL ON {database}.* TO nflog@'127.0.0.1'"));
    server
}

/// Rows go to the first server that accepts rows. If it fails, so does the copy: another server can lack the newest rows.
/// The next copy resumes.
#[test]
fn the_first_server_that_accepts_rows_is_used() {
    let (down, read_only, used) = (server("copies"), server("copies"), server("copies"));
    down.kill_9();
    read_only.query("mysql", "SET GLOBAL read_only = ON");
    let hosts = [&down, &read_only, &used].map(|server| format!("127.0.0.1:{}", server.port()));
    let to = format!("mysql://nflog:secret@{}/copies", hosts.join(","));
    let from = Database::sqlite();
    from.load("CREATE TABLE ulog (oob_time_sec, oob_prefix)");
    from.load(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) \
         INSERT INTO ulog SELECT 1795889420, i FROM n"
    ));
    let count = || -> u64 {
        let count = used.try_query("copies", "SELECT COUNT(*) FROM packets");
        count.map_or(0, |count| count.parse().unwrap())
    };
    let running = command(&from.url(), &to, &[]).spawn().unwrap();
    wait_for("rows", || (count() > 2_000).then_some(()));
    used.kill_9();
    let output = running.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("rows that were copied stay, and the next run resumes"), "{error}");
    assert!(!error.contains("secret"), "{error}");

    // No server accepts rows; the error names each of them.
    let error = rejected(&from.url(), &to, &[]);
    for (host, why) in hosts.iter().zip(["refused", "is read-only", "refused"]) {
        let problem = error.split("; ").find(|part| part.contains(&format!("@{host}/copies: ")));
        assert!(problem.is_some_and(|problem| problem.contains(why)), "{host}, {why}: {error}");
    }

    used.restart();
    let before = count();
    assert!((2_000..ROWS).contains(&before), "{before}");
    let said = copy(&from.url(), &to, &[]);
    assert!(said.starts_with(&format!("copied {} rows of ulog ", ROWS - before)), "{said}");
    let found = used.query("copies", "SELECT COUNT(*), COUNT(DISTINCT prefix) FROM packets");
    assert_eq!(found, format!("{ROWS}\t{ROWS}"));
    let tables = read_only.query(
        "mysql",
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'copies'",
    );
    assert_eq!(tables, "0");
}
