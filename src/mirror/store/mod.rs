//! Databases behind one face: connect, prepare the schema, write rows exactly once, keep house.

mod mysql;
mod postgres;
mod sqlite;
mod tls;

use std::{
    fmt,
    future::Future,
    time::{Duration, SystemTime},
};

pub use mysql::MySql;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

use super::{row::Row, target::Target};

/// Who wrote rows: one life of one exporter, from its start to its end.
///
/// Rows of a life are numbered from 0. How many of them a database holds stands in its table
/// `nflog_writers`, changed in the transaction that inserts them: so a commit whose answer was lost
/// is recognised, and nothing is written twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Random, 128 bits.
    pub id: [u8; 16],
    /// Name of the host, the column `host`; at most 255 bytes.
    pub host: String,
}

/// Rows for one transaction.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Number of the first row, counted over the writer's life.
    pub from: u64,
    /// Number of the row behind the last one. More than `from + rows.len()` where rows in between
    /// were lost or refused, so that they are passed over once for all.
    pub to: u64,
    /// The rows, in their order; may be empty.
    pub rows: &'a [Row],
}

/// What to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Rows older than this go; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// The oldest rows go when all of them take more bytes than this, indexes included. Today's rows
    /// always stay where days are partitions.
    pub max_size: Option<u64>,
}

/// What keeping house came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// What was dropped, for the log: names of partitions; empty when rows were deleted one by one.
    pub dropped: Vec<String>,
    /// Whether there is more to do at once: SQLite deletes a little at a time, so that its lock is
    /// never held long.
    pub unfinished: bool,
    /// What could not be done, and how to mend it; nothing that keeps rows from being written.
    pub warnings: Vec<String>,
}

/// A server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// Its time.
    pub now: SystemTime,
    /// The name of its time zone, as it calls it.
    pub zone: String,
}

/// A connection to a database. Dropped and made anew after any error but [`StoreError::Refused`].
///
/// The caller gives every call a deadline and drops the store when it passes: a call must be safe
/// to drop at any await.
pub trait Store: Sized + Send {
    /// How often maintenance is due.
    const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);

    /// Connects. Does not touch the schema.
    fn connect(target: &Target) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// Makes the schema or brings it up to date, and checks that rows can be inserted.
    fn prepare(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How many rows of this writer the database holds. `at_least` is what the writer knows it holds:
    /// a database that knows less (a restored backup) is told.
    fn position(
        &mut self,
        writer: &Writer,
        at_least: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Inserts the rows and moves the writer's position from `from` to `to`, in one transaction.
    ///
    /// The position moves first and only from `from`: a transaction of a connection that died, still
    /// under way in the server, is waited for and seen.
    fn write(
        &mut self,
        writer: &Writer,
        batch: Batch<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts the rows and takes them back: whether the database takes such rows at all.
    fn try_rows(
        &mut self,
        writer: &Writer,
        rows: &[Row],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes a writer whose life is over and whose rows are all written.
    fn forget(&mut self, writer: &Writer) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Time of the newest row that is not later than `until`; `None` when there is none.
    fn newest_row(
        &mut self,
        until: SystemTime,
    ) -> impl Future<Output = Result<Option<SystemTime>, StoreError>> + Send;

    /// Makes days ahead, drops what is too old or too much. Gives up rather than wait long for a lock.
    /// `now` is the server's clock: that of one host must not drop what others wrote.
    fn maintain(
        &mut self,
        upkeep: &Maintenance,
        now: SystemTime,
    ) -> impl Future<Output = Result<MaintenanceReport, StoreError>> + Send;

    /// What time it is for the server.
    fn clock(&mut self) -> impl Future<Output = Result<ServerClock, StoreError>> + Send;

    /// What an administrator should do, though rows can be written: about a view of ulogd that is in the way
    /// of ours, or an index that the dashboards lack.
    fn advice(&mut self) -> impl Future<Output = Result<Vec<&'static str>, StoreError>> + Send;

    /// Asks for a sign of life.
    fn ping(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A time as databases give it, seconds since 1970-01-01 UTC; nonsense is that day.
fn since_1970(seconds: f64) -> SystemTime {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Microseconds since 1970-01-01 UTC; 0 for a time before.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What a database answers, or that it does not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection could not be made or was lost, or the database could not do it now: try again.
    #[error("{0}")]
    Unavailable(String),
    /// It does not let us in, lacks a right or a schema: try again when somebody mended it.
    #[error("{0}")]
    Denied(String),
    /// The writer's position is not where the batch begins: ask for it.
    #[error("the position moved elsewhere")]
    Moved,
    /// It takes the statement, but not the values of these rows.
    #[error("{0}")]
    Refused(String),
}

/// The databases there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MySQL 8, MariaDB 10.6 or later, and clusters that speak their protocol.
    MySql,
    /// PostgreSQL 13 or later.
    Postgres,
    /// An embedded SQLite file.
    Sqlite,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::MySql, Self::Postgres, Self::Sqlite];

    /// The name that `schema --for` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
