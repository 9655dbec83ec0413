//! The interface to databases: connect, prepare the schema, write rows exactly once, maintain.

mod any_store;
mod clickhouse;
pub(super) mod mysql;
pub(super) mod postgres;
mod row_reader;
pub(super) mod sqlite;
mod stored;
mod tls;

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

pub use super::kind::Kind;
pub use any_store::AnyStore;
pub use clickhouse::{ClickHouse, read as read_clickhouse};
pub use mysql::{MySql, read as read_mysql};
pub use postgres::{Postgres, read as read_postgres};
pub(super) use row_reader::{AnyReader, RowReader, Stop};
pub use sqlite::{Sqlite, read as read_sqlite};
pub(super) use {
    clickhouse::ClickHouseReader, mysql::MySqlReader, postgres::PostgresReader,
    sqlite::SqliteReader,
};

use super::{row::Row, target::Target};
use crate::system::clock;

/// The writer of rows: one session of one exporter, from its start to its end.
///
/// Rows of a session are numbered from 0. The table `nflog_writers` holds how many of them the database has; the
/// transaction that inserts them changes it. So a commit whose answer was lost is recognised, and no row is
/// written twice. ClickHouse has no transactions: there, the rows themselves hold their writer and number.
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
    /// Number of the first row, counted over the writer's session.
    pub from: u64,
    /// Number of the row after the last one. More than `from + rows.len()` where rows in between were lost or
    /// rejected, so that they are skipped for good.
    pub to: u64,
    /// The rows, in their order; may be empty.
    pub rows: &'a [Row],
}

/// Limits of the stored rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Rows older than this are dropped; `None` keeps all.
    pub retention: Option<Duration>,
    /// The oldest rows are dropped when all of them take more bytes than this, indexes included. Where days
    /// are partitions, today's rows always stay.
    pub max_size: Option<u64>,
}

/// The result of a maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Names of dropped partitions, for the log; empty when rows were deleted one by one.
    pub dropped: Vec<String>,
    /// Whether more work is due at once: SQLite deletes a few rows at a time, to hold its lock only briefly.
    pub unfinished: bool,
    /// What could not be done, and its fix. Rows are written nevertheless.
    pub warnings: Vec<String>,
}

/// A server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// Its time.
    pub now: SystemTime,
    /// Name of the server's time zone.
    pub zone: String,
}

/// Whether a server accepts rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does. What it is, as in "is the primary".
    Ready(String),
    /// It does, but another server should be preferred: why.
    Busy(String),
    /// It does not, although it answers: why.
    NotReady(String),
}

impl Readiness {
    /// An error if the server accepts no rows.
    fn check(self) -> Result<(), StoreError> {
        match self {
            Self::Ready(_) | Self::Busy(_) => Ok(()),
            Self::NotReady(why) => Err(StoreError::Unavailable(why)),
        }
    }
}

/// How rows are written to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRules {
    /// Interval of maintenance.
    pub maintenance_interval: Duration,
    /// Whether a batch is written whole or not at all. Otherwise a part of it may be held after a failure, and the same
    /// batch must be sent again.
    pub writes_whole_batches: bool,
    /// Time after which the server has ended a write whose answer was not received. Only then the rows are sent again in
    /// other batches, if [`Self::writes_whole_batches`] is false.
    pub max_write_time: Duration,
    /// Time to gather rows after a small batch, unless there are enough for a large one.
    pub gathering: Duration,
}

impl Default for WriteRules {
    fn default() -> Self {
        Self {
            maintenance_interval: Duration::from_secs(600),
            writes_whole_batches: true,
            max_write_time: Duration::ZERO,
            gathering: Duration::ZERO,
        }
    }
}

/// A connection to a database. After any error except [`StoreError::Rejected`] it is dropped and replaced.
///
/// The caller applies a deadline to every call, and drops the store when it expires: a call must be safe
/// to drop at any await.
pub trait Store: Sized + Send {
    /// How rows are written to a database of this kind, which is the store's.
    #[must_use]
    fn rules(_: Kind) -> WriteRules {
        WriteRules::default()
    }

    /// Connects. Does not touch the schema.
    fn connect(target: &Target) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// Whether the server accepts rows: a standby or a node without its cluster does not.
    fn readiness(&mut self) -> impl Future<Output = Result<Readiness, StoreError>> + Send {
        async { Ok(Readiness::Ready("answers".into())) }
    }

    /// Creates or updates the schema, and checks that rows can be inserted.
    fn prepare(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The position of this writer that the database records; `None` if it does not know the writer. `at_least` is the
    /// number of rows that the database has confirmed: less means that it lost some. A database without separate
    /// positions returns it.
    fn recorded(
        &mut self,
        _writer: &Writer,
        at_least: u64,
    ) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send {
        async move { Ok(Some(at_least)) }
    }

    /// Number of this writer's rows that the database holds. `at_least` is the number that the writer knows of;
    /// a database that knows less (a restored backup) is corrected.
    fn position(
        &mut self,
        writer: &Writer,
        at_least: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Inserts the rows and moves the writer's position from `from` to `to`, in one transaction.
    ///
    /// The position is changed first, and only from `from`: this waits for a transaction of a lost connection
    /// that the server still runs, and detects its result.
    fn write(
        &mut self,
        writer: &Writer,
        batch: Batch<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts the rows and rolls back: whether the database accepts such rows at all.
    fn try_rows(
        &mut self,
        writer: &Writer,
        rows: &[Row],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes a writer whose session is over and whose rows are all written.
    fn forget(&mut self, writer: &Writer) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Time of the newest row that is not later than `until`; `None` when there is none.
    fn newest_row(
        &mut self,
        until: SystemTime,
    ) -> impl Future<Output = Result<Option<SystemTime>, StoreError>> + Send;

    /// Creates partitions ahead, and drops rows that are too old or exceed the size limit. Stops rather than
    /// wait long for a lock. `now` is the server's clock: one host's clock must not drop rows of others.
    fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> impl Future<Output = Result<MaintenanceReport, StoreError>> + Send;

    /// The server's time.
    fn clock(&mut self) -> impl Future<Output = Result<ServerClock, StoreError>> + Send;

    /// Advice to an administrator, although rows can be written: about a view of ulogd that is in the way of
    /// ours, or an index that the dashboards lack.
    fn advice(&mut self) -> impl Future<Output = Result<Vec<&'static str>, StoreError>> + Send;

    /// Checks that the server answers, and still accepts rows.
    fn ping(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The columns that a reader of rows gets after the time.
const READ_COLUMNS: &str = "prefix, direction, source, destination, ip_version, protocol, length, source_port, \
    destination_port, tcp_flags, icmp_type, icmp_code, flaw, country, asn, weight";

/// Converts seconds since 1970-01-01 UTC, as databases return them; an invalid value yields 1970-01-01.
fn since_1970(seconds: f64) -> SystemTime {
    clock::time_since_1970(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection failed or was lost, or the database cannot do it now: retry.
    #[error("{0}")]
    Unavailable(String),
    /// Access, a right or the schema is missing: an administrator has to fix it; retry until then.
    #[error("{0}")]
    Denied(String),
    /// Another transaction was committed first, and this one was rolled back: retry it on the same server.
    #[error("{0}")]
    Conflict(String),
    /// The writer's position is not the start of the batch: read it again.
    #[error("another connection moved the writer's position")]
    Moved,
    /// The statement is valid, but the values of these rows are rejected.
    #[error("{0}")]
    Rejected(String),
}
