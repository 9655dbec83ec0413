//! Rows in a real PostgreSQL: written once, read back, and partitioned by day.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nflog_exporter::{
    event::{ConnectionState, HardwareAddress, Hook},
    mirror::{
        row::{Row, RowContext},
        store::{Batch, Maintenance, Postgres, Store, StoreError, Writer},
        target::{Target, Tls},
    },
    packet::{DecodeIssue, Direction},
};
use nix::sys::signal::Signal;
use tokio_postgres::{Client, NoTls};

use crate::support::{
    postgres_server::PostgresServer,
    program::wait_for,
    sample_rows::{DAY, NOON, crowd, every_kind, tcp},
};

fn writer() -> Writer {
    Writer { id: [7; 16], host: "gate".to_owned() }
}

async fn prepared(target: &Target) -> Postgres {
    let mut store = Postgres::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    store
}

/// A new database with the schema, and a writer at 0.
async fn started(server: &PostgresServer) -> (String, Postgres) {
    let database = server.database();
    let mut store = prepared(&server.target(&database)).await;
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
    (database, store)
}

async fn write(store: &mut Postgres, rows: &[Row]) {
    let from = store.position(&writer(), 0).await.unwrap();
    store.write(&writer(), Batch { from, to: from + rows.len() as u64, rows }).await.unwrap();
}

fn count(server: &PostgresServer, database: &str) -> u64 {
    server.psql(database, "SELECT count(*) FROM packets").parse().unwrap()
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

/// The test's own client.
async fn client(server: &PostgresServer, database: &str) -> Client {
    let config = format!(
        "host={} user=postgres dbname={database} port={}",
        server.directory().display(),
        server.port()
    );
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn read(row: &tokio_postgres::Row) -> Row {
    let text = |name: &str| row.get::<_, Option<String>>(name).unwrap_or_default();
    let small = |name: &str| row.get::<_, Option<i16>>(name).map(|it| u8::try_from(it).unwrap());
    let port = |name: &str| row.get::<_, Option<i32>>(name).map(|it| u16::try_from(it).unwrap());
    let large = |name: &str| row.get::<_, Option<i64>>(name).map(|it| u32::try_from(it).unwrap());
    let since = row.get::<_, SystemTime>("time").duration_since(UNIX_EPOCH).unwrap();
    let host = row.get::<_, String>("host");
    Row {
        time: since.as_micros().try_into().unwrap(),
        group: port("nflog_group").unwrap(),
        prefix: text("prefix").into(),
        hook: Hook::ALL.into_iter().find(|hook| hook.name() == text("hook")),
        direction: Direction::ALL.into_iter().find(|it| it.name() == text("direction")),
        in_device: text("in_device").into(),
        out_device: text("out_device").into(),
        mark: large("mark").unwrap(),
        uid: large("uid"),
        hardware_address: row
            .get::<_, Option<Vec<u8>>>("hardware_address")
            .map_or_else(HardwareAddress::default, |bytes| HardwareAddress::new(&bytes)),
        ip_version: small("ip_version"),
        source: row.get::<_, Option<IpAddr>>("source"),
        destination: row.get::<_, Option<IpAddr>>("destination"),
        protocol: small("protocol"),
        length: large("length").unwrap(),
        captured_length: large("captured_length").unwrap(),
        ttl: small("ttl"),
        source_port: port("source_port"),
        destination_port: port("destination_port"),
        tcp_flags: small("tcp_flags"),
        icmp_type: small("icmp_type"),
        icmp_code: small("icmp_code"),
        issue: DecodeIssue::ALL.into_iter().find(|issue| issue.name() == text("flaw")),
        country: text("country").into(),
        city: text("city").into(),
        latitude: row.get("latitude"),
        longitude: row.get("longitude"),
        asn: large("asn"),
        weight: large("weight").unwrap(),
        context: RowContext {
            host: if host == "gate" { "".into() } else { host.into() },
            ct_state: ConnectionState::ALL.into_iter().find(|it| it.name() == text("ct_state")),
            ct_zone: port("ct_zone"),
            source_network_name: text("source_network_name").into(),
            destination_network_name: text("destination_network_name").into(),
            list: text("list").into(),
        },
    }
}

#[tokio::test]
async fn rows_are_read_back_unchanged() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let rows = every_kind(NOON - 3);
    write(&mut store, &rows).await;
    let client = client(&server, &database).await;
    let found = client.query("SELECT * FROM packets ORDER BY id", &[]).await.unwrap();
    assert_eq!(found.len(), rows.len());
    for (found, expect) in found.iter().zip(&rows) {
        assert_eq!(&read(found), expect);
    }
}

#[tokio::test]
async fn a_transaction_of_a_lost_connection_is_waited_for_and_seen() {
    let server = PostgresServer::shared();
    for (end, expect) in [("COMMIT", 1), ("ROLLBACK", 0)] {
        let (database, mut store) = started(&server).await;
        let zombie = client(&server, &database).await;
        zombie.batch_execute("BEGIN; UPDATE nflog_writers SET delivered = 1").await.unwrap();
        let position = tokio::spawn(async move { store.position(&writer(), 0).await.unwrap() });
        let waiting = format!(
            "SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' AND \
             application_name = 'nflog_exporter' AND wait_event_type = 'Lock'"
        );
        // The store's task shares this thread.
        while zombie.query(&waiting, &[]).await.unwrap().is_empty() {
            assert!(!position.is_finished(), "it did not wait");
            tokio::task::yield_now().await;
        }
        zombie.batch_execute(end).await.unwrap();
        assert_eq!(position.await.unwrap(), expect, "{end}");
    }
}

#[tokio::test]
async fn a_write_after_a_transaction_of_a_lost_connection_is_moved() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let zombie = client(&server, &database).await;
    zombie.batch_execute("BEGIN; UPDATE nflog_writers SET delivered = 1").await.unwrap();
    let write = tokio::spawn(async move {
        store.write(&writer(), Batch { from: 0, to: 1, rows: &[tcp(NOON)] }).await
    });
    let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted";
    while zombie.query(waiting, &[]).await.unwrap().is_empty() {
        assert!(!write.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    zombie.batch_execute("COMMIT").await.unwrap();
    assert!(matches!(write.await.unwrap(), Err(StoreError::Moved)));
    assert_eq!(count(&server, &database), 0);
}

#[tokio::test]
async fn a_rejected_row_rolls_back_its_batch() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    server.psql(&database, "ALTER TABLE packets ADD CONSTRAINT mine CHECK (prefix <> 'bad')");
    let bad = |prefix: &str| Row { prefix: prefix.into(), ..tcp(NOON) };
    for bad in [bad("bad"), bad("a\0b"), tcp(u64::MAX)] {
        // After more rows than the network buffers.
        let mut rows: Vec<_> = crowd(5_000, NOON, DAY).collect();
        rows.insert(7, bad);
        let batch = Batch { from: 0, to: rows.len() as u64, rows: &rows };
        let error = store.write(&writer(), batch).await;
        assert!(matches!(error, Err(StoreError::Rejected(_))), "{error:?}");
        assert_eq!(count(&server, &database), 0);
    }
    // The same connection still works.
    store.write(&writer(), Batch { from: 0, to: 1, rows: &[tcp(NOON)] }).await.unwrap();
    assert_eq!(count(&server, &database), 1);
}

#[tokio::test]
async fn eight_concurrent_starts_create_the_schema_once() {
    let server = PostgresServer::shared();
    let database = server.database();
    let target = server.target(&database);
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let target = target.clone();
        starting.spawn(async move { Postgres::connect(&target).await?.prepare().await });
    }
    while let Some(result) = starting.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(server.psql(&database, "SELECT * FROM nflog_writers"), "");
    assert_eq!(server.psql(&database, "SELECT version FROM nflog_schema"), "1");
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND \
        database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(server.psql(&database, left), "0");
}

/// Exporters that start at the same moment on an empty database and write rows at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_cause_no_error() {
    let server = PostgresServer::start();
    for round in 0..25 {
        let database = server.database();
        let mut starting = tokio::task::JoinSet::new();
        for id in 0..4 {
            let target = server.target(&database);
            starting.spawn(async move {
                let writer = Writer { id: [id; 16], host: format!("gate{id}") };
                let mut store = Postgres::connect(&target).await?;
                store.prepare().await?;
                assert_eq!(store.position(&writer, 0).await?, 0);
                let maintained = store.maintain(&KEEP_ALL, time(NOON)).await?;
                assert_eq!(maintained.warnings, [""; 0]);
                for from in 0..20 {
                    let rows: Vec<_> = (0..50).map(|row| tcp(NOON + from * 50 + row)).collect();
                    store.write(&writer, Batch { from, to: from + 1, rows: &rows }).await?;
                }
                Ok::<_, StoreError>(())
            });
        }
        while let Some(result) = starting.join_next().await {
            result.unwrap().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(count(&server, &database), 4 * 20 * 50);
    }
    let log = server.log();
    assert!(!log.contains("ERROR:") && !log.contains("WARNING:"), "{log}");
}

#[tokio::test]
async fn the_printed_schema_runs_by_hand_and_again() {
    let server = PostgresServer::shared();
    let database = server.database();
    let ddl = nflog_exporter::mirror::schema::ddl(nflog_exporter::mirror::store::Kind::Postgres);
    server.psql(&database, ddl);
    server.psql(&database, ddl);
    prepared(&server.target(&database)).await;
}

#[tokio::test]
async fn tables_of_another_program_stay() {
    let server = PostgresServer::shared();
    let check = async |make: &str, expect: &str| {
        let database = server.database();
        server.psql(&database, make);
        let mut store = Postgres::connect(&server.target(&database)).await.unwrap();
        let error = store.prepare().await.unwrap_err();
        let StoreError::Denied(text) = error else { panic!("{error:?}") };
        assert!(text.contains(expect) && text.contains(&database), "{text}");
        let tables =
            server.psql(&database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
        assert_eq!(tables, "1");
    };
    check("CREATE TABLE packets (a int)", "did not create").await;
    let newer = "CREATE TABLE nflog_schema (version int); INSERT INTO nflog_schema VALUES (99)";
    check(newer, "version 99").await;
}

/// The object of that name in ulogd's own `pgsql-ulogd2.sql`, shortened; and a view that the database would let
/// ours replace.
const FOREIGN: [&str; 2] = [
    "CREATE TABLE ulog2 (_id bigint, oob_time_sec integer, oob_prefix varchar(32));
     CREATE OR REPLACE VIEW ulog AS SELECT _id, oob_time_sec, oob_prefix FROM ulog2;
     INSERT INTO ulog2 VALUES (1, 2, 'old')",
    "CREATE TABLE old (id bigint); CREATE VIEW ulog AS SELECT id FROM old; INSERT INTO old VALUES (1)",
];

#[tokio::test]
async fn a_view_of_ulogd_is_reported_and_never_replaced() {
    let server = PostgresServer::shared();
    let ddl = nflog_exporter::mirror::schema::ddl(nflog_exporter::mirror::store::Kind::Postgres);
    for foreign in FOREIGN {
        let database = server.database();
        server.psql(&database, foreign);
        let old = server.psql(&database, "SELECT * FROM ulog");
        // At each start.
        for _ in 0..2 {
            let mut store = prepared(&server.target(&database)).await;
            let advice = store.advice().await.unwrap().remove(0);
            assert!(advice.contains("ALTER TABLE ulog RENAME TO ulogd_ulog"), "{advice}");
        }
        let mut store = prepared(&server.target(&database)).await;
        write(&mut store, &[tcp(NOON)]).await;
        let rejected = server.try_psql(&database, ddl).unwrap_err();
        assert!(rejected.contains("\"ulog\" is not nflog_exporter's"), "{rejected}");
        assert_eq!(server.psql(&database, "SELECT * FROM ulog"), old);

        // As the advice says.
        server.psql(&database, "ALTER TABLE ulog RENAME TO ulogd_ulog");
        for _ in 0..2 {
            server.psql(&database, ddl);
        }
        let mut store = prepared(&server.target(&database)).await;
        assert_eq!(store.advice().await.unwrap(), [""; 0]);
        assert_eq!(server.psql(&database, "SELECT tcp_dport FROM ulog"), "80");
        assert_eq!(server.psql(&database, "SELECT * FROM ulogd_ulog"), old);
    }
}

#[tokio::test]
async fn a_user_without_rights_gets_the_commands() {
    let server = PostgresServer::shared();
    let database = server.database();
    let name = format!("small_{database}");
    server.psql(&database, &format!("CREATE USER {name}"));
    let target = Target { user: name.clone(), ..server.target(&database) };
    let denied = async || {
        let error = Postgres::connect(&target).await.unwrap().prepare().await.unwrap_err();
        let StoreError::Denied(text) = error else { panic!("{error:?}") };
        assert!(text.contains("nflog_exporter schema --for postgres | psql"), "{text}");
        assert!(text.contains("GRANT SELECT, INSERT ON packets"), "{text}");
    };
    denied().await;
    prepared(&server.target(&database)).await;
    denied().await;
    server.psql(&database, &format!("GRANT SELECT ON nflog_schema TO {name}"));
    denied().await;
    let writers = "GRANT SELECT, INSERT, UPDATE, DELETE ON nflog_writers";
    server.psql(&database, &format!("{writers} TO {name}"));
    denied().await;
    server.psql(&database, &format!("GRANT SELECT, INSERT ON packets TO {name}"));
    let mut store = prepared(&target).await;
    write(&mut store, &[tcp(NOON)]).await;
    assert_eq!(count(&server, &database), 1);
    // Only the owner creates days.
    let done = store.maintain(&Maintenance::default(), time(NOON)).await.unwrap();
    assert!(done.warnings[0].contains("ALTER TABLE packets OWNER TO"), "{done:?}");
    store.forget(&writer()).await.unwrap();
}

/// Names of the partitions and the rows in each.
fn partitions(server: &PostgresServer, database: &str) -> String {
    let query = "SELECT string_agg(name || ' ' || rows, ', ' ORDER BY name) FROM \
        (SELECT tableoid::regclass::text, count(*) FROM packets GROUP BY 1) r(name, rows)";
    server.psql(database, query)
}

fn names(server: &PostgresServer, database: &str) -> String {
    let query = "SELECT string_agg(substr(relid::text, 9), ' ' ORDER BY relid::text) \
        FROM pg_partition_tree('packets') WHERE isleaf";
    server.psql(database, query)
}

async fn run_maintenance(store: &mut Postgres, maintenance: Maintenance, now: u64) -> Vec<String> {
    let mut dropped = Vec::new();
    for _ in 0..100 {
        let done = store.maintain(&maintenance, time(now)).await.unwrap();
        assert_eq!(done.warnings, [""; 0]);
        dropped.extend(done.dropped);
        if !done.unfinished {
            return dropped;
        }
    }
    panic!("maintenance does not end");
}

const KEEP_ALL: Maintenance = Maintenance { retention: None, max_size: None };

#[tokio::test]
async fn days_are_created_ahead_filled_and_dropped() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let midnight = NOON - DAY / 2;
    // Before there are days: yesterday's last, today's first, five days ago, far ahead.
    let times = [midnight - 1, midnight, NOON - 5 * DAY, NOON + 90 * DAY];
    write(&mut store, &times.map(tcp)).await;
    assert_eq!(partitions(&server, &database), "packets_default 4");
    assert_eq!(run_maintenance(&mut store, KEEP_ALL, NOON).await, [""; 0]);
    assert_eq!(
        partitions(&server, &database),
        "packets_default 1, packets_p20261118 1, packets_p20261122 1, packets_p20261123 1"
    );
    let days = "default p20261118 p20261122 p20261123 p20261124 p20261125 p20261126";
    assert_eq!(names(&server, &database), days);
    // Moved rows keep their ids.
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM packets";
    assert_eq!(server.psql(&database, ids), "1 2 3 4");
    write(&mut store, &[tcp(NOON)]).await;
    assert!(partitions(&server, &database).contains("packets_p20261123 2"));

    // Yesterday ends 36 hours ago: within 37 hours, and not within 35.
    let keep = |hours: u64| Maintenance {
        retention: Some(Duration::from_secs(hours * 3600)),
        max_size: None,
    };
    let now = midnight + 36 * DAY / 24;
    assert_eq!(run_maintenance(&mut store, keep(37), now).await, ["packets_p20261118"]);
    assert_eq!(run_maintenance(&mut store, keep(35), now).await, ["packets_p20261122"]);
    assert_eq!(run_maintenance(&mut store, keep(35), now).await, [""; 0]);
    // Late rows of dropped days are deleted too, without a partition.
    write(&mut store, &[tcp(NOON - 5 * DAY), tcp(NOON - 4 * DAY)]).await;
    assert_eq!(run_maintenance(&mut store, keep(35), now).await, [""; 0]);
    assert_eq!(partitions(&server, &database), "packets_default 1, packets_p20261123 2");
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND \
        database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(server.psql(&database, left), "0");
}

#[tokio::test]
async fn rows_of_many_days_reach_their_partitions() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let rows: Vec<_> = crowd(4_000, NOON - 20 * DAY, 20 * DAY).collect();
    write(&mut store, &rows).await;
    run_maintenance(&mut store, KEEP_ALL, NOON).await;
    assert_eq!(count(&server, &database), 4_000);
    assert_eq!(server.psql(&database, "SELECT count(*) FROM packets_default"), "0");
}

#[tokio::test]
async fn the_oldest_days_are_dropped_above_the_size_limit() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    run_maintenance(&mut store, KEEP_ALL, NOON - 3 * DAY).await;
    run_maintenance(&mut store, KEEP_ALL, NOON).await;
    let rows: Vec<_> = crowd(20_000, NOON - 3 * DAY, 3 * DAY).collect();
    write(&mut store, &rows).await;
    let total = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('packets')";
    let size: u64 = server.psql(&database, total).parse().unwrap();
    let maintenance = |most| Maintenance { retention: None, max_size: Some(most) };
    assert_eq!(run_maintenance(&mut store, maintenance(size), NOON).await, [""; 0]);
    let dropped = run_maintenance(&mut store, maintenance(size - 1), NOON).await;
    assert_eq!(dropped, ["packets_p20261119"]);
    // Today stays, whatever its size.
    let dropped = run_maintenance(&mut store, maintenance(1), NOON).await;
    assert_eq!(dropped, ["packets_p20261120", "packets_p20261121", "packets_p20261122"]);
    assert!(partitions(&server, &database).contains("packets_p20261123"));
}

// Two threads: a connection ends while the test waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_of_many_runs_maintenance() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let other = client(&server, &database).await;
    let lock = "SELECT pg_advisory_lock(1852206183, 2)";
    other.batch_execute(lock).await.unwrap();
    store.maintain(&KEEP_ALL, time(NOON)).await.unwrap();
    assert_eq!(names(&server, &database), "default");
    drop(other);
    wait_for("the other's end", || {
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND \
            database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        (server.psql(&database, held) == "0").then_some(())
    });
    store.maintain(&KEEP_ALL, time(NOON)).await.unwrap();
    assert!(names(&server, &database).contains("p20261123"));
}

#[tokio::test]
async fn maintenance_does_not_wait_for_a_long_reader() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    run_maintenance(&mut store, KEEP_ALL, NOON).await;
    let reader = client(&server, &database).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM packets").await.unwrap();
    let maintenance = Maintenance { retention: Some(Duration::ZERO), max_size: None };
    let done = store.maintain(&maintenance, time(NOON + 3 * DAY)).await.unwrap();
    assert!(done.dropped.is_empty() && done.warnings[0].contains("retrying"), "{done:?}");
    // The connection still works, and so do writes.
    write(&mut store, &[tcp(NOON)]).await;
    reader.batch_execute("COMMIT").await.unwrap();
    let done = store.maintain(&maintenance, time(NOON + 3 * DAY)).await.unwrap();
    assert_eq!(done.warnings, [""; 0]);
    assert!(done.dropped.len() >= 3, "{done:?}");
}

#[tokio::test]
async fn rows_are_written_while_days_are_created() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    let target = server.target(&database);
    let writing = tokio::spawn(async move {
        let mut again = 0;
        for _ in 0..100 {
            let from = store.position(&writer(), 0).await.unwrap();
            let rows: Vec<_> = crowd(50, NOON + DAY * (from / 50 % 4), DAY).collect();
            match store.write(&writer(), Batch { from, to: from + 50, rows: &rows }).await {
                Ok(()) => {}
                Err(StoreError::Unavailable(_)) => {
                    again += 1;
                    store = prepared(&target).await;
                }
                Err(error) => panic!("{error:?}"),
            }
            tokio::task::yield_now().await;
        }
        (store, again)
    });
    let mut keeper = prepared(&server.target(&database)).await;
    for day in 0..4 {
        run_maintenance(&mut keeper, KEEP_ALL, NOON + day * DAY).await;
    }
    let (mut store, again) = writing.await.unwrap();
    let position = store.position(&writer(), 0).await.unwrap();
    assert_eq!(position, (100 - again) * 50);
    assert_eq!(count(&server, &database), position);
}

#[tokio::test]
async fn the_view_has_ulogds_values() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    write(&mut store, &every_kind(NOON)).await;
    let check = |id: u32, column: &str, expect: &str| {
        let query = format!("SELECT coalesce({column}::text, 'NULL') FROM ulog WHERE id = {id}");
        assert_eq!(server.psql(&database, &query), expect, "{column} of row {id}");
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
        ("host(ip_saddr_str)", "192.0.2.1"),
        ("ip_protocol", "6"),
        ("ip_ttl", "57"),
        ("ip_totlen", "60"),
        ("raw_pktlen", "60"),
        ("tcp_sport", "50000"),
        ("tcp_dport", "80"),
        ("tcp_syn", "true"),
        ("tcp_ack", "false"),
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
    check(3, "host(ip_saddr_str)", "2001:db8::ff00:42:8329");
    check(3, "udp_dport", "53");
    check(3, "tcp_dport", "NULL");
    check(3, "tcp_syn", "NULL");
    check(3, "oob_family", "10");
    check(4, "icmp_type", "8");
    check(4, "icmpv6_type", "NULL");
    check(5, "icmpv6_type", "135");
    check(7, "ip_saddr", "4294967295");
    check(7, "mac_saddr_str", "NULL");
    check(8, "ip_saddr", "0");
    check(8, "mac_saddr_str", "NULL");
}

#[tokio::test]
async fn queries_use_indexes() {
    let server = PostgresServer::shared();
    let (database, mut store) = started(&server).await;
    run_maintenance(&mut store, KEEP_ALL, NOON).await;
    for hour in 0..12 {
        let rows: Vec<_> = crowd(5_000, NOON - DAY + hour * DAY / 12, DAY / 12).collect();
        write(&mut store, &rows).await;
    }
    server.psql(&database, "ANALYZE packets");
    let check = |question: &str, index: &str| {
        let plan = server.psql(&database, &format!("EXPLAIN {question}"));
        let used = plan.contains(index) && !plan.contains("Seq Scan on packets_p20261123");
        assert!(used, "{question}\n{plan}");
    };
    check(
        "SELECT ip_saddr FROM ulog WHERE tcp_dport = 80 ORDER BY id DESC LIMIT 1000",
        "packets_p20261123_case_id_idx",
    );
    check(
        "SELECT ip_saddr FROM ulog WHERE udp_dport = 6379 ORDER BY id DESC LIMIT 10",
        "packets_p20261123_case_id_idx1",
    );
    check(
        "SELECT DISTINCT ip_saddr FROM ulog \
         WHERE oob_time_sec > extract(epoch FROM timestamptz '2026-11-23 11:50:00Z')::int",
        "packets_p20261123_floor_idx",
    );
    check("SELECT * FROM packets WHERE source = '10.1.1.1'", "packets_p20261123_source_");
    check("SELECT * FROM ulog WHERE ip_saddr_str = '10.1.1.1'", "packets_p20261123_source_");
    check(
        "SELECT * FROM packets WHERE country = 'SG' AND time > '2026-11-23 11:00:00Z'",
        "packets_p20261123_country_time_idx",
    );
}

#[tokio::test]
async fn certificates_are_verified() {
    let server = PostgresServer::shared();
    let database = server.database();
    server.psql(&database, &format!("CREATE USER u_{database} PASSWORD 'secret'"));
    let user = format!("u_{database}");
    let connect = async |host: &str, password: &str, tls: Tls| {
        let target = server.tcp_target(host, &user, password, &database);
        Postgres::connect(&Target { tls, ..target }).await.map(|_| ())
    };
    let roots = |name: &str| -> Tls {
        Tls::Verified { roots: Some(PathBuf::from(server.directory()).join(name)) }
    };
    for (host, tls) in [
        ("127.0.0.1", roots("ca.pem")),
        ("localhost", roots("ca.pem")),
        ("127.0.0.2", Tls::Unverified),
        ("127.0.0.2", Tls::Off),
    ] {
        connect(host, "secret", tls).await.unwrap();
    }
    for (host, password, tls, expect) in [
        ("127.0.0.1", "secret", roots("other-ca.pem"), "certificate"),
        ("127.0.0.1", "secret", Tls::Verified { roots: None }, "certificate"),
        ("127.0.0.2", "secret", roots("ca.pem"), "not valid for name"),
        ("127.0.0.1", "secret", roots("server.key"), "no certificate"),
        ("127.0.0.1", "secret", roots("none.pem"), "none.pem"),
        ("127.0.0.1", "Xanadu", Tls::Unverified, "28P01"),
        ("127.0.0.1", "", Tls::Unverified, "password"),
    ] {
        let error = connect(host, password, tls).await.unwrap_err();
        let StoreError::Denied(text) = error else { panic!("{expect}: {error:?}") };
        assert!(text.contains(expect), "{text}");
        assert!(!text.contains("secret") && !text.contains("Xanadu"), "{text}");
    }
}

// Two threads: a connection ends while the test waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_are_encrypted_and_named() {
    let server = PostgresServer::shared();
    let database = server.database();
    server.psql(&database, &format!("CREATE USER u_{database} SUPERUSER PASSWORD 'secret'"));
    let target = server.tcp_target("127.0.0.1", &format!("u_{database}"), "secret", &database);
    for (tls, expect) in [(Tls::Unverified, "t"), (Tls::Off, "f")] {
        let store = prepared(&Target { tls, ..target.clone() }).await;
        let query = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
            WHERE application_name = 'nflog_exporter' AND datname = current_database()";
        assert_eq!(server.psql(&database, query), expect);
        drop(store);
        wait_for("the connection's end", || {
            (server.psql(&database, query).is_empty()).then_some(())
        });
    }
}

#[tokio::test]
async fn a_missing_database_is_denied() {
    let server = PostgresServer::shared();
    let error = Postgres::connect(&server.target("nowhere")).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn a_crashed_server_is_unavailable_and_keeps_committed_rows() {
    let server = PostgresServer::start();
    let (database, mut store) = started(&server).await;
    write(&mut store, &[tcp(NOON)]).await;
    server.kill_9();
    let batch = Batch { from: 1, to: 2, rows: &[tcp(NOON)] };
    let error = store.write(&writer(), batch).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let error = Postgres::connect(&server.target(&database)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    server.restart();
    let mut store = prepared(&server.target(&database)).await;
    assert_eq!(store.position(&writer(), 1).await.unwrap(), 1);
    assert_eq!(count(&server, &database), 1);

    // A hanging server does not answer; the caller's deadline ends the call, and dropping the store closes the
    // connection.
    server.signal(Signal::SIGSTOP);
    let late =
        tokio::time::timeout(Duration::from_millis(200), store.write(&writer(), batch)).await;
    assert!(late.is_err());
    drop(store);
    server.signal(Signal::SIGCONT);
    let mut store = prepared(&server.target(&database)).await;
    let position = store.position(&writer(), 1).await.unwrap();
    assert_eq!(count(&server, &database), position);
}

/// Rows wait where the database's encoding cannot hold every prefix: they are not rejected.
#[tokio::test]
async fn an_encoding_that_cannot_hold_every_prefix_is_rejected() {
    let server = PostgresServer::start();
    let database = "latin";
    server.psql(
        "postgres",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let mut store = Postgres::connect(&server.target(database)).await.unwrap();
    let error = store.prepare().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied(text) if text.contains("has the encoding LATIN1")
            && text.contains("ENCODING 'UTF8'")),
        "{error:?}"
    );
}
