//! The kinds of databases.

use std::fmt;

/// The supported databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MySQL 8, MariaDB 10.6 or later, and clusters that speak their protocol.
    MySql,
    /// PostgreSQL 13 or later.
    Postgres,
    /// An embedded SQLite file.
    Sqlite,
    /// ClickHouse 24.8 or later, over its HTTP interface.
    ClickHouse,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::MySql, Self::Postgres, Self::Sqlite, Self::ClickHouse];

    /// Its name for `schema --for`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
            Self::ClickHouse => "clickhouse",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
