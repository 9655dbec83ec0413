//! Rows in a real SQLite file: written once, read back, limited in size, without blocking others.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nflog_exporter::{
    event::{ConnectionState, HardwareAddress, Hook},
    mirror::{
        row::{Row, RowContext},
        schema,
        store::{Batch, Kind, Maintenance, Sqlite, Store, StoreError, Writer},
        target::{Endpoint, Target, Tls},
    },
    packet::{DecodeIssue, Direction},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::sample_rows::{DAY, NOON, crowd, every_kind, tcp};

fn target(path: &Path) -> Target {
    Target {
        kind: Kind::Sqlite,
        endpoint: Endpoint::File(path.to_owned()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    }
}

fn writer() -> Writer {
    Writer { id: [7; 16], host: "gate".to_owned() }
}

async fn prepared(path: &Path) -> Sqlite {
    let mut store = Sqlite::connect(&target(path)).await.unwrap();
    store.prepare().await.unwrap();
    store
}

/// A prepared file with these rows.
async fn filled(rows: &[Row]) -> (TempDir, Connection, Sqlite) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    let mut store = prepared(&path).await;
    store.position(&writer(), 0).await.unwrap();
    for (number, rows) in rows.chunks(5_000).enumerate() {
        let from = number as u64 * 5_000;
        let to = from + rows.len() as u64;
        store.write(&writer(), Batch { from, to, rows }).await.unwrap();
    }
    (directory, Connection::open(path).unwrap(), store)
}

fn count(connection: &Connection) -> u64 {
    let count: i64 =
        connection.query_row("SELECT count(*) FROM packets", [], |row| row.get(0)).unwrap();
    count.try_into().unwrap()
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

fn address(bytes: Option<[u8; 16]>, ip_version: Option<u8>) -> Option<IpAddr> {
    let address = Ipv6Addr::from(bytes?);
    Some(if ip_version == Some(4) { address.to_canonical() } else { address.into() })
}

fn read_back(connection: &Connection) -> Vec<Row> {
    let mut query = connection
        .prepare("SELECT *, CAST(strftime('%s', substr(time, 1, 19)) AS INTEGER) AS s FROM packets ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| {
        let text = |name: &str| row.get::<_, Option<String>>(name).map(Option::unwrap_or_default);
        let ip_version = row.get("ip_version")?;
        let micros: u64 = row.get::<_, String>("time")?[20..].parse().unwrap();
        let host = row.get::<_, String>("host")?;
        Ok(Row {
            time: u64::try_from(row.get::<_, i64>("s")?).unwrap() * 1_000_000 + micros,
            group: row.get("nflog_group")?,
            prefix: text("prefix")?.into(),
            hook: text("hook").map(|it| Hook::ALL.into_iter().find(|hook| hook.name() == it))?,
            direction: text("direction")
                .map(|it| Direction::ALL.into_iter().find(|direction| direction.name() == it))?,
            in_device: text("in_device")?.into(),
            out_device: text("out_device")?.into(),
            mark: row.get("mark")?,
            uid: row.get("uid")?,
            hardware_address: row
                .get::<_, Option<Vec<u8>>>("hardware_address")?
                .map_or_else(HardwareAddress::default, |bytes| HardwareAddress::new(&bytes)),
            ip_version,
            source: address(row.get("source")?, ip_version),
            destination: address(row.get("destination")?, ip_version),
            protocol: row.get("protocol")?,
            length: row.get("length")?,
            captured_length: row.get("captured_length")?,
            ttl: row.get("ttl")?,
            source_port: row.get("source_port")?,
            destination_port: row.get("destination_port")?,
            tcp_flags: row.get("tcp_flags")?,
            icmp_type: row.get("icmp_type")?,
            icmp_code: row.get("icmp_code")?,
            issue: text("flaw")
                .map(|it| DecodeIssue::ALL.into_iter().find(|issue| issue.name() == it))?,
            country: text("country")?.into(),
            city: text("city")?.into(),
            latitude: row.get("latitude")?,
            longitude: row.get("longitude")?,
            asn: row.get("asn")?,
            weight: row.get("weight")?,
            context: RowContext {
                host: if host == "gate" { "".into() } else { host.into() },
                ct_state: text("ct_state")
                    .map(|it| ConnectionState::ALL.into_iter().find(|state| state.name() == it))?,
                ct_zone: row.get("ct_zone")?,
                source_network_name: text("source_network_name")?.into(),
                destination_network_name: text("destination_network_name")?.into(),
                list: text("list")?.into(),
            },
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn rows_are_read_back_unchanged() {
    let rows = every_kind(NOON - 3);
    let (_directory, connection, _store) = filled(&rows).await;
    for (found, expect) in read_back(&connection).iter().zip(&rows) {
        assert_eq!(found, expect);
    }
    assert_eq!(count(&connection), rows.len() as u64);
}

#[tokio::test]
async fn a_rejected_row_rolls_back_its_batch() {
    let (_directory, connection, mut store) = filled(&[]).await;
    connection
        .execute_batch(
            "CREATE TRIGGER picky BEFORE INSERT ON packets WHEN new.prefix = 'bad' \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .unwrap();
    let bad = Row { prefix: "bad".into(), ..tcp(NOON) };
    for rows in [[tcp(NOON), bad], [tcp(NOON), tcp(u64::MAX)]] {
        let error = store.write(&writer(), Batch { from: 0, to: 2, rows: &rows }).await;
        assert!(matches!(error, Err(StoreError::Rejected(_))), "{error:?}");
        assert_eq!(count(&connection), 0);
    }
    let good = [tcp(NOON)];
    store.write(&writer(), Batch { from: 0, to: 1, rows: &good }).await.unwrap();
    assert_eq!(count(&connection), 1);
}

#[tokio::test]
async fn the_directory_and_the_file_are_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/packets.db");
    let _store = prepared(&path).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // The umask of this process can remove permissions.
    assert_eq!(mode(&path) & 0o137, 0);
    assert_eq!(mode(path.parent().unwrap()) & 0o027, 0);
    let again = prepared(&path).await;
    drop(again);
}

#[tokio::test]
async fn files_of_another_program_stay() {
    let directory = tempfile::tempdir().unwrap();
    let check = async |name: &str, make: &str, expect: &str| {
        let path = directory.path().join(name);
        if make.is_empty() {
            fs::write(&path, "no database at all, but long enough to be one".repeat(99)).unwrap();
        } else {
            Connection::open(&path).unwrap().execute_batch(make).unwrap();
        }
        let before = fs::read(&path).unwrap();
        let error = match Sqlite::connect(&target(&path)).await {
            Ok(mut store) => store.prepare().await.unwrap_err(),
            Err(error) => error,
        };
        let StoreError::Denied(text) = error else { panic!("{name}: {error:?}") };
        assert!(text.contains(expect) && text.contains(name), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    check("text", "", "not a database").await;
    check("foreign", "CREATE TABLE packets (a)", "did not create").await;
    let newer = "CREATE TABLE nflog_schema (version); INSERT INTO nflog_schema VALUES (99)";
    check("newer", newer, "version 99").await;
}

#[tokio::test]
async fn another_view_of_that_name_is_reported_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    let by_hand = Connection::open(&path).unwrap();
    by_hand.execute_batch("CREATE TABLE ulog (a); INSERT INTO ulog VALUES (42)").unwrap();
    // At each start.
    for _ in 0..2 {
        let advice = prepared(&path).await.advice().await.unwrap().remove(0);
        assert!(advice.contains("`ulog` in this file belongs to another program"), "{advice}");
    }
    let run = |sql: &str| {
        // A name that starts with a dash would be an option.
        let sql = format!("\n{sql}");
        let output = Command::new("sqlite3").arg(&path).arg(sql).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let ddl = schema::ddl(Kind::Sqlite);
    assert!(run(ddl).contains("was left as it is"));
    assert_eq!(run("SELECT a FROM ulog; ALTER TABLE ulog RENAME TO ulogd_ulog"), "42\n");
    assert_eq!(run(ddl), "");
    assert_eq!(prepared(&path).await.advice().await.unwrap(), [""; 0]);
    assert_eq!(run("SELECT count(*) FROM ulog"), "0\n");
}

/// The `sqlite3` program on a file: another process, like a person or Grafana.
struct Shell {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn open(path: &Path) -> Self {
        let mut child = Command::new("sqlite3")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("install sqlite3");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// Runs statements, of which the last returns one line.
    fn ask(&mut self, statements: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{statements}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_reader_and_the_writer_do_not_block_each_other() {
    let rows: Vec<_> = crowd(1_000, NOON, DAY).collect();
    let (directory, _connection, mut store) = filled(&rows).await;
    let mut reader = Shell::open(&directory.path().join("packets.db"));
    assert_eq!(reader.ask("BEGIN; SELECT count(*) FROM ulog;"), "1000");
    for from in (1_000..6_000).step_by(1_000) {
        store.write(&writer(), Batch { from, to: from + 1_000, rows: &rows }).await.unwrap();
    }
    let maintenance = Maintenance { retention: Some(Duration::ZERO), max_size: None };
    store.maintain(&maintenance, time(NOON + DAY / 2)).await.unwrap();
    assert_eq!(reader.ask("SELECT count(*) FROM ulog;"), "1000");
    assert_eq!(reader.ask("COMMIT; SELECT count(*) FROM ulog;"), "3000");
}

/// Rows written to a removed file would be lost silently.
#[tokio::test]
async fn a_removed_file_is_created_again() {
    let (directory, _, mut store) = filled(&[tcp(NOON)]).await;
    let path = directory.path().join("packets.db");
    fs::remove_file(&path).unwrap();
    let rows = [tcp(NOON + 1)];
    let batch = Batch { from: 1, to: 2, rows: &rows };
    for failed in [store.write(&writer(), batch).await, store.ping().await] {
        let Err(StoreError::Unavailable(text)) = failed else { panic!("{failed:?}") };
        assert!(text.contains("removed or replaced"), "{text}");
    }
    drop(store);
    let mut store = prepared(&path).await;
    assert_eq!(store.position(&writer(), 1).await.unwrap(), 1);
    store.write(&writer(), batch).await.unwrap();
    assert_eq!(count(&Connection::open(&path).unwrap()), 1);
}

/// Debian's own SQLite is older than ours, and rounds where ours truncates: indexes must not depend on it.
#[tokio::test]
async fn another_version_finds_every_row_in_every_index() {
    let rows: Vec<_> = (999_000..1_000_000).map(|micros| tcp(NOON + micros)).collect();
    let (directory, _, _store) = filled(&rows).await;
    let ask = |sql: &str| {
        let asked =
            Command::new("sqlite3").arg(directory.path().join("packets.db")).arg(sql).output();
        String::from_utf8(asked.unwrap().stdout).unwrap()
    };
    assert_eq!(ask("PRAGMA integrity_check"), "ok\n");
    let second = NOON / 1_000_000;
    assert_eq!(ask(&format!("SELECT count(*) FROM ulog WHERE oob_time_sec = {second}")), "1000\n");
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_loses_nothing() {
    let (directory, connection, mut store) = filled(&[]).await;
    let mut other = Shell::open(&directory.path().join("packets.db"));
    assert_eq!(other.ask("BEGIN IMMEDIATE; SELECT 1;"), "1");
    let rows = [tcp(NOON)];
    let batch = Batch { from: 0, to: 1, rows: &rows };
    let error = store.write(&writer(), batch).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("lock")), "{error:?}");
    assert_eq!(other.ask("ROLLBACK; SELECT 2;"), "2");
    store.write(&writer(), batch).await.unwrap();
    assert_eq!(count(&connection), 1);
}

/// Runs maintenance until nothing is left to do; returns the number of steps.
async fn run_maintenance(store: &mut Sqlite, maintenance: Maintenance, now: u64) -> usize {
    for steps in 1..1_000 {
        let done = store.maintain(&maintenance, time(now)).await.unwrap();
        assert_eq!(done.warnings, [""; 0]);
        if !done.unfinished {
            return steps;
        }
    }
    panic!("maintenance does not end");
}

fn size(directory: &TempDir) -> u64 {
    fs::metadata(directory.path().join("packets.db")).unwrap().len()
}

#[tokio::test]
async fn old_rows_are_deleted_in_small_steps_and_the_file_shrinks() {
    let rows: Vec<_> = crowd(40_000, NOON, 2 * DAY).collect();
    let (directory, connection, _) = filled(&rows).await;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = size(&directory);
    // A store without inserts deletes the minimum.
    let mut store = prepared(&directory.path().join("packets.db")).await;
    let maintenance = Maintenance { retention: Some(Duration::from_secs(43_200)), max_size: None };
    let steps = run_maintenance(&mut store, maintenance, NOON + 2 * DAY).await;
    assert!(steps >= 15, "{steps}");
    assert_eq!(count(&connection), 10_000);
    let oldest: String =
        connection.query_row("SELECT min(time) FROM packets", [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, "2026-11-25 00:00:00.000000");
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(size(&directory) < before * 2 / 3, "{before} to {}", size(&directory));
    // Nothing is too old: nothing is deleted.
    assert_eq!(run_maintenance(&mut store, maintenance, NOON + 2 * DAY).await, 1);
    assert_eq!(count(&connection), 10_000);
}

#[tokio::test]
async fn the_oldest_rows_are_deleted_above_the_size_limit() {
    let rows: Vec<_> = crowd(20_000, NOON, DAY).collect();
    let (directory, connection, mut store) = filled(&rows).await;
    let most = 3 << 20;
    run_maintenance(&mut store, Maintenance { retention: None, max_size: Some(most) }, NOON).await;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // Up to two portions of free pages stay for the next rows.
    assert!(size(&directory) < most + 1_000 * 4_096, "{}", size(&directory));
    let left = count(&connection);
    assert!((1_000..19_000).contains(&left), "{left}");
    let newest: i64 =
        connection.query_row("SELECT max(oob_time_sec) FROM ulog", [], |row| row.get(0)).unwrap();
    assert!(newest >= 1_795_521_600 - 60);
}

/// Deletion keeps pace with insertion, at any rate.
#[tokio::test]
async fn a_limit_holds_while_rows_arrive() {
    let (directory, connection, mut store) = filled(&[]).await;
    let most = 8 << 20;
    let check = async |store: &mut Sqlite, maintenance: Maintenance, from: u64, days: u64| {
        let rows: Vec<_> = crowd(10_000, NOON + days * DAY, DAY).collect();
        store.write(&writer(), Batch { from, to: from + 10_000, rows: &rows }).await.unwrap();
        store.maintain(&maintenance, time(NOON + days * DAY)).await.unwrap();
    };
    let maintenance = Maintenance { retention: None, max_size: Some(most) };
    for step in 0..20 {
        check(&mut store, maintenance, step * 10_000, step).await;
        // One batch above the limit, and the pages that are not returned yet.
        assert!(used(&connection) < most + (8 << 20), "{} at {step}", used(&connection));
    }
    let maintenance = Maintenance { retention: Some(Duration::from_secs(86_400)), max_size: None };
    for step in 20..30 {
        check(&mut store, maintenance, step * 10_000, step).await;
        assert!(count(&connection) <= 20_000, "{} at {step}", count(&connection));
    }
    drop(directory);
}

/// Bytes of the pages in use.
fn used(connection: &Connection) -> u64 {
    let figure = |name: &str| -> i64 {
        connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    };
    let pages = figure("page_count") - figure("freelist_count");
    u64::try_from(pages * figure("page_size")).unwrap()
}

#[tokio::test]
async fn a_file_that_cannot_shrink_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let mut store = prepared(&path).await;
    store.position(&writer(), 0).await.unwrap();
    let rows: Vec<_> = crowd(20_000, NOON, DAY).collect();
    store.write(&writer(), Batch { from: 0, to: 20_000, rows: &rows }).await.unwrap();
    let maintenance = Maintenance { retention: Some(Duration::ZERO), max_size: None };
    let mut warnings = Vec::new();
    loop {
        let done = store.maintain(&maintenance, time(NOON + 2 * DAY)).await.unwrap();
        warnings.extend(done.warnings);
        if !done.unfinished {
            break;
        }
    }
    assert!(warnings.last().is_some_and(|text| text.contains("VACUUM")), "{warnings:?}");
}

#[tokio::test]
async fn the_view_has_ulogds_values() {
    let (_directory, connection, _store) = filled(&every_kind(NOON)).await;
    let check = |id: u32, column: &str, expect: &str| {
        let query =
            format!("SELECT coalesce(CAST({column} AS TEXT), 'NULL') FROM ulog WHERE id = {id}");
        let found: String = connection.query_row(&query, [], |row| row.get(0)).unwrap();
        assert_eq!(found, expect, "{column} of row {id}");
    };
    for (column, expect) in [
        ("oob_time_sec", "1795435200"),
        ("oob_time_usec", "1"),
        ("oob_hook", "1"),
        ("oob_prefix", "DROP-IN"),
        ("oob_in", "eth0"),
        ("oob_family", "2"),
        ("ip_saddr", "3221225985"),
        ("ip_daddr", "3325256959"),
        ("ip_saddr_str", "192.0.2.1"),
        ("ip_daddr_str", "198.51.100.255"),
        ("ip_protocol", "6"),
        ("ip_ttl", "57"),
        ("ip_totlen", "60"),
        ("raw_pktlen", "60"),
        ("tcp_sport", "50000"),
        ("tcp_dport", "80"),
        ("tcp_syn", "1"),
        ("tcp_ack", "0"),
        ("udp_dport", "NULL"),
        ("icmp_type", "NULL"),
        ("mac_saddr_str", "52:54:00:ab:cd:ef"),
        ("host", "gate"),
        ("city", "Köln"),
        ("asn", "64496"),
    ] {
        check(2, column, expect);
    }
    check(1, "ip_saddr", "NULL");
    check(1, "ip_saddr_str", "NULL");
    check(1, "mac_saddr_str", "NULL");
    check(3, "ip_saddr", "NULL");
    check(3, "ip_saddr_str", "2001:0db8:0000:0000:0000:ff00:0042:8329");
    check(3, "udp_dport", "53");
    check(3, "tcp_dport", "NULL");
    check(3, "tcp_syn", "NULL");
    check(3, "oob_family", "10");
    check(4, "icmp_type", "8");
    check(4, "icmpv6_type", "NULL");
    check(5, "icmpv6_type", "135");
    check(5, "ip_daddr", "NULL");
    check(7, "ip_saddr", "4294967295");
    check(7, "mac_saddr_str", "ff:ff:ff:ff:ff:ff:ff:ff");
    check(8, "ip_saddr", "0");
    check(8, "mac_saddr_str", "00");
}

#[tokio::test]
async fn queries_use_indexes() {
    let (_directory, connection, _store) = filled(&[]).await;
    let check = |question: &str, index: &str| {
        let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {question}")).unwrap();
        let lines = query.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let plan = lines.map(Result::unwrap).collect::<Vec<_>>().join("\n");
        assert!(plan.contains(index) && !plan.contains("SCAN"), "{question}\n{plan}");
        assert!(!plan.contains("ORDER BY"), "sorted: {question}\n{plan}");
    };
    let last = "SELECT DISTINCT ip_saddr FROM ulog WHERE oob_time_sec >";
    check(&format!("{last} unixepoch() - 600"), "packets_by_second");
    check(&format!("{last} strftime('%s', 'now') - 600"), "packets_by_second");
    check(
        "SELECT ip_saddr FROM ulog WHERE tcp_dport = 80 ORDER BY id DESC LIMIT 10000",
        "packets_by_tcp_port",
    );
    check(
        "SELECT ip_saddr FROM ulog WHERE udp_dport = 53 ORDER BY id DESC LIMIT 10000",
        "packets_by_udp_port",
    );
    check("SELECT * FROM packets WHERE country = 'CN' AND time > '2026'", "packets_by_country");
    check("SELECT * FROM packets WHERE source = x'00' ORDER BY time", "packets_by_source");
    check("SELECT * FROM packets WHERE time > '2026-11-23' ORDER BY time DESC", "packets_by_time");
}

#[tokio::test]
async fn a_second_as_text_is_compared_as_a_number() {
    let (_directory, connection, _store) = filled(&[tcp(NOON)]).await;
    for (moment, expect) in [("2026-11-23 11:59:59", 1), ("2026-11-23 12:00:00", 0)] {
        let query =
            format!("SELECT count(*) FROM ulog WHERE oob_time_sec > strftime('%s', '{moment}')");
        let found: i64 = connection.query_row(&query, [], |row| row.get(0)).unwrap();
        assert_eq!(found, expect, "{moment}");
    }
}
