//! Rows in a real MariaDB: written once, field by field; and the errors of what cannot be written.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use nflog_exporter::{
    event::{ConnectionState, HardwareAddress, Hook},
    mirror::{
        row::{Row, RowContext},
        schema,
        store::{Batch, Kind, Maintenance, MySql, Store, StoreError, Writer},
        target::{Target, Tls},
    },
    packet::{DecodeIssue, Direction},
};

use crate::support::{
    mariadb::MariaDb,
    program::wait_for,
    sample_rows::{DAY, NOON, empty},
};

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(NOON)
}

fn writer() -> Writer {
    Writer { id: [0xff, 0, 0x27, 0x5c, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], host: "gate".into() }
}

fn batch(from: u64, rows: &[Row]) -> Batch<'_> {
    Batch { from, to: from + rows.len() as u64, rows }
}

fn packet(time: u64, source: &str, destination: &str, protocol: u8) -> Row {
    let source: IpAddr = source.parse().unwrap();
    Row {
        group: 5,
        prefix: "drop in".into(),
        hook: Some(Hook::Input),
        direction: Some(Direction::In),
        in_device: "eth0".into(),
        mark: 7,
        hardware_address: HardwareAddress::new(&[2, 0, 0, 0xab, 0, 0x0f]),
        ip_version: Some(if source.is_ipv4() { 4 } else { 6 }),
        source: Some(source),
        destination: Some(destination.parse().unwrap()),
        protocol: Some(protocol),
        length: 60,
        captured_length: 52,
        ttl: Some(64),
        country: "SE".into(),
        latitude: Some(59.3293),
        longitude: Some(-0.25),
        asn: Some(29518),
        ..empty(time)
    }
}

fn tcp(time: u64, source: &str, port: u16) -> Row {
    Row {
        source_port: Some(40_000),
        destination_port: Some(port),
        tcp_flags: Some(0b0000_0010),
        ..packet(time, source, "203.0.113.1", 6)
    }
}

/// Each kind of packet, and every column at its limits.
fn kinds() -> Vec<Row> {
    vec![
        empty(0),
        tcp(NOON, "192.0.2.1", 80),
        Row { destination_port: Some(53), ..packet(NOON + 1, "192.0.2.2", "203.0.113.1", 17) },
        Row {
            icmp_type: Some(8),
            icmp_code: Some(0),
            ..packet(NOON, "192.0.2.3", "203.0.113.1", 1)
        },
        Row {
            icmp_type: Some(128),
            icmp_code: Some(0),
            ..packet(NOON, "2001:db8::1", "2001:db8::ffff", 58)
        },
        packet(NOON, "::ffff:192.0.2.4", "ff02::1", 47),
        Row {
            prefix: r#"'"; DROP TABLE packets; -- \' \" %s ? `x` \0 "#.into(),
            in_device: "\\".into(),
            out_device: "'".into(),
            city: "Malm\u{f6} \u{fffd} \u{1f525}'\\".into(),
            issue: Some(DecodeIssue::Malformed),
            ..empty(NOON)
        },
        Row {
            prefix: "\u{1f525}".repeat(32).into(),
            issue: Some(DecodeIssue::NotIp),
            ..empty(NOON)
        },
        Row {
            time: u64::MAX,
            group: u16::MAX,
            hook: Some(Hook::Egress),
            direction: Some(Direction::Forward),
            mark: u32::MAX,
            uid: Some(u32::MAX),
            hardware_address: HardwareAddress::new(&[0, 0x0a, b'\\', b'\'', 0xff, 0x80, 0, 0]),
            ip_version: Some(6),
            source: Some("255.255.255.255".parse().unwrap()),
            destination: Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()),
            protocol: Some(255),
            length: u32::MAX,
            captured_length: u32::MAX,
            ttl: Some(255),
            source_port: Some(65_535),
            destination_port: Some(65_535),
            tcp_flags: Some(255),
            icmp_type: Some(255),
            icmp_code: Some(255),
            issue: Some(DecodeIssue::Truncated),
            country: "private".into(),
            city: "x".repeat(128).into(),
            latitude: Some(-90.0),
            longitude: Some(180.0),
            asn: Some(u32::MAX),
            weight: u32::MAX,
            context: RowContext {
                host: "router 😀".into(),
                ct_state: Some(ConnectionState::Untracked),
                ct_zone: Some(u16::MAX),
                source_network_name: "x".repeat(128).into(),
                destination_network_name: "😀".repeat(32).into(),
                list: "'; --".into(),
            },
            ..empty(0)
        },
    ]
}

/// Every column as text, bytes in hexadecimal.
const COLUMNS: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', time), host, nflog_group, \
    HEX(prefix), hook, direction, HEX(in_device), HEX(out_device), mark, uid, \
    HEX(hardware_address), ip_version, HEX(source), HEX(destination), protocol, length, \
    captured_length, ttl, source_port, destination_port, tcp_flags, icmp_type, icmp_code, flaw, \
    country, HEX(city), latitude, longitude, asn, weight, \
    ct_state, ct_zone, HEX(source_network_name), HEX(destination_network_name), HEX(list)";

/// The values of [`COLUMNS`] for a row.
fn shown(row: &Row) -> String {
    fn some<T: ToString>(value: Option<T>) -> String {
        value.map_or("NULL".to_owned(), |value| value.to_string())
    }
    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
    }
    let address = |address: Option<IpAddr>| {
        some(address.map(|address| match address {
            IpAddr::V4(address) => hex(&address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => hex(&address.octets()),
        }))
    };
    let or_null = |bytes: &[u8]| if bytes.is_empty() { "NULL".to_owned() } else { hex(bytes) };
    [
        // The last microsecond of the year 9999.
        row.time.min(253_402_300_799_999_999).to_string(),
        row.host("gate").to_owned(),
        row.group.to_string(),
        hex(row.prefix.as_bytes()),
        some(row.hook.map(Hook::name)),
        some(row.direction.map(Direction::name)),
        hex(row.in_device.as_bytes()),
        hex(row.out_device.as_bytes()),
        row.mark.to_string(),
        some(row.uid),
        or_null(row.hardware_address.as_bytes()),
        some(row.ip_version),
        address(row.source),
        address(row.destination),
        some(row.protocol),
        row.length.to_string(),
        row.captured_length.to_string(),
        some(row.ttl),
        some(row.source_port),
        some(row.destination_port),
        some(row.tcp_flags),
        some(row.icmp_type),
        some(row.icmp_code),
        some(row.issue.map(DecodeIssue::name)),
        row.country.to_string(),
        or_null(row.city.as_bytes()),
        some(row.latitude),
        some(row.longitude),
        some(row.asn),
        row.weight.to_string(),
        some(row.context.ct_state.map(ConnectionState::name)),
        some(row.context.ct_zone),
        or_null(row.context.source_network_name.as_bytes()),
        or_null(row.context.destination_network_name.as_bytes()),
        or_null(row.context.list.as_bytes()),
    ]
    .join("\t")
}

/// A database with the schema, and a connection to it.
async fn ready(server: &MariaDb) -> (String, MySql) {
    let database = server.database();
    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    store.prepare().await.unwrap();
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
    (database, store)
}

fn count(server: &MariaDb, database: &str) -> String {
    server.query(database, "SELECT COUNT(*) FROM packets")
}

/// The message of an error that an administrator has to fix.
#[track_caller]
fn denied<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Denied(message)) => message,
        Err(other) => panic!("not denied: {other:?}"),
        Ok(_) => panic!("not denied"),
    }
}

async fn check_rows(server: &MariaDb) {
    let (database, mut store) = ready(server).await;
    // More than one statement holds, in sizes that need several; the first rows have no values.
    let mut rows: Vec<Row> = (0..600).map(empty).collect();
    rows.extend(kinds());
    rows.extend((0..700_u64).map(|number| tcp(NOON + number, "198.51.100.7", 443)));
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    let found = server.query(&database, &format!("SELECT {COLUMNS} FROM packets ORDER BY id"));
    let found: Vec<_> = found.lines().collect();
    assert_eq!(found.len(), rows.len());
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(*found, shown(row));
    }
}

#[tokio::test]
async fn rows_arrive_field_by_field() {
    check_rows(&MariaDb::shared()).await;
}

/// Without MariaDB's bulk statement: the server reports that it is a MySQL.
#[tokio::test]
async fn rows_arrive_field_by_field_on_mysql() {
    check_rows(&MariaDb::start_with(&["--version=8.0.36"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_lost_connection_is_waited_for() {
    let server = MariaDb::shared();
    for (end, expect) in [("COMMIT", None), ("ROLLBACK", Some(()))] {
        let (database, mut store) = ready(&server).await;
        let mut left: Conn = Conn::new(
            OptsBuilder::default()
                .user(Some("root"))
                .db_name(Some(&database))
                .socket(server.socket().to_str()),
        )
        .await
        .unwrap();
        left.query_drop("BEGIN").await.unwrap();
        left.query_drop("UPDATE nflog_writers SET delivered = 1 WHERE delivered = 0")
            .await
            .unwrap();
        let writing = tokio::spawn(async move {
            let rows = [tcp(NOON, "192.0.2.1", 22)];
            store.write(&writer(), batch(0, &rows)).await
        });
        let asked = Arc::clone(&server);
        // INNODB_LOCKS is of no use: frequent queries get the same answer from a cache.
        let waits = format!(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
             WHERE DB = '{database}' AND INFO LIKE 'UPDATE nflog_writers%'"
        );
        tokio::task::spawn_blocking(move || {
            wait_for("the lock", || (asked.query("mysql", &waits) != "0").then_some(()));
        })
        .await
        .unwrap();
        assert!(!writing.is_finished());
        left.query_drop(end).await.unwrap();
        let written = writing.await.unwrap();
        match expect {
            None => assert!(matches!(written, Err(StoreError::Moved)), "{written:?}"),
            Some(()) => written.unwrap(),
        }
        let rows = usize::from(expect.is_some()).to_string();
        assert_eq!(count(&server, &database), rows);
    }
}

#[tokio::test]
async fn rows_that_the_table_rejects_are_counted() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    server.query(&database, "ALTER TABLE packets ADD CONSTRAINT small CHECK (mark < 1000)");
    let good = tcp(NOON, "192.0.2.1", 22);
    let bad = [
        Row { mark: 1000, ..good.clone() },
        Row { prefix: "x".repeat(129).into(), ..good.clone() },
        Row { country: "Z\u{fc}rich".into(), ..good.clone() },
    ];
    for bad in bad {
        let rejected = store.write(&writer(), batch(0, &[good.clone(), bad])).await;
        assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
        assert_eq!(count(&server, &database), "0");
    }
    // The connection still works, from the same position.
    store.write(&writer(), batch(0, &[good])).await.unwrap();
    assert_eq!(count(&server, &database), "1");
}

#[tokio::test]
async fn a_user_without_the_privilege_to_create_tables_gets_the_commands() {
    let server = MariaDb::shared();
    let database = server.database();
    server.query(
        &database,
        &format!(
            "CREATE USER writer_{database} IDENTIFIED BY 'se''cret'; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO writer_{database}"
        ),
    );
    let target =
        server.tcp_target("127.0.0.1", &format!("writer_{database}"), "se'cret", &database);
    let mut store = MySql::connect(&target).await.unwrap();
    let message = denied(store.prepare().await);
    assert!(message.contains("nflog_exporter schema --for mysql | mysql"), "{message}");
    assert!(message.contains("GRANT SELECT, INSERT, UPDATE, DELETE"), "{message}");

    server.load(&database, schema::ddl(Kind::MySql));
    // An administrator may run it twice.
    server.load(&database, schema::ddl(Kind::MySql));
    store.prepare().await.unwrap();
    store.position(&writer(), 0).await.unwrap();
    store.write(&writer(), batch(0, &kinds())).await.unwrap();
    let maintained = store.maintain(&Maintenance::default(), noon()).await.unwrap();
    assert!(maintained.warnings[0].contains("GRANT ALTER, CREATE, DROP"), "{maintained:?}");
    server.query(
        &database,
        &format!("GRANT ALTER, CREATE, DROP ON {database}.packets TO writer_{database}"),
    );
    let mut store = MySql::connect(&target).await.unwrap();
    let retention = Some(Duration::from_secs(1));
    let maintenance = Maintenance { retention, max_size: None };
    let maintained = store.maintain(&maintenance, noon()).await.unwrap();
    assert!(maintained.warnings.is_empty(), "{maintained:?}");
    let maintained = store.maintain(&maintenance, noon()).await.unwrap();
    assert_eq!((maintained.dropped.len(), maintained.warnings.len()), (1, 0), "{maintained:?}");
    store.forget(&writer()).await.unwrap();
}

#[tokio::test]
async fn a_rejected_login_is_reported_without_the_password() {
    let server = MariaDb::shared();
    let database = server.database();
    server.query(&database, "CREATE USER IF NOT EXISTS guest IDENTIFIED BY 'right'");
    let check = |target: Target| async move {
        let message = denied(MySql::connect(&target).await);
        assert!(message.contains("mysql://guest@127.0.0.1:"), "{message}");
        assert!(!message.contains("wrong") && !message.contains("right"), "{message}");
    };
    check(server.tcp_target("127.0.0.1", "guest", "wrong", &database)).await;
    check(server.tcp_target("127.0.0.1", "guest", "right", &database)).await;
    let nowhere = server.target("no_such_database");
    assert!(denied(MySql::connect(&nowhere).await).contains("no_such_database"));
    let mut elsewhere = server.tcp_target("127.0.0.1", "root", "", &database);
    elsewhere.endpoint =
        nflog_exporter::mirror::target::Endpoint::Tcp { host: "127.0.0.1".into(), port: 1 };
    let away = MySql::connect(&elsewhere).await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
}

#[tokio::test]
async fn tables_of_another_program_stay() {
    let server = MariaDb::shared();
    let database = server.database();
    server
        .query(&database, "CREATE TABLE packets (id INT); CREATE VIEW ulog AS SELECT 42 AS answer");
    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    let message = denied(store.prepare().await);
    assert!(message.contains("`packets` is not nflog_exporter's"), "{message}");
    // The second attempt does not mistake the table for its own.
    denied(store.prepare().await);
    server.query(&database, "DROP TABLE packets");
    store.prepare().await.unwrap();
    assert_eq!(server.query(&database, "SELECT answer FROM ulog"), "42");
}

/// The object of that name in ulogd's own `mysql-ulogd2.sql`, shortened.
const ULOGD: &str = "
    CREATE TABLE ulog2 (_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, oob_time_sec INT UNSIGNED,
      oob_prefix VARCHAR(32), ip_saddr BINARY(16), PRIMARY KEY (_id));
    CREATE TABLE tcp (_tcp_id BIGINT UNSIGNED NOT NULL, tcp_dport INT UNSIGNED);
    CREATE SQL SECURITY INVOKER VIEW ulog AS
    SELECT _id, oob_time_sec, oob_prefix, ip_saddr AS ip_saddr_bin, tcp_dport
    FROM ulog2 INNER JOIN tcp ON _id = _tcp_id;
    INSERT INTO ulog2 (oob_prefix) VALUES ('old');
    INSERT INTO tcp VALUES (1, 22)";

#[tokio::test]
async fn a_view_of_ulogd_is_reported_and_never_replaced() {
    let server = MariaDb::shared();
    let database = server.database();
    server.query(&database, ULOGD);
    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    // At each start.
    for _ in 0..2 {
        store.prepare().await.unwrap();
        let advice = store.advice().await.unwrap().remove(0);
        assert!(advice.contains("RENAME TABLE ulog TO ulogd_ulog"), "{advice}");
    }
    store.position(&writer(), 0).await.unwrap();
    store.write(&writer(), batch(0, &kinds())).await.unwrap();
    let rejected = server.try_load(&database, schema::ddl(Kind::MySql)).unwrap_err();
    assert!(rejected.contains("'ulog' already exists"), "{rejected}");
    assert_eq!(server.query(&database, "SELECT oob_prefix FROM ulog"), "old");

    // As the advice says.
    server.query(&database, "RENAME TABLE ulog TO ulogd_ulog");
    for _ in 0..2 {
        server.load(&database, schema::ddl(Kind::MySql));
    }
    store.prepare().await.unwrap();
    assert_eq!(store.advice().await.unwrap(), [""; 0]);
    let rows = server.query(&database, "SELECT COUNT(*) FROM ulog");
    assert_eq!(rows, kinds().len().to_string());
    assert_eq!(server.query(&database, "SELECT oob_prefix FROM ulogd_ulog"), "old");
}

#[tokio::test]
async fn a_newer_schema_is_not_written_to() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    store.prepare().await.unwrap();
    let newer = schema::VERSION + 1;
    server.query(&database, &format!("INSERT INTO nflog_schema VALUES ({newer}, NOW())"));
    let message = denied(store.prepare().await);
    assert!(message.contains(&format!("version {newer}")), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_hosts_prepare_the_schema_at_the_same_time() {
    let server = MariaDb::shared();
    let database = server.database();
    let hosts: Vec<_> = (0..8)
        .map(|_| {
            let target = server.target(&database);
            tokio::spawn(async move {
                let mut store = MySql::connect(&target).await?;
                store.prepare().await?;
                store.maintain(&Maintenance::default(), noon()).await
            })
        })
        .collect();
    for host in hosts {
        let maintained = host.await.unwrap().unwrap();
        assert!(maintained.warnings.is_empty(), "{maintained:?}");
    }
    assert_eq!(names(&server, &database), AHEAD);
    assert_eq!(server.query(&database, "SELECT COUNT(*) FROM ulog"), "0");
}

/// Exporters that start at the same moment on an empty database and write rows at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_cause_no_error() {
    let server = MariaDb::start();
    for round in 0..15 {
        let database = server.database();
        let mut starting = tokio::task::JoinSet::new();
        for id in 0..4 {
            let target = server.target(&database);
            starting.spawn(async move {
                let writer = Writer { id: [id; 16], host: format!("gate{id}") };
                let mut store = MySql::connect(&target).await?;
                store.prepare().await?;
                assert_eq!(store.position(&writer, 0).await?, 0);
                let maintained = store.maintain(&Maintenance::default(), noon()).await?;
                assert_eq!(maintained.warnings, [""; 0]);
                for from in 0..20 {
                    let rows: Vec<_> =
                        (0..50).map(|row| tcp(NOON + from * 50 + row, "192.0.2.1", 80)).collect();
                    store.write(&writer, Batch { from, to: from + 1, rows: &rows }).await?;
                }
                Ok::<_, StoreError>(())
            });
        }
        while let Some(result) = starting.join_next().await {
            result.unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(count(&server, &database), "4000");
        let left = "SELECT COUNT(*) FROM nflog_schema";
        assert_eq!(server.query(&database, left), "1");
    }
    let log = std::fs::read_to_string(server.directory().join("log")).unwrap();
    assert!(!log.contains("[ERROR]"), "{log}");
}

const AHEAD: &str = "p20261122 p20261123 p20261124 p20261125 p20261126 pmax";

fn names(server: &MariaDb, database: &str) -> String {
    let names = server.query(
        database,
        &format!(
            "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'packets' \
             AND TABLE_SCHEMA = '{database}' ORDER BY PARTITION_ORDINAL_POSITION"
        ),
    );
    names.replace('\n', " ")
}

#[tokio::test]
async fn days_are_created_ahead_and_dropped_whole() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    let days = |hours: u64| Maintenance {
        retention: Some(Duration::from_secs(hours * 3_600)),
        max_size: None,
    };
    let at = |days: u64| noon() + Duration::from_micros(days * DAY);
    // Rows that were written before their days existed move into them.
    let rows: Vec<_> = (0..4).map(|day| tcp(NOON - DAY + day * DAY, "192.0.2.1", 22)).collect();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    let first = store.maintain(&days(24), at(0)).await.unwrap();
    assert_eq!((first.dropped.len(), first.warnings.len()), (0, 0), "{first:?}");
    assert_eq!(names(&server, &database), AHEAD);
    assert_eq!(server.query(&database, "SELECT COUNT(*) FROM packets PARTITION (p20261123)"), "1");

    // A day later, half of yesterday is still kept; an administrator drops a partition.
    server.query(&database, "ALTER TABLE packets DROP PARTITION p20261124");
    let next = store.maintain(&days(24), at(1)).await.unwrap();
    assert_eq!(next.dropped, ["p20261122"]);
    assert_eq!(names(&server, &database), "p20261123 p20261125 p20261126 p20261127 pmax");
    assert_eq!(count(&server, &database), "2");

    // After a long downtime, the days in between become part of the first new one.
    let late = store.maintain(&days(24), at(10)).await.unwrap();
    assert_eq!(late.dropped, ["p20261123", "p20261125", "p20261126", "p20261127"]);
    assert_eq!(names(&server, &database), "p20261202 p20261203 p20261204 p20261205 p20261206 pmax");
    assert_eq!(count(&server, &database), "0");

    // The last partition is created again after it was dropped; its rows are rejected until then.
    server.query(&database, "ALTER TABLE packets DROP PARTITION pmax");
    let nowhere = store.write(&writer(), batch(4, &[tcp(NOON + 90 * DAY, "192.0.2.1", 22)])).await;
    denied(nowhere);
    drop(store);
    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    let fixed = store.maintain(&days(24), at(11)).await.unwrap();
    assert!(fixed.warnings.is_empty(), "{fixed:?}");
    assert_eq!(fixed.dropped, ["p20261202"]);
    assert_eq!(names(&server, &database), "p20261203 p20261204 p20261205 p20261206 p20261207 pmax");
}

/// A host with a wrong clock created days of future years: they hold all rows until they are split.
#[tokio::test]
async fn days_far_ahead_are_split_and_retention_continues() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    let keep = Maintenance { retention: Some(Duration::from_secs(24 * 3_600)), max_size: None };
    let at = |days: u64| noon() + Duration::from_micros(days * DAY);
    store.maintain(&Maintenance::default(), at(1_100)).await.unwrap();
    assert!(names(&server, &database).starts_with("p20291126 "), "{}", names(&server, &database));
    let rows: Vec<_> = (0..3).map(|day| tcp(NOON + day * DAY, "192.0.2.1", 22)).collect();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    let split = store.maintain(&keep, at(0)).await.unwrap();
    assert_eq!((split.dropped.len(), split.warnings.len()), (0, 0), "{split:?}");
    let names_now = names(&server, &database);
    let near = AHEAD.trim_end_matches(" pmax");
    assert!(names_now.starts_with(near) && names_now.ends_with(" pmax"), "{names_now}");
    assert_eq!(server.query(&database, "SELECT COUNT(*) FROM packets PARTITION (p20261123)"), "1");
    let later = store.maintain(&keep, at(3)).await.unwrap();
    assert_eq!(later.dropped, ["p20261122", "p20261123", "p20261124"]);
    assert_eq!(count(&server, &database), "1");
}

#[tokio::test]
async fn the_oldest_days_are_dropped_above_the_size_limit() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    store.maintain(&Maintenance::default(), noon() - Duration::from_micros(2 * DAY)).await.unwrap();
    store.maintain(&Maintenance::default(), noon()).await.unwrap();
    let rows: Vec<_> = (0..4_000).map(|n| tcp(NOON - (n % 3) * DAY, "192.0.2.1", 22)).collect();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    server.query(&database, "ANALYZE TABLE packets");
    let size = server.query(
        &database,
        &format!(
            "SELECT SUM(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.PARTITIONS \
             WHERE TABLE_SCHEMA = '{database}' AND TABLE_NAME = 'packets'"
        ),
    );
    let size: u64 = size.parse().unwrap();
    let most = |size| Maintenance { retention: None, max_size: Some(size) };
    assert_eq!(store.maintain(&most(size), noon()).await.unwrap().dropped.len(), 0);
    let dropped = store.maintain(&most(size - 1), noon()).await.unwrap().dropped;
    assert_eq!(dropped, ["p20261120"]);
    let dropped = store.maintain(&most(1), noon()).await.unwrap().dropped;
    assert_eq!(dropped, ["p20261121", "p20261122"]);
    assert_eq!(names(&server, &database), "p20261123 p20261124 p20261125 p20261126 pmax");
    assert_eq!(count(&server, &database), "1334");
}

#[tokio::test]
async fn maintenance_waits_neither_for_readers_nor_for_other_hosts() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    let mut reader = administrator(&server, &database).await;
    reader.query_drop("BEGIN").await.unwrap();
    reader.query_drop("SELECT * FROM packets").await.unwrap();
    // Rows wait longer for the table.
    let patience = Duration::from_secs(5);
    let maintenance = Maintenance::default();
    let kept = tokio::time::timeout(patience, store.maintain(&maintenance, noon())).await;
    let kept = kept.expect("stops in time").unwrap();
    assert!(kept.warnings[0].contains("in use"), "{kept:?}");
    reader.query_drop("COMMIT").await.unwrap();

    reader.query_drop("DO GET_LOCK(CONCAT('nflog_exporter ', DATABASE()), 0)").await.unwrap();
    store.maintain(&Maintenance::default(), noon()).await.unwrap();
    assert_eq!(names(&server, &database), "pmax");
    reader.query_drop("DO RELEASE_LOCK(CONCAT('nflog_exporter ', DATABASE()))").await.unwrap();
    store.maintain(&Maintenance::default(), noon()).await.unwrap();
    assert_eq!(names(&server, &database), AHEAD);
}

/// Another session of the server.
async fn administrator(server: &MariaDb, database: &str) -> Conn {
    let options = OptsBuilder::default()
        .user(Some("root"))
        .db_name(Some(database))
        .socket(server.socket().to_str());
    Conn::new(options).await.unwrap()
}

#[tokio::test]
async fn rows_wait_while_the_table_is_changed() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    let mut other = administrator(&server, &database).await;
    other.query_drop("LOCK TABLES packets WRITE").await.unwrap();
    let unlock = async {
        // Longer than a change of partitions waits for the table.
        other.query_drop("DO SLEEP(2)").await.unwrap();
        other.query_drop("UNLOCK TABLES").await.unwrap();
    };
    let rows = kinds();
    let (writer, batch) = (writer(), batch(0, &rows));
    let ((), written) = tokio::join!(unlock, store.write(&writer, batch));
    written.unwrap();
    assert_eq!(count(&server, &database), rows.len().to_string());
}

#[tokio::test]
async fn a_table_without_partitions_is_used_and_reported() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    server.query(&database, "ALTER TABLE packets REMOVE PARTITIONING");
    store.write(&writer(), batch(0, &kinds())).await.unwrap();
    let maintenance = Maintenance { retention: Some(Duration::ZERO), max_size: Some(0) };
    let kept = store.maintain(&maintenance, noon()).await.unwrap();
    assert!(kept.warnings[0].contains("no partitions"), "{kept:?}");
    assert_eq!(count(&server, &database), kinds().len().to_string());
}

#[tokio::test]
async fn queries_of_ulogd_users_work() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    store.write(&writer(), batch(0, &kinds())).await.unwrap();
    let check = |sql: &str, expect: &str| assert_eq!(server.query(&database, sql), expect, "{sql}");
    check(
        "SELECT ip_saddr FROM ulog WHERE tcp_dport = 80 ORDER BY id DESC LIMIT 10000",
        "3221225985",
    );
    check("SELECT ip_saddr_str FROM ulog WHERE udp_dport = 53", "192.0.2.2");
    check(
        "SELECT oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_family, \
         ip_daddr, ip_daddr_str, ip_protocol, ip_ttl, ip_totlen, raw_pktlen, tcp_sport, tcp_syn, \
         tcp_ack, tcp_fin, tcp_rst, tcp_psh, tcp_urg, udp_sport, icmp_type, mac_saddr_str, host, \
         country, asn, weight FROM ulog WHERE tcp_dport = 80",
        "1795435200\t0\t1\tdrop in\t7\teth0\t2\t3405803777\t203.0.113.1\t6\t64\t60\t52\t40000\t1\t0\
         \t0\t0\t0\t0\tNULL\tNULL\t02:00:00:ab:00:0f\tgate\tSE\t29518\t1",
    );
    check(
        "SELECT ip_saddr, ip_saddr_str, oob_family, icmp_type, icmpv6_type, icmpv6_code FROM ulog \
         WHERE ip_protocol = 58",
        "NULL\t2001:db8::1\t10\tNULL\t128\t0",
    );
    check("SELECT icmp_type, icmpv6_type FROM ulog WHERE ip_protocol = 1", "8\tNULL");
    check(
        "SELECT ip_saddr, ip_saddr_str FROM ulog WHERE ip_protocol = 47",
        "NULL\t::ffff:192.0.2.4",
    );
    check(
        "SELECT ip_saddr, ip_saddr_str, oob_hook, oob_family, tcp_syn, mac_saddr_str FROM ulog \
         WHERE oob_time_sec = 0",
        "NULL\tNULL\tNULL\tNULL\tNULL\tNULL",
    );
    check(
        "SELECT mac_saddr_str, tcp_syn & tcp_ack & tcp_fin & tcp_rst & tcp_psh & tcp_urg FROM ulog \
         WHERE ip_protocol = 255",
        "00:0a:5c:27:ff:80:00:00\t1",
    );
    let plan = |sql: &str, key: &str| {
        let plan = server.query(&database, &format!("EXPLAIN {sql}"));
        assert!(plan.contains(key), "{plan}");
    };
    plan(
        "SELECT ip_saddr FROM ulog WHERE tcp_dport = 80 ORDER BY id DESC LIMIT 10000",
        "by_tcp_port",
    );
    plan(
        "SELECT DISTINCT ip_saddr FROM ulog WHERE oob_time_sec > UNIX_TIMESTAMP() - 600",
        "by_second",
    );
}

/// MariaDB scanned the index of a virtual column in the wrong order, in a table with partitions: the newest rows of
/// a port were those of the last partition only.
#[tokio::test]
async fn the_newest_rows_of_a_port_include_all_days() {
    let server = MariaDb::shared();
    let (database, mut store) = ready(&server).await;
    store.maintain(&Maintenance::default(), noon()).await.unwrap();
    let rows: Vec<_> = (0..3_000_u16)
        .map(|number| {
            let time = NOON - DAY + u64::from(number) * (3 * DAY / 3_000);
            let row = tcp(time, "192.0.2.1", if number % 50 == 0 { 4_444 } else { 80 });
            Row { protocol: Some(if number % 3 == 0 { 17 } else { 6 }), ..row }
        })
        .collect();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    server.query(&database, "ANALYZE TABLE packets");
    for (protocol, column) in [(6, "tcp_dport"), (17, "udp_dport")] {
        for port in [80, 4_444] {
            let of_port =
                |row: &&Row| row.protocol == Some(protocol) && row.destination_port == Some(port);
            let expected = rows.iter().filter(of_port).count();
            let sql = format!(
                "SELECT ip_saddr FROM ulog WHERE {column} = {port} ORDER BY id DESC LIMIT 10000"
            );
            assert_eq!(server.query(&database, &sql).lines().count(), expected, "{sql}");
        }
    }
    let start = (NOON - DAY) / 1_000_000;
    let sql = format!(
        "SELECT ip_saddr FROM ulog WHERE oob_time_sec >= {start} ORDER BY oob_time_sec DESC"
    );
    assert_eq!(server.query(&database, &sql).lines().count(), rows.len());
}

#[tokio::test]
async fn the_servers_certificate_is_verified() {
    let server = MariaDb::shared();
    let database = server.database();
    server.query(&database, "CREATE USER IF NOT EXISTS safe IDENTIFIED BY 'safe' REQUIRE SSL");
    server.query(&database, &format!("GRANT ALL ON {database}.* TO safe"));
    let verified = |file: &str| Tls::Verified { roots: Some(server.directory().join(file)) };
    let connect = |host: &str, tls: Tls| {
        let target = Target { tls, ..server.tcp_target(host, "safe", "safe", &database) };
        async move { MySql::connect(&target).await }
    };
    connect("localhost", verified("ca.pem")).await.unwrap().ping().await.unwrap();
    connect("127.0.0.1", Tls::Unverified).await.unwrap().ping().await.unwrap();
    let message = denied(connect("localhost", verified("other-ca.pem")).await);
    assert!(message.contains("certificate"), "{message}");
    let message = denied(connect("127.0.0.1", verified("ca.pem")).await);
    assert!(message.contains("certificate"), "{message}");
    denied(connect("localhost", Tls::Verified { roots: None }).await);
    denied(connect("localhost", verified("missing.pem")).await);
    denied(connect("localhost", verified("log")).await);
    denied(connect("localhost", Tls::Off).await);
}

#[tokio::test]
async fn a_server_that_requires_tls_yields_a_hint() {
    let server = MariaDb::start_with(&["--require-secure-transport=ON"]);
    let database = server.database();
    server.query(&database, "CREATE USER plain IDENTIFIED BY 'plain'");
    server.query(&database, &format!("GRANT ALL ON {database}.* TO plain"));
    let connect = |tls: Tls| {
        let target = Target { tls, ..server.tcp_target("127.0.0.1", "plain", "plain", &database) };
        async move { MySql::connect(&target).await }
    };
    let message = denied(connect(Tls::Off).await);
    assert!(message.contains("add ssl-mode=REQUIRED to the URL"), "{message}");
    connect(Tls::Unverified).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_or_hangs_loses_and_duplicates_nothing() {
    let server = MariaDb::start();
    let (database, mut store) = ready(&server).await;
    let rows = [tcp(NOON, "192.0.2.1", 22), tcp(NOON, "192.0.2.2", 23)];
    store.write(&writer(), batch(0, &rows)).await.unwrap();

    server.kill_9();
    let gone = store.write(&writer(), batch(2, &rows)).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    let away = MySql::connect(&server.target(&database)).await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    server.restart();

    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    assert_eq!(store.position(&writer(), 2).await.unwrap(), 2);
    server.stop();
    let writer = writer();
    let hung =
        tokio::time::timeout(Duration::from_millis(300), store.write(&writer, batch(2, &rows)));
    assert!(hung.await.is_err());
    drop(store);
    server.cont();

    let mut store = MySql::connect(&server.target(&database)).await.unwrap();
    let position = store.position(&writer, 2).await.unwrap();
    assert!(position == 2 || position == 4, "{position}");
    if position == 2 {
        store.write(&writer, batch(2, &rows)).await.unwrap();
    }
    assert_eq!(count(&server, &database), "4");
}

/// Values that the schema does not allow: the driver's own conversions panic on them.
#[tokio::test]
async fn unexpected_values_of_the_server_are_errors() {
    let server = MariaDb::start();
    let (database, mut store) = ready(&server).await;
    let denied = |error: StoreError, words: &str| {
        assert!(matches!(&error, StoreError::Denied(text) if text.contains(words)), "{error:?}");
    };
    server.query(&database, "ALTER TABLE nflog_writers MODIFY delivered BIGINT NULL");
    server.query(&database, "UPDATE nflog_writers SET delivered = NULL");
    denied(store.position(&writer(), 0).await.unwrap_err(), "read this writer's position");
    server.query(&database, "ALTER TABLE nflog_schema MODIFY version BIGINT");
    server.query(&database, "UPDATE nflog_schema SET version = 5000000000");
    denied(store.prepare().await.unwrap_err(), "read the schema's version");
}

/// Exactly-once depends on transactions, and a prefix on UTF-8, whatever the server's defaults are.
#[tokio::test]
async fn server_defaults_break_no_guarantee() {
    let server = MariaDb::start_with(&[
        "--default-storage-engine=MyISAM",
        "--character-set-server=latin1",
        "--log-bin=binlog",
        "--binlog-format=STATEMENT",
        "--transaction-isolation=READ-COMMITTED",
    ]);
    let (database, mut store) = ready(&server).await;
    let engines = "SELECT DISTINCT ENGINE FROM information_schema.TABLES \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'";
    assert_eq!(server.query(&database, engines), "InnoDB");
    let rows = kinds();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    assert_eq!(count(&server, &database), rows.len().to_string());
    // A change by an administrator is rejected, with the statement that reverts it.
    for (change, fix) in [
        ("nflog_writers ENGINE=MyISAM", "ALTER TABLE nflog_writers ENGINE=InnoDB"),
        ("packets ENGINE=Aria", "ALTER TABLE packets ENGINE=InnoDB"),
        (
            "packets MODIFY prefix VARCHAR(128) CHARACTER SET latin1 NOT NULL",
            "ALTER TABLE packets MODIFY prefix varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin \
             NOT NULL",
        ),
    ] {
        server.query(
            &database,
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; DELETE FROM packets",
        );
        server.query(&database, &format!("ALTER TABLE {change}"));
        let error = store.prepare().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Denied(text) if text.contains(fix)),
            "{change}: {error:?}"
        );
        server.query(&database, fix);
        store.prepare().await.unwrap();
    }
}
