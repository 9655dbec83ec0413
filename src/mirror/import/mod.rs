//! Copies the rows of ulogd's tables into `packets`, each exactly once.
//!
//! The position of a source is the id of its last copied row. The table `nflog_writers` holds it, under an id that is
//! derived from the source, and the transaction that inserts rows moves it. So an interrupted copy resumes, and
//! another copy finds only new rows.

mod batch_size;
mod convert;
mod fields;
mod mysql;
mod postgres;
mod sqlite;
mod tables;
mod values;

use std::collections::BTreeMap;

use self::{batch_size::BatchSize, convert::Converter, tables::Source};
use super::{
    config::ResolvedConfig,
    failover::Failover,
    kind::Kind,
    row::Row,
    store::{Batch, MySql, Postgres, Sqlite, Store, StoreError, Writer},
    target::Target,
};
use crate::{geoip::GeoIp, networks::Networks, system::clock::micros_since_1970};

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
    /// The target has no transactions.
    #[error(
        "{0}: rows of ulogd cannot be copied to ClickHouse, which has no transactions; copy them to MySQL, MariaDB, \
         PostgreSQL or SQLite"
    )]
    NoTransactions(String),
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
    pub skipped: BTreeMap<String, u64>,
    /// Values that were shortened, by the reason.
    pub shortened: BTreeMap<String, u64>,
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
        Kind::MySql => copy_to::<MySql>(import, progress).await,
        Kind::Postgres => copy_to::<Postgres>(import, progress).await,
        Kind::Sqlite => copy_to::<Sqlite>(import, progress).await,
        Kind::ClickHouse => Err(ImportError::NoTransactions(import.to.servers.to_string())),
    }
}

async fn copy_to<S: Store>(
    Import { from, table, to, geoip, networks }: Import<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<ImportReport, ImportError> {
    let source_error = |error| ImportError::Store { what: format!("the source {from}"), error };
    let target = to.servers.to_string();
    let target_error = |error| ImportError::Store { what: format!("the target {target}"), error };
    let mut source = Source::open(from, table).await?;
    let mut failover = Failover::new(to.servers.clone(), to.config.server_order);
    let mut store: S = failover.connect().await.map_err(target_error)?;
    store.prepare().await.map_err(target_error)?;
    let writer = Writer { id: source.writer_id(), host: to.spool().host };
    let first = store.position(&writer, 0).await.map_err(target_error)?;
    let last = source.last_id().await.map_err(source_error)?;
    let oldest = oldest(&mut store, &to).await.map_err(target_error)?;
    let mut converter = Converter::new(geoip, networks, to.anonymizer, source.is_first_version());
    let mut report = ImportReport { table: source.table().to_owned(), ..ImportReport::default() };
    let mut position = first;
    let mut size = BatchSize::default();
    progress(Progress { first, position, last, copied: 0 });
    // Rows that arrive meanwhile are for the next run.
    while position < last {
        let read = source.read(position, size.rows()).await.map_err(source_error)?;
        size.adapt(&read);
        let Some(end) = read.last().map(|row| row.id) else { break };
        let mut rows = Vec::with_capacity(read.len());
        for row in &read {
            match converter.row(row, &mut report.shortened) {
                Ok(copy) => rows.push((row.id, copy)),
                Err(reason) => *report.skipped.entry(reason).or_default() += 1,
            }
        }
        let written = write(&mut store, &writer, (position, end), &rows, &mut report.skipped).await;
        match written {
            Ok(written) => {
                report.copied += written;
                report.expiring += rows.iter().filter(|(_, row)| row.time < oldest).count() as u64;
                position = end;
            }
            // Another run copies the same rows.
            Err(StoreError::Moved) => {
                position = store.position(&writer, 0).await.map_err(target_error)?;
                *report
                    .skipped
                    .entry("copied by another run at the same time".into())
                    .or_default() += rows.len() as u64;
            }
            Err(error) => return Err(target_error(error)),
        }
        progress(Progress { first, position, last, copied: report.copied });
    }
    Ok(report)
}

/// The time of the oldest row that the exporter keeps, microseconds since 1970.
async fn oldest<S: Store>(store: &mut S, to: &ResolvedConfig) -> Result<u64, StoreError> {
    let Some(retention) = to.maintenance().retention else { return Ok(0) };
    let now = micros_since_1970(store.clock().await?.now);
    Ok(now.saturating_sub(u64::try_from(retention.as_micros()).unwrap_or(u64::MAX)))
}

/// Writes rows with their ids, and moves the position over all of them. Rows that the database rejects are skipped
/// and counted. Returns the number of written rows.
async fn write<S: Store>(
    store: &mut S,
    writer: &Writer,
    (from, to): (u64, u64),
    rows: &[(u64, Row)],
    skipped: &mut BTreeMap<String, u64>,
) -> Result<u64, StoreError> {
    let mut written = 0;
    let mut position = from;
    // The parts that are still to be written, the next one last: each with the position after it.
    let mut parts = vec![(rows, to)];
    while let Some((part, to)) = parts.pop() {
        let batch: Vec<_> = part.iter().map(|(_, row)| row.clone()).collect();
        match store.write(writer, Batch { from: position, to, rows: &batch }).await {
            Ok(()) => {
                written += part.len() as u64;
                position = to;
            }
            Err(StoreError::Rejected(_)) if part.len() > 1 => {
                let (head, tail) = part.split_at(part.len() / 2);
                parts.push((tail, to));
                parts.push((head, tail[0].0 - 1));
            }
            Err(StoreError::Rejected(reason)) if part.len() == 1 => {
                *skipped.entry(format!("rejected by the target: {reason}")).or_default() += 1;
                parts.push((&[], to));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
