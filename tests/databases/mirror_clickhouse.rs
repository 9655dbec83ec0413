//! The mirror with ClickHouse. Requires PyPI's chdb, which `tests/run chdb` installs.

use std::time::{Duration, SystemTime};

use nflog_exporter::{
    event::ConnectionState,
    mirror::{
        inspect::inspect,
        row::{Row, RowContext},
        schema,
        store::{
            Batch, ClickHouse, Kind, Maintenance, MaintenanceReport, Store, StoreError, Writer,
        },
        target::{Endpoint, Target, Tls},
    },
};

use crate::support::{
    clickhouse::ClickHouseServer,
    sample_rows::{DAY, NOON, empty, every_kind, tcp},
};

fn writer() -> Writer {
    Writer { id: [0xff, 0, 0x27, 0x5c, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], host: "gate".into() }
}

fn batch(from: u64, rows: &[Row]) -> Batch<'_> {
    Batch { from, to: from + rows.len() as u64, rows }
}

/// As the table stores it.
#[expect(clippy::cast_possible_truncation, reason = "single precision")]
fn single(degrees: f64) -> f32 {
    degrees as f32
}

/// A store with the schema.
async fn prepared(target: &Target) -> ClickHouse {
    let mut store = ClickHouse::connect(target).await.unwrap();
    store.prepare().await.unwrap();
    store
}

/// Number of rows, and number of different ones.
const COUNT: &str = "SELECT count(), uniqExact(writer, sequence) FROM packets";

/// The rows hold the positions, and a token makes an insert one.
#[tokio::test]
async fn positions_are_read_from_the_rows() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let target = server.target(&database);
    let mut store = prepared(&target).await;
    let rows = [tcp(NOON), empty(NOON)];
    // A connection that did not read the position again, as if the first insert were still running.
    let (mut one, mut other) = (prepared(&target).await, prepared(&target).await);
    assert_eq!(one.position(&writer(), 0).await.unwrap(), 0);
    assert_eq!(other.position(&writer(), 0).await.unwrap(), 0);
    one.write(&writer(), batch(0, &rows)).await.unwrap();
    other.write(&writer(), batch(0, &rows)).await.unwrap();
    assert_eq!(server.query(&database, COUNT), "2\t2");
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 2);
    // Rows 2 to 9 were lost: skipped.
    store.write(&writer(), Batch { from: 2, to: 10, rows: &[] }).await.unwrap();
    store.write(&writer(), Batch { from: 10, to: 12, rows: &rows }).await.unwrap();
    store.forget(&writer()).await.unwrap();
    // The spool knows them, or learns where they are missing.
    assert_eq!(store.position(&writer(), 10).await.unwrap(), 12);
    assert_eq!(store.position(&writer(), 50).await.unwrap(), 50);
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 2);
    // Rows 10 and 11 are there.
    let found: Vec<_> = (2..12).map(|number| tcp(NOON + number)).collect();
    store.write(&writer(), batch(2, &found)).await.unwrap();
    assert_eq!(server.query(&database, COUNT), "12\t12");
}

/// A batch of several days is several inserts. If only some of them are done, the others follow, in whatever batches.
#[tokio::test]
async fn the_days_of_a_batch_are_written_once() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let mut store = prepared(&server.target(&database)).await;
    store.position(&writer(), 0).await.unwrap();
    let rows: Vec<_> = (0..100).map(|number| tcp(NOON + number % 3 * DAY)).collect();
    // The second day is rejected.
    server.query(
        &database,
        "ALTER TABLE packets ADD CONSTRAINT test CHECK toDate(time) <> '2026-11-24'",
    );
    let rejected = store.write(&writer(), batch(0, &rows)).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    assert_eq!(server.query(&database, COUNT), "34\t34");
    server.query(&database, "ALTER TABLE packets DROP CONSTRAINT test");
    // As the delivery does: in halves, on the same connection.
    store.write(&writer(), batch(0, &rows[..50])).await.unwrap();
    drop(store);
    let mut store = prepared(&server.target(&database)).await;
    // Row 51 is of the first day.
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 50);
    store.write(&writer(), batch(50, &rows[50..70])).await.unwrap();
    store.write(&writer(), batch(70, &rows[70..])).await.unwrap();
    assert_eq!(server.query(&database, COUNT), "100\t100");
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 100);
}

/// A server that was killed between noting a token and storing the rows drops the next attempt.
#[tokio::test]
async fn a_token_without_rows_loses_none() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let mut store = prepared(&server.target(&database)).await;
    store.position(&writer(), 0).await.unwrap();
    let rows = [tcp(NOON), tcp(NOON + DAY)];
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    server.query(&database, "ALTER TABLE packets DELETE WHERE 1 SETTINGS mutations_sync = 2");
    assert_eq!(server.query(&database, COUNT), "0\t0");
    let mut store = prepared(&server.target(&database)).await;
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    assert_eq!(server.query(&database, COUNT), "2\t2");
}

/// Each kind of row in each column, through the table and the view.
#[tokio::test]
async fn rows_keep_their_values() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let mut store = prepared(&server.target(&database)).await;
    store.position(&writer(), 0).await.unwrap();
    let context = RowContext {
        host: "router".into(),
        ct_state: Some(ConnectionState::Related),
        ct_zone: Some(7),
        source_network_name: "office".into(),
        destination_network_name: "lab".into(),
        list: "drop".into(),
    };
    let rows = every_kind(NOON);
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    store
        .write(&writer(), batch(rows.len() as u64, &[Row { context, ..tcp(NOON) }]))
        .await
        .unwrap();
    for (number, row) in rows.iter().enumerate() {
        let text = |text: &str| text.to_owned();
        let opt = |value: Option<String>| value.unwrap_or_else(|| r"\N".into());
        let address = |address: Option<std::net::IpAddr>| opt(address.map(|it| it.to_string()));
        let hex = row.hardware_address.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        let mac = hex.collect::<Vec<_>>().join(":");
        let expect = [
            row.time.to_string(),
            row.group.to_string(),
            opt(row.hook.map(|hook| text(hook.name()))),
            opt(row.direction.map(|direction| text(direction.name()))),
            row.mark.to_string(),
            opt(row.uid.map(|uid| uid.to_string())),
            opt(Some(mac).filter(|mac| !mac.is_empty())),
            opt(row.ip_version.map(|version| version.to_string())),
            address(row.source),
            address(row.destination),
            opt(row.protocol.map(|protocol| protocol.to_string())),
            row.length.to_string(),
            row.captured_length.to_string(),
            opt(row.ttl.map(|ttl| ttl.to_string())),
            opt(row.source_port.map(|port| port.to_string())),
            opt(row.destination_port.map(|port| port.to_string())),
            opt(row.tcp_flags.map(|flags| flags.to_string())),
            opt(row.icmp_type.map(|number| number.to_string())),
            opt(row.icmp_code.map(|number| number.to_string())),
            opt(row.issue.map(|issue| text(issue.name()))),
            opt(row.latitude.map(|degrees| single(degrees).to_string())),
            opt(row.longitude.map(|degrees| single(degrees).to_string())),
            opt(row.asn.map(|asn| asn.to_string())),
            row.weight.to_string(),
        ]
        .join("\t");
        let query = format!(
            "SELECT p._id, t.nflog_group, t.hook, t.direction, t.mark, t.uid, p.mac_saddr_str, t.ip_version, \
             p.ip_saddr_str, p.ip_daddr_str, t.protocol, t.length, t.captured_length, t.ttl, t.source_port, \
             t.destination_port, t.tcp_flags, t.icmp_type, t.icmp_code, t.flaw, t.latitude, t.longitude, t.asn, \
             t.weight FROM packets AS t, ulog AS p WHERE t.time = p.time AND t.host = p.host AND \
             t.sequence = {number}"
        );
        assert_eq!(server.query(&database, &query), expect, "{row:?}");
        let texts = format!(
            "SELECT hex(prefix), hex(in_device), hex(out_device), hex(country), hex(ifNull(city, '')) FROM packets \
             WHERE sequence = {number}"
        );
        let hex = |text: &str| {
            text.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat()
        };
        let expect = [&row.prefix, &row.in_device, &row.out_device, &row.country, &row.city];
        let expect = expect.map(|text| hex(text)).join("\t");
        assert_eq!(server.query(&database, &texts), expect, "{row:?}");
    }
    let written = "SELECT count() FROM packets WHERE host = 'router' AND ct_state = 'related' AND ct_zone = 7 \
        AND source_network_name = 'office' AND destination_network_name = 'lab' AND list = 'drop'";
    assert_eq!(server.query(&database, written), "1");
    let ulogd = "SELECT DISTINCT tcp_dport FROM ulog WHERE tcp_dport = 80 AND oob_hook = 1";
    assert_eq!(server.query(&database, ulogd), "80");
    for view in ["ulog2", "tcp", "udp", "mac", "view_tcp_quad", "view_icmp"] {
        server.query(&database, &format!("SELECT * FROM {view}"));
    }
}

/// Before or after the start of an exporter.
#[tokio::test]
async fn an_administrator_creates_the_schema() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    for _ in 0..2 {
        server.query(&database, schema::ddl(Kind::ClickHouse));
        prepared(&server.target(&database)).await;
    }
}

#[tokio::test]
async fn foreign_and_unsuitable_tables_are_left_alone() {
    let server = ClickHouseServer::shared();
    for (table, expect) in [
        ("(a UInt8) ENGINE = MergeTree ORDER BY a", "did not create"),
        (
            "(a UInt8) ENGINE = MergeTree ORDER BY a COMMENT 'nflog_exporter, schema version 2'",
            "upgrade nflog_exporter",
        ),
        (
            "(a UInt8) ENGINE = MergeTree ORDER BY a COMMENT 'nflog_exporter, schema version 1'",
            "MODIFY SETTING non_replicated_deduplication_window",
        ),
        ("(a UInt8) ENGINE = Log COMMENT 'nflog_exporter, schema version 1'", "engine Log"),
    ] {
        let database = server.database();
        server.query(&database, &format!("CREATE TABLE packets {table}"));
        let mut store = ClickHouse::connect(&server.target(&database)).await.unwrap();
        let error = store.prepare().await.unwrap_err();
        assert!(matches!(error, StoreError::Denied(_)), "{error:?}");
        assert!(error.to_string().contains(expect), "{error}");
    }
    // Another program's view stays.
    let database = server.database();
    server.query(&database, "CREATE VIEW ulog AS SELECT 1 AS a");
    let mut store = prepared(&server.target(&database)).await;
    assert!(store.advice().await.unwrap()[0].contains("RENAME TABLE ulog"));
    assert_eq!(server.query(&database, "SELECT * FROM ulog"), "1");
}

/// The TTL drops whole days; the size limit drops the oldest, but not today's.
#[tokio::test]
async fn retention_and_size_limit() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let mut store = prepared(&server.target(&database)).await;
    store.position(&writer(), 0).await.unwrap();
    let now = SystemTime::now();
    let today =
        u64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let rows: Vec<_> = (0..10).map(|day| tcp(today - (9 - day) * DAY)).collect();
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    let days = "SELECT count(DISTINCT toDate(time)) FROM packets";
    assert_eq!(server.query(&database, days), "10");
    let keep = |days: u64| Maintenance {
        retention: Some(Duration::from_secs(days * 86_400)),
        max_size: None,
    };
    let report = store.maintain(&keep(5), now).await.unwrap();
    assert_eq!(report.warnings, Vec::<String>::new());
    // The server drops them in the background; this does it now.
    let remaining = || {
        server.query(&database, "OPTIMIZE TABLE packets FINAL");
        server.query(&database, days)
    };
    crate::support::program::wait_for("expired days to be dropped", || {
        (remaining() == "5").then_some(())
    });
    // The shortest retention holds.
    let report = store.maintain(&keep(6), now).await.unwrap();
    assert!(report.warnings[0].contains("432000 s, shorter than mirror.retention"), "{report:?}");
    assert_eq!(store.maintain(&keep(4), now).await.unwrap().warnings, Vec::<String>::new());
    crate::support::program::wait_for("another day to be dropped", || {
        (remaining() == "4").then_some(())
    });
    let all =
        store.maintain(&Maintenance { retention: None, max_size: Some(1) }, now).await.unwrap();
    assert_eq!(all.dropped.len(), 3, "{all:?}");
    assert_eq!(server.query(&database, days), "1");
    // An administrator's TTL stays.
    server.query(&database, "ALTER TABLE packets MODIFY TTL toDateTime(time) + toIntervalDay(30)");
    assert_eq!(store.maintain(&keep(4), now).await.unwrap(), MaintenanceReport::default());
    let ttl = "SELECT engine_full LIKE '%toIntervalDay(30)%' FROM system.tables WHERE name = 'packets' AND \
        database = currentDatabase()";
    assert_eq!(server.query(&database, ttl), "1");
}

/// A server can demand a right for reading its own tables.
#[tokio::test]
async fn a_size_limit_without_the_right_to_read_sizes_is_a_warning() {
    let server = ClickHouseServer::start();
    let mut store = prepared(&server.target("default")).await;
    server.fault("no-parts");
    let limit = Maintenance { retention: None, max_size: Some(1) };
    let report = store.maintain(&limit, SystemTime::now()).await.unwrap();
    assert!(report.warnings[0].contains("GRANT SELECT ON system.parts"), "{report:?}");
    server.fault("");
    let report = store.maintain(&limit, SystemTime::now()).await.unwrap();
    assert_eq!(report, MaintenanceReport::default());
}

/// The statements for a cluster, which needs several servers. The engine parses them; it executes them without the cluster,
/// with a local table in the place of the replicated one, and a table of all local ones in that of the distributed one.
#[test]
fn the_statements_for_a_cluster_are_valid() {
    let server = ClickHouseServer::shared();
    let database = server.database();
    let ddl = schema::clickhouse_cluster("{cluster}");
    let statements: Vec<_> = ddl.split(";\n").filter(|text| !text.trim().is_empty()).collect();
    assert_eq!(statements.len(), 2 + schema::ddl(Kind::ClickHouse).matches("CREATE VIEW").count());
    for statement in statements {
        let (start, _) = statement
            .match_indices("CREATE ")
            .find(|(at, _)| statement[..*at].ends_with('\n') || *at == 0)
            .unwrap();
        let create = &statement[start..];
        assert!(create.contains(" ON CLUSTER '{cluster}'"), "{create}");
        server.query(&database, &format!("EXPLAIN AST {create}"));
        let local = create
            .replace(" ON CLUSTER '{cluster}'", "")
            .replace("ENGINE = ReplicatedMergeTree\n", "ENGINE = MergeTree\n")
            .replace(
                "Distributed('{cluster}', currentDatabase(), packets_local, cityHash64(writer))",
                "Merge(currentDatabase(), '^packets_local$')",
            );
        server.query(&database, &local);
    }
    let single = server.database();
    server.query(&single, schema::ddl(Kind::ClickHouse));
    let columns = |database: &str, table: &str| {
        server.query(
            database,
            &format!(
                "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}' \
                 ORDER BY position"
            ),
        )
    };
    let expect = columns(&single, "packets");
    assert!(expect.contains("sequence\tUInt64"), "{expect}");
    for table in ["packets_local", "packets"] {
        assert_eq!(columns(&database, table), expect, "{table}");
    }
    server.query(&database, "INSERT INTO packets_local (time, prefix, protocol, destination_port) VALUES (now(), 'a', 6, 80)");
    for view in ["ulog", "ulog2", "tcp", "udp", "mac", "view_tcp_quad", "view_icmp"] {
        server.query(&database, &format!("SELECT * FROM {view}"));
    }
    assert_eq!(server.query(&database, "SELECT tcp_dport FROM ulog"), "80");
    for part in [
        "packets_local ON CLUSTER '{cluster}' (",
        "ENGINE = ReplicatedMergeTree\n",
        "  replicated_deduplication_window = 10000,",
        "ENGINE = Distributed('{cluster}', currentDatabase(), packets_local, cityHash64(writer))",
    ] {
        assert!(ddl.contains(part), "{part} is not in\n{ddl}");
    }
}

/// The same steps as of `doctor`.
#[tokio::test]
async fn an_inspection_shows_each_step() {
    let server = ClickHouseServer::shared();
    let target = server.target(&server.database());
    let steps = inspect(&target.clone().into()).await;
    let names: Vec<_> = steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["connection", "schema", "rights", "partitions", "clock"]);
    assert!(steps.iter().all(|step| step.outcome.is_ok()), "{steps:?}");
    let failure = |target: Target| async move {
        let steps = inspect(&target.clone().into()).await;
        steps.last().unwrap().outcome.clone().unwrap_err()
    };
    let wrong = failure(Target { password: "wrong".into(), ..target.clone() }).await;
    assert!(wrong.contains("check the user and the password"), "{wrong}");
    let missing = failure(Target { database: "missing".into(), ..target.clone() }).await;
    assert!(missing.contains("run CREATE DATABASE"), "{missing}");
}

#[tokio::test]
async fn an_old_server_is_refused() {
    let server = ClickHouseServer::start();
    let target = server.target("default");
    server.fault("old");
    let Err(error) = ClickHouse::connect(&target).await else { panic!("connected") };
    let expect = "the server has version 22.8.1.1: upgrade it to 24.8 or later";
    assert!(matches!(&error, StoreError::Denied(text) if text.contains(expect)), "{error:?}");
}

#[tokio::test]
async fn https_verifies_the_server() {
    let server = ClickHouseServer::start_with_tls();
    let ca = |name: &str| Tls::Verified { roots: Some(server.directory().join(name)) };
    let target = |host: &str, tls: Tls| Target {
        endpoint: Endpoint::Tcp { host: host.to_owned(), port: server.port() },
        tls,
        ..server.target("default")
    };
    prepared(&target("localhost", ca("ca.pem"))).await;
    prepared(&target("localhost", Tls::Unverified)).await;
    for (host, authority) in [("localhost", "other-ca.pem"), ("127.0.0.1", "ca.pem")] {
        let refused = ClickHouse::connect(&target(host, ca(authority))).await.err();
        assert!(matches!(refused, Some(StoreError::Denied(_))), "{refused:?}");
    }
    // Neither side understands the other.
    let plain = ClickHouse::connect(&target("localhost", Tls::Off)).await.err().unwrap();
    assert!(plain.to_string().contains("cannot read the server's version"), "{plain}");
    let other = ClickHouseServer::shared();
    let encrypted = Target { tls: Tls::Unverified, ..other.target("default") };
    let refused = ClickHouse::connect(&encrypted).await.err().unwrap();
    assert!(matches!(&refused, StoreError::Denied(text) if text.contains("8443")), "{refused:?}");
}
