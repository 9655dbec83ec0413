//! The schema of each database as SQL, with its version.

use super::kind::Kind;

/// Version of the schema that this program uses: the newest row of `nflog_schema`.
///
/// A program rejects a newer version, so nullable columns are added without a new one: exporters that do not know them
/// share the database, and insert by the names of their columns.
pub const VERSION: u32 = 1;

/// The inserted columns of `packets` in its first form, in the order of their values.
pub(super) const FIRST_COLUMNS: &str = "time, host, nflog_group, prefix, hook, direction, in_device, \
    out_device, mark, uid, hardware_address, ip_version, source, destination, protocol, length, \
    captured_length, ttl, source_port, destination_port, tcp_flags, icmp_type, icmp_code, flaw, \
    country, city, latitude, longitude, asn, weight";

/// The columns that were added to that form, in the order of their values. A table has all or none of them.
pub(super) const ADDED_COLUMNS: &str =
    "ct_state, ct_zone, source_network_name, destination_network_name, list";

/// The inserted columns of `packets`, in the order of their values.
pub(crate) fn columns() -> String {
    format!("{FIRST_COLUMNS}, {ADDED_COLUMNS}")
}

/// Number of [`columns`].
pub(super) const WIDTH: usize = 35;

/// The whole schema as SQL, for administrators.
#[must_use]
pub fn ddl(kind: Kind) -> &'static str {
    match kind {
        Kind::MySql => concat!(
            include_str!("mysql.sql"),
            include_str!("mysql_columns.sql"),
            include_str!("mysql_index.sql"),
            include_str!("mysql_ulog.sql"),
            include_str!("mysql_ulogd.sql")
        ),
        Kind::Postgres => concat!(
            include_str!("postgres.sql"),
            include_str!("postgres_ulog.sql"),
            include_str!("postgres_ulogd.sql")
        ),
        Kind::Sqlite => concat!(
            include_str!("sqlite.sql"),
            include_str!("sqlite_ulog.sql"),
            include_str!("sqlite_ulogd.sql")
        ),
        Kind::ClickHouse => concat!(
            include_str!("clickhouse.sql"),
            include_str!("clickhouse_ulog.sql"),
            include_str!("clickhouse_ulogd.sql")
        ),
    }
}

/// The schema for a cluster of ClickHouse servers: replicated tables `packets_local`, and `packets` on top of all shards.
/// `name` is the cluster in the servers' configuration, or a macro.
#[must_use]
pub fn clickhouse_cluster(name: &str) -> String {
    let on_cluster = format!("ON CLUSTER '{name}'");
    let ddl = ddl(Kind::ClickHouse);
    let local = ddl
        .replacen("EXISTS packets (", &format!("EXISTS packets_local {on_cluster} ("), 1)
        .replacen("ENGINE = MergeTree", "ENGINE = ReplicatedMergeTree", 1)
        .replacen(
            "non_replicated_deduplication_window = 10000",
            "replicated_deduplication_window = 10000,\n  replicated_deduplication_window_seconds = 604800",
            1,
        );
    let (table, views) = local.split_once("COMMENT ").unwrap_or((&local, ""));
    let (comment, views) = views.split_once(";\n").unwrap_or((views, ""));
    let views = views.replace(" AS\nSELECT", &format!(" {on_cluster} AS\nSELECT"));
    format!(
        "{table}COMMENT {comment};\n\n\
         -- All rows of a writer are in one shard, in which duplicates are dropped.\n\
         CREATE TABLE IF NOT EXISTS packets {on_cluster} AS packets_local\n\
         ENGINE = Distributed('{name}', currentDatabase(), packets_local, cityHash64(writer))\n\
         COMMENT {comment};\n{views}"
    )
}

/// The statements that create what the store needs: parts of [`ddl`], without the final semicolon.
pub(super) fn tables(kind: Kind) -> impl Iterator<Item = &'static str> {
    statements(match kind {
        Kind::MySql => include_str!("mysql.sql"),
        Kind::Postgres => include_str!("postgres.sql"),
        Kind::Sqlite => include_str!("sqlite.sql"),
        Kind::ClickHouse => include_str!("clickhouse.sql"),
    })
}

/// The statements that add [`ADDED_COLUMNS`] to a table in its first form. PostgreSQL's are part of [`tables`];
/// ClickHouse's first table has them.
pub(super) fn added_columns(kind: Kind) -> impl Iterator<Item = &'static str> {
    statements(match kind {
        Kind::MySql => include_str!("mysql_columns.sql"),
        Kind::Postgres | Kind::ClickHouse => "",
        Kind::Sqlite => include_str!("sqlite_columns.sql"),
    })
}

/// The statements that widen MySQL's index `by_source` where it is short: slow on a table with rows, and a server
/// may reject them.
pub(super) fn mysql_index() -> impl Iterator<Item = &'static str> {
    statements(include_str!("mysql_index.sql"))
}

/// The statements that create ulogd2's other tables and views on top of our view `ulog`, in `SQLite` that view as
/// well. Existing objects of these names stay.
pub(super) fn ulogd_views(kind: Kind) -> impl Iterator<Item = &'static str> {
    statements(match kind {
        Kind::MySql => include_str!("mysql_ulogd.sql"),
        Kind::Postgres => include_str!("postgres_ulogd.sql"),
        Kind::Sqlite => include_str!("sqlite_ulogd.sql"),
        Kind::ClickHouse => include_str!("clickhouse_ulogd.sql"),
    })
    // `SQLite`'s hint for administrators is not part of it.
    .filter(|statement| !statement.contains("pragma_table_info"))
}

/// The statement that creates the view `ulog`. Another program's `ulog` stays: MySQL and PostgreSQL report an
/// error, `SQLite` and ClickHouse do nothing.
pub(super) fn view(kind: Kind) -> &'static str {
    let text = match kind {
        Kind::MySql => include_str!("mysql_ulog.sql"),
        Kind::Postgres => include_str!("postgres_ulog.sql"),
        Kind::Sqlite => include_str!("sqlite_ulog.sql"),
        Kind::ClickHouse => include_str!("clickhouse_ulog.sql"),
    };
    // In MySQL, a statement before it drops our own view, for administrators who run the schema again.
    statements(text).find(|statement| statement.contains("FROM packets")).unwrap_or_default()
}

fn statements(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}
