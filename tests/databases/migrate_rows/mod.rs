//! `migrate rows`: the rows of ulogd's databases, with the schemas that Debian ships, arrive exactly once.

mod clickhouse;
mod database;
mod kills;
mod schemas;
mod servers;
mod sources;
mod values;

use std::process::{Command, Stdio};

use self::database::Database;
use crate::support::program::EXPORTER;

/// The text of a schema that Debian ships.
fn shipped(name: &str) -> String {
    let path = format!("/usr/share/doc/ulogd2/{name}.gz");
    let output = Command::new("zcat").arg(&path).output().unwrap();
    assert!(output.status.success(), "{path}: install ulogd2");
    String::from_utf8(output.stdout).unwrap()
}

/// The command that copies rows.
fn command(from: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(EXPORTER);
    command.args(["migrate", "rows", from, "--mirror.url", to]).args(more);
    if to.starts_with("clickhouse:") {
        // Expired rows are not copied.
        command.args(["--config.file", "tests/data/config/no_retention.toml"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Copies rows; returns the output.
#[track_caller]
fn copy(from: &str, to: &str, more: &[&str]) -> String {
    let output = command(from, to, more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a copy.
#[track_caller]
fn rejected(from: &str, to: &str, more: &[&str]) -> String {
    let output = command(from, to, more).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn another_spelling_is_the_same_source() {
    let (from, to) = (Database::maria(), Database::sqlite());
    let Database::Maria(server, name) = &from else { panic!() };
    from.load(
        "CREATE TABLE logs (_id INT AUTO_INCREMENT UNIQUE, oob_time_sec INT, oob_prefix TEXT)",
    );
    from.load("INSERT INTO logs VALUES (NULL, 1, 'one')");
    server.query("mysql", "CREATE OR REPLACE USER reader@'127.0.0.1' IDENTIFIED BY 'secret'");
    server.query("mysql", &format!("GRANT SELECT ON {name}.* TO reader@'127.0.0.1'"));
    assert!(
        rejected(&from.url(), &to.url(), &[])
            .contains("if ulogd's `table` has another name, use --table")
    );
    let said = copy(&from.url(), &to.url(), &["--table", "logs"]);
    assert!(said.starts_with("copied 1 rows of logs "), "{said}");
    assert!(said.contains("1 of the copied rows are older than mirror.retention"), "{said}");
    let said = copy(&server.url("reader", "secret", name), &to.url(), &["--table", "logs"]);
    assert!(said.starts_with("copied 0 rows of logs ") && !said.contains("secret"), "{said}");
}
