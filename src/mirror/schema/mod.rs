//! The schema: the statements that make it, for each database, versioned.

use super::store::Kind;

/// Version of the schema that this program writes to: the newest row of `nflog_schema`.
pub const VERSION: u32 = 1;

/// The columns of `packets` that are inserted, each with its value in this order.
pub(super) const COLUMNS: &str = "time, host, nflog_group, prefix, hook, direction, in_device, \
    out_device, mark, uid, hardware_address, ip_version, source, destination, protocol, length, \
    captured_length, ttl, source_port, destination_port, tcp_flags, icmp_type, icmp_code, flaw, \
    country, city, latitude, longitude, asn, weight";

/// The whole schema as SQL text, for people whose database user may not make tables.
#[must_use]
pub fn ddl(kind: Kind) -> &'static str {
    match kind {
        Kind::MySql => concat!(
            include_str!("mysql.sql"),
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
    }
}

/// The statements that make what the store needs: parts of [`ddl`], without the semicolon behind.
pub(super) fn tables(kind: Kind) -> impl Iterator<Item = &'static str> {
    statements(match kind {
        Kind::MySql => include_str!("mysql.sql"),
        Kind::Postgres => include_str!("postgres.sql"),
        Kind::Sqlite => include_str!("sqlite.sql"),
    })
}

/// The statements that widen MySQL's index `by_source` where it is short: on a table with rows they take a
/// while, and a server may reject them.
pub(super) fn mysql_index() -> impl Iterator<Item = &'static str> {
    statements(include_str!("mysql_index.sql"))
}

/// The statements that make ulogd2's other tables and views of our view `ulog`, in `SQLite` also that one. What is there of their names
/// stays.
pub(super) fn ulogd_views(kind: Kind) -> impl Iterator<Item = &'static str> {
    statements(match kind {
        Kind::MySql => include_str!("mysql_ulogd.sql"),
        Kind::Postgres => include_str!("postgres_ulogd.sql"),
        Kind::Sqlite => include_str!("sqlite_ulogd.sql"),
    })
    // What `SQLite` prints for people is no part of it.
    .filter(|statement| !statement.contains("pragma_table_info"))
}

/// The statement that makes the view `ulog`, for people. Another's of that name it leaves as it is: MySQL
/// and PostgreSQL refuse it then, `SQLite` says nothing.
pub(super) fn view(kind: Kind) -> &'static str {
    let text = match kind {
        Kind::MySql => include_str!("mysql_ulog.sql"),
        Kind::Postgres => include_str!("postgres_ulog.sql"),
        Kind::Sqlite => include_str!("sqlite_ulog.sql"),
    };
    // What stands before it in MySQL drops ours, for people who run it all once more.
    statements(text).find(|statement| statement.contains("FROM packets")).unwrap_or_default()
}

fn statements(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}
