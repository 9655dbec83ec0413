//! The schema: the statements that make it, for each database, versioned.

use super::store::Kind;

/// Version of the schema that this program writes to: the newest row of `nflog_schema`.
pub const VERSION: u32 = 1;

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
