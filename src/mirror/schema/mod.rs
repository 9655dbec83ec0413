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
        Kind::MySql => include_str!("mysql.sql"),
        Kind::Postgres => include_str!("postgres.sql"),
        Kind::Sqlite => include_str!("sqlite.sql"),
    }
}

/// The statements of a schema: parts of [`ddl`], without comments in front and semicolon behind.
pub fn statements(kind: Kind) -> impl Iterator<Item = &'static str> {
    ddl(kind).split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}
