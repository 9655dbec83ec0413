//! Copies the rows of ulogd's tables into `packets`, each exactly once.
//!
//! The position of a source is the id of its last copied row. The table `nflog_writers` holds it, under an id that is
//! derived from the source, and the transaction that inserts rows moves it. So an interrupted copy resumes, and
//! another copy finds only new rows. In ClickHouse, the copied rows hold it (`day_writers`).

mod batch_size;
mod convert;
mod day_writers;
mod destination;
mod fields;
mod mysql;
mod postgres;
mod reasons;
mod sqlite;
mod tables;
mod values;

pub use reasons::Reasons;

use self::{
    batch_size::BatchSize,
    convert::Converter,
    day_writers::DayWriters,
    destination::{Copied, Destination, Transactions, write},
    fields::UlogdRow,
    tables::Source,
};
use super::{
    config::ResolvedConfig,
    failover::Failover,
    kind::Kind,
    store::{AnyStore, Store, StoreError, Writer},
    target::Target,
};
use crate::{geoip::GeoIp, networks::Networks, system::clock::micros_since_1970};

/// Why expired rows are not copied to a database that drops them whenever it wants.
const EXPIRED: &str = "older than mirror.retention, after which the target deletes rows";

/// Rows could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source or the target failed.
    #[error("{what}: {error}; rows that were copied stay, and the next run resumes after them")]
    Store {
        /// The source or the target.
        what: String,
        /// The error.
        error: StoreError,
    },
    /// The database has no table of ulogd.
    #[error(
        "{0} has no table of ulogd: none of ulog2, ulog and ulogd_ulog has the columns of ulogd and is not this \
         program's own view; if ulogd's `table` has another name, use --table"
    )]
    NoTable(String),
    /// The table is not one of ulogd.
    #[error("{0} has no table {1}; check the name")]
    Missing(String, String),
    /// The table is ours.
    #[error(
        "{0} of {1} is this program's own: its rows are in `packets` already; name a table of ulogd"
    )]
    Own(String, String),
    /// The name is a view, which may show our own rows.
    #[error("{0} of {1} is a view; name the table of ulogd that has its rows")]
    View(String, String),
    /// The rows of the table cannot be distinguished.
    #[error(
        "{0} of {1} has no column _id or id, which identifies a row; add one, for example: \
         ALTER TABLE {0} ADD _id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE"
    )]
    NoId(String, String),
}

/// How far a copy is, in ids of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Id before the first row of this run.
    pub first: u64,
    /// Id of the last copied row.
    pub position: u64,
    /// Id of the last row.
    pub last: u64,
    /// Rows copied by this run.
    pub copied: u64,
}

/// The result of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Table of the source.
    pub table: String,
    /// Rows copied by this run.
    pub copied: u64,
    /// Rows that were not copied, by reason.
    pub skipped: Reasons,
    /// Values that were shortened, by the reason.
    pub shortened: Reasons,
    /// Copied rows that the exporter will delete, because they are older than `mirror.retention`.
    pub expiring: u64,
}

/// A copy of the rows of one table.
pub struct Import<'a> {
    /// The database of ulogd.
    pub from: &'a Target,
    /// The table of ulogd; `None` for the one that is found.
    pub table: Option<&'a str>,
    /// The mirror that gets the rows.
    pub to: ResolvedConfig,
    /// The databases that locate the rows.
    pub geoip: &'a GeoIp,
    /// The networks and lists that name the rows.
    pub networks: &'a Networks,
}

/// Copies the rows of a table of ulogd.
///
/// # Errors
/// A database failed or has no such table. What was copied stays.
pub async fn copy(
    import: Import<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport, ImportError> {
    match import.to.servers.kind() {
        Kind::MySql | Kind::Postgres | Kind::Sqlite => {
            copy_to::<Transactions<AnyStore>>(import, progress).await
        }
        Kind::ClickHouse => copy_to::<DayWriters>(import, progress).await,
    }
}

async fn copy_to<D: Destination>(
    Import { from, table, to, geoip, networks }: Import<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport, ImportError> {
    let source_error = |error| ImportError::Store { what: format!("the source {from}"), error };
    let target = to.servers.to_string();
    let target_error = |error| ImportError::Store { what: format!("the target {target}"), error };
    let mut source = Source::open(from, table).await?;
    let mut failover = Failover::new(to.servers.clone(), to.config.server_order);
    let mut store: D::Store = failover.connect().await.map_err(target_error)?;
    store.prepare().await.map_err(target_error)?;
    let oldest = oldest(&mut store, &to).await.map_err(target_error)?;
    let writer = Writer { id: source.writer_id(), host: to.spool().host };
    let mut destination = D::new(store, writer);
    let stored = destination.position().await.map_err(target_error)?;
    let first = source.before(stored, D::OVERLAP).await.map_err(source_error)?;
    let last = source.last_id().await.map_err(source_error)?;
    let converter = Converter::new(geoip, networks, to.anonymizer, source.is_first_version());
    let report = ImportReport { table: source.table().to_owned(), ..ImportReport::default() };
    let mut copy = RunningCopy { converter, oldest, report };
    let mut position = first;
    let mut size = BatchSize::default();
    progress(Progress { first, position, last, copied: 0 });
    // Rows that arrive meanwhile are for the next run.
    while position < last {
        let read = source.read(position, size.rows()).await.map_err(source_error)?;
        size.adapt(&read);
        let Some(end) = read.last().map(|row| row.id) else { break };
        let rows = copy.convert(&read, &destination);
        let rows: Vec<_> = rows.iter().collect();
        let range = (position, end);
        match write(&mut destination, range, &rows, &mut copy.report.skipped).await {
            Ok(()) => {
                copy.count(destination.stored(), &rows);
                position = end;
            }
            // Another run copies the same rows.
            Err(StoreError::Moved) => {
                position = destination.position().await.map_err(target_error)?;
                let reason = "copied by another run at the same time";
                copy.report.skipped.add(reason, rows.len() as u64);
            }
            Err(error) => return Err(target_error(error)),
        }
        progress(Progress { first, position, last, copied: copy.report.copied });
    }
    Ok(copy.report)
}

/// Converts rows, and counts what happens to them.
struct RunningCopy {
    converter: Converter,
    /// The time of the oldest row that the exporter keeps, microseconds since 1970.
    oldest: u64,
    report: ImportReport,
}

impl RunningCopy {
    /// The rows that are to be stored. Counts those that cannot be copied.
    fn convert<D: Destination>(&mut self, read: &[UlogdRow], destination: &D) -> Vec<Copied> {
        let mut rows = Vec::with_capacity(read.len());
        for from in read {
            let mut shortened = Reasons::default();
            let copied = match self.converter.row(from, &mut shortened) {
                Ok(row) => (from.id, row),
                Err(reason) => {
                    self.report.skipped.add(reason, 1);
                    continue;
                }
            };
            if D::DROPS_EXPIRED_ROWS && copied.1.time < self.oldest {
                self.report.skipped.add(EXPIRED, 1);
            } else if !destination.has(&copied) {
                self.report.shortened.extend(shortened);
                rows.push(copied);
            }
        }
        rows
    }

    /// Counts the rows that were stored, and those of a batch that will expire.
    fn count(&mut self, stored: u64, rows: &[&Copied]) {
        self.report.copied = stored;
        let expiring = rows.iter().filter(|(_, row)| row.time < self.oldest).count();
        self.report.expiring += expiring as u64;
    }
}

/// The time of the oldest row that the exporter keeps, microseconds since 1970.
async fn oldest<S: Store>(store: &mut S, to: &ResolvedConfig) -> Result<u64, StoreError> {
    let Some(retention) = to.maintenance().retention else { return Ok(0) };
    let now = micros_since_1970(store.clock().await?.now);
    Ok(now.saturating_sub(u64::try_from(retention.as_micros()).unwrap_or(u64::MAX)))
}
