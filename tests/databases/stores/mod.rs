//! The guarantees of every store: one suite for each database. Tests for a single database are in
//! `mirror_mysql`, `mirror_postgres`, `mirror_clickhouse` and `mirror_sqlite`. Requires MariaDB, PostgreSQL and SQLite's
//! shell of Debian's packages, and PyPI's chdb, which `tests/run chdb` installs.
mod databases;

use std::time::{Duration, SystemTime};

use nflog_exporter::{
    event::ConnectionState,
    mirror::{
        row::{Row, RowContext},
        schema,
        store::{Batch, Store, StoreError, Writer},
    },
};

use databases::{Click, Database, File, HasFirstSchema, Maria, MySqlServer, PostgreSql};

use crate::support::sample_rows::{NOON, empty, tcp};

fn writer() -> Writer {
    Writer { id: [0xff, 0, 0x27, 0x5c, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], host: "gate".into() }
}

fn batch(from: u64, rows: &[Row]) -> Batch<'_> {
    Batch { from, to: from + rows.len() as u64, rows }
}

fn time(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// Prepares the database by several exporters at once.
async fn starts_at_once<D: Database>(database: &D) {
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let target = database.target();
        starting.spawn(async move { D::Store::connect(&target).await?.prepare().await });
    }
    while let Some(result) = starting.join_next().await {
        let result = result.unwrap();
        let is_locked = matches!(result, Err(StoreError::Unavailable(_))) && D::MAY_BE_LOCKED;
        assert!(result.is_ok() || is_locked, "{result:?}");
    }
}

/// A store with the schema, and a writer at 0.
async fn prepared<D: Database>(database: &D) -> D::Store {
    let mut store = D::Store::connect(&database.target()).await.unwrap();
    store.prepare().await.unwrap();
    store
}

fn count<D: Database>(database: &D) -> String {
    database.query("SELECT count(*) FROM packets")
}

async fn a_batch_is_written_once<D: Database>() {
    let database = D::create();
    let mut store = prepared(&database).await;
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
    let rows = [tcp(NOON), empty(NOON)];
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    let again = store.write(&writer(), batch(0, &rows)).await;
    assert!(matches!(again, Err(StoreError::Moved)), "{again:?}");
    assert_eq!(count(&database), "2");
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 2);
    store.ping().await.unwrap();
    assert_eq!(count(&database), "2");
}

/// In a table, beside the rows.
async fn positions_are_recorded<D: Database>() {
    let database = D::create();
    let mut store = prepared(&database).await;
    store.position(&writer(), 0).await.unwrap();
    store.write(&writer(), batch(0, &[tcp(NOON), empty(NOON)])).await.unwrap();
    // Rows 2 to 9 were lost: skipped. An empty batch moves nothing.
    store.write(&writer(), Batch { from: 2, to: 10, rows: &[] }).await.unwrap();
    store.write(&writer(), Batch { from: 10, to: 10, rows: &[] }).await.unwrap();
    assert_eq!(store.position(&writer(), 5).await.unwrap(), 10);
    // A restored backup is corrected.
    assert_eq!(store.position(&writer(), 50).await.unwrap(), 50);
    assert_eq!(store.position(&writer(), 10).await.unwrap(), 50);
    store.forget(&writer()).await.unwrap();
    assert_eq!(database.query("SELECT count(*) FROM nflog_writers"), "0");
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
    assert_eq!(count(&database), "2");
}

async fn writers_have_positions_of_their_own<D: Database>() {
    let database = D::create();
    let (mut one, mut other) = (prepared(&database).await, prepared(&database).await);
    let second = Writer { id: [1; 16], host: "attic".into() };
    assert_eq!(one.position(&writer(), 0).await.unwrap(), 0);
    assert_eq!(other.position(&second, 0).await.unwrap(), 0);
    one.write(&writer(), batch(0, &[tcp(NOON)])).await.unwrap();
    other.write(&second, batch(0, &[tcp(NOON), tcp(NOON)])).await.unwrap();
    assert_eq!(other.position(&writer(), 0).await.unwrap(), 1);
    assert_eq!(one.position(&second, 0).await.unwrap(), 2);
    one.forget(&writer()).await.unwrap();
    assert_eq!(one.position(&second, 0).await.unwrap(), 2);
    let hosts = "SELECT count(*) FROM packets WHERE host = 'attic'";
    assert_eq!(database.query(hosts), "2");
}

async fn a_dropped_table_is_created_again<D: Database>() {
    let database = D::create();
    let mut store = prepared(&database).await;
    store.position(&writer(), 0).await.unwrap();
    store.write(&writer(), batch(0, &[tcp(NOON)])).await.unwrap();
    database.query(D::DROP_PACKETS);
    let lost = store.write(&writer(), batch(1, &[tcp(NOON)])).await;
    assert!(matches!(lost, Err(StoreError::Denied(_))), "{lost:?}");
    drop(store);
    let mut store = prepared(&database).await;
    assert_eq!(store.position(&writer(), 1).await.unwrap(), 1);
    store.write(&writer(), batch(1, &[tcp(NOON)])).await.unwrap();
    assert_eq!(database.query("SELECT tcp_dport FROM ulog"), "80");
}

/// An earlier program's tables get the added columns, at whatever start comes first, and that program goes on.
async fn the_first_schema_is_upgraded<D: HasFirstSchema>() {
    let database = D::create();
    database.query(D::FIRST_SCHEMA);
    let earlier = "INSERT INTO packets (time, host, nflog_group, prefix, in_device, out_device, mark, length, \
        captured_length, country) VALUES ('2026-11-23 12:00:00', 'attic', 1, '', '', '', 0, 60, 60, 'DE')";
    database.query(earlier);
    starts_at_once(&database).await;
    let mut store = prepared(&database).await;
    store.position(&writer(), 0).await.unwrap();
    let context = RowContext {
        host: "router".into(),
        ct_state: Some(ConnectionState::Related),
        ct_zone: Some(7),
        source_network_name: "office".into(),
        destination_network_name: "lab".into(),
        list: "drop".into(),
    };
    let rows = [Row { context, ..tcp(NOON) }, tcp(NOON)];
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    database.query(earlier);
    let written = "SELECT count(*) FROM packets WHERE host = 'router' AND ct_state = 'related' AND ct_zone = 7 \
        AND source_network_name = 'office' AND destination_network_name = 'lab' AND list = 'drop'";
    assert_eq!(database.query(written), "1");
    let without = "SELECT count(*) FROM packets WHERE host IN ('attic', 'gate') AND ct_state IS NULL AND ct_zone \
        IS NULL AND source_network_name IS NULL AND destination_network_name IS NULL AND list IS NULL";
    assert_eq!(database.query(without), "3");
    assert_eq!(database.query(D::VERSION), "1");
}

/// An administrator can run the program's SQL instead. `SQLite` needs none: the file belongs to the exporter.
async fn an_administrator_upgrades_the_first_schema<D: HasFirstSchema>() {
    let database = D::create();
    database.query(D::FIRST_SCHEMA);
    for _ in 0..2 {
        database.query(schema::ddl(database.target().kind));
    }
    assert_eq!(database.query("SELECT count(list) FROM packets"), "0");
    prepared(&database).await;
}

async fn concurrent_starts_create_the_schema_once<D: Database>() {
    let database = D::create();
    starts_at_once(&database).await;
    prepared(&database).await;
    assert_eq!(database.query(D::VERSION), "1");
    assert_eq!(count(&database), "0");
}

async fn a_rejected_row_rolls_back_its_batch<D: Database>() {
    let database = D::create();
    let mut store = prepared(&database).await;
    store.position(&writer(), 0).await.unwrap();
    database.query(D::REFUSE_BAD);
    let bad = Row { prefix: "bad".into(), ..tcp(NOON) };
    let rejected = store.write(&writer(), batch(0, &[tcp(NOON), bad.clone()])).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    let rejected = store.try_rows(&writer(), &[bad]).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    assert_eq!(count(&database), "0");
    // The connection still works, from the same position.
    store.write(&writer(), batch(0, &[tcp(NOON)])).await.unwrap();
    assert_eq!(count(&database), "1");
}

async fn tried_rows_are_rolled_back<D: Database>() {
    let database = D::create();
    let mut store = prepared(&database).await;
    store.position(&writer(), 0).await.unwrap();
    store.try_rows(&writer(), &[tcp(NOON), empty(NOON)]).await.unwrap();
    assert_eq!(count(&database), "0");
    assert_eq!(store.position(&writer(), 0).await.unwrap(), 0);
}

async fn the_newest_row_is_found_up_to_a_time<D: Database>() {
    const SECOND: u64 = 1_000_000;
    let database = D::create();
    let mut store = prepared(&database).await;
    assert_eq!(store.newest_row(time(NOON)).await.unwrap(), None);
    store.position(&writer(), 0).await.unwrap();
    let rows = [tcp(NOON), tcp(NOON + SECOND), tcp(NOON + 60 * SECOND)];
    store.write(&writer(), batch(0, &rows)).await.unwrap();
    for (until, expect) in [
        (NOON - 1, None),
        (NOON, Some(NOON)),
        (NOON + 2 * SECOND, Some(NOON + SECOND)),
        (NOON + 3600 * SECOND, Some(NOON + 60 * SECOND)),
    ] {
        assert_eq!(store.newest_row(time(until)).await.unwrap(), expect.map(time), "{until}");
    }
}

async fn the_servers_clock_is_read<D: Database>() {
    let database = D::create();
    let clock = prepared(&database).await.clock().await.unwrap();
    let now = SystemTime::now();
    let difference = now.duration_since(clock.now).unwrap_or_else(|earlier| earlier.duration());
    assert!(difference < Duration::from_secs(10), "{clock:?}");
    assert!(!clock.zone.is_empty());
}

/// The tests for one database.
macro_rules! suite {
    ($module:ident, $database:ty, $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test::<$database>().await;
                }
            )+
        }
    };
}

/// The same suite for each database.
macro_rules! for_each_database {
    ($($module:ident: $database:ty),+) => {
        $(
            suite!(
                $module, $database,
                a_batch_is_written_once
                writers_have_positions_of_their_own
                a_dropped_table_is_created_again
                concurrent_starts_create_the_schema_once
                a_rejected_row_rolls_back_its_batch
                tried_rows_are_rolled_back
                the_newest_row_is_found_up_to_a_time
                the_servers_clock_is_read
            );
        )+
    };
}

/// The suite for each database with transactions, whose schema had fewer columns.
macro_rules! for_each_database_with_transactions {
    ($($module:ident: $database:ty),+) => {
        $(
            suite!($module, $database, positions_are_recorded the_first_schema_is_upgraded);
        )+
    };
}

suite!(mariadb_script, super::Maria, an_administrator_upgrades_the_first_schema);
suite!(postgres_script, super::PostgreSql, an_administrator_upgrades_the_first_schema);

for_each_database!(
    mariadb: super::Maria,
    mysql: super::MySqlServer,
    postgres: super::PostgreSql,
    clickhouse: super::Click,
    sqlite: super::File
);

for_each_database_with_transactions!(
    mariadb_transactions: super::Maria,
    mysql_transactions: super::MySqlServer,
    postgres_transactions: super::PostgreSql,
    sqlite_transactions: super::File
);
