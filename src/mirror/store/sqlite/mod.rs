//! Rows in a SQLite file: opened, configured, and written one batch a transaction.

mod error;
mod maintenance;
mod prepare;
mod read;
mod rows;
mod select;

pub use read::read;
pub(in crate::mirror) use select::SqliteReader;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

pub(in crate::mirror) use self::error::failure;
use super::{
    Batch, Kind, Maintenance, MaintenanceReport, ServerClock, Store, StoreError, WriteRules,
    Writer, since_1970,
};
use crate::{
    mirror::{
        row::Row,
        target::{Endpoint, Target},
        time_text::time_text,
    },
    system::clock::micros_since_1970,
};

/// An open SQLite file. Calls block their thread while they work, and at most 5 seconds longer.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// The file, for messages.
    name: String,
    path: PathBuf,
    /// Device and inode of the open file.
    identity: Option<(u64, u64)>,
    /// Rows inserted since the last step of maintenance.
    inserted: u64,
}

/// Maximum wait for another process's lock.
pub(in crate::mirror) const BUSY: Duration = Duration::from_secs(5);

impl Store for Sqlite {
    fn rules(_: Kind) -> WriteRules {
        // Rows are deleted one by one, at the rate at which new ones arrive.
        WriteRules { maintenance_interval: Duration::from_secs(1), ..WriteRules::default() }
    }

    async fn connect(target: &Target) -> Result<Self, StoreError> {
        let Endpoint::File(path) = &target.endpoint else {
            return Err(StoreError::Denied(format!("SQLite needs a file, not {target}")));
        };
        let name = path.display().to_string();
        let connection = open(path, &name)?;
        Ok(Self { connection, name, path: path.clone(), identity: identity(path), inserted: 0 })
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        prepare::prepare(self)
    }

    async fn recorded(&mut self, writer: &Writer, _: u64) -> Result<Option<u64>, StoreError> {
        let query = "SELECT delivered FROM nflog_writers WHERE writer = ?1";
        let delivered: Option<i64> = self
            .connection
            .query_row(query, [writer.id], |row| row.get(0))
            .optional()
            .map_err(|error| self.failure("read the writer's position", &error))?;
        Ok(delivered.map(|delivered| u64::try_from(delivered).unwrap_or(0)))
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        let delivered: i64 = self
            .connection
            .query_row(
                "INSERT INTO nflog_writers (writer, host, delivered, updated) \
                 VALUES (?1, ?2, ?3, datetime('now')) ON CONFLICT (writer) DO UPDATE \
                 SET delivered = max(delivered, excluded.delivered), updated = excluded.updated \
                 RETURNING delivered",
                params![writer.id, writer.host, integer(at_least)?],
                |row| row.get(0),
            )
            .map_err(|error| self.failure("read the writer's position", &error))?;
        u64::try_from(delivered).map_err(|_| {
            StoreError::Denied(format!(
                "SQLite {}: nflog_writers has the invalid position {delivered}: delete that row",
                self.name
            ))
        })
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        self.is_still_there()?;
        let (from, to) = (integer(batch.from)?, integer(batch.to)?);
        let Self { connection, name, inserted, .. } = self;
        let failure = |error: rusqlite::Error| failure(name, "write rows", &error);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failure)?;
        let moved = transaction
            .prepare_cached(
                "UPDATE nflog_writers SET delivered = ?1, updated = datetime('now') \
                 WHERE writer = ?2 AND delivered = ?3",
            )
            .and_then(|mut update| update.execute(params![to, writer.id, from]))
            .map_err(failure)?;
        if moved == 0 {
            return Err(StoreError::Moved);
        }
        rows::insert(&transaction, name, &writer.host, batch.rows)?;
        transaction.commit().map_err(failure)?;
        *inserted += batch.rows.len() as u64;
        Ok(())
    }

    async fn try_rows(&mut self, writer: &Writer, rows: &[Row]) -> Result<(), StoreError> {
        let Self { connection, name, .. } = self;
        // Rolled back on drop.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failure(name, "test rows", &error))?;
        rows::insert(&transaction, name, &writer.host, rows)
    }

    async fn forget(&mut self, writer: &Writer) -> Result<(), StoreError> {
        self.connection
            .execute("DELETE FROM nflog_writers WHERE writer = ?1", [writer.id])
            .map_err(|error| self.failure("remove a writer", &error))?;
        Ok(())
    }

    async fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        let now = Duration::from_micros(micros_since_1970(now));
        maintenance::maintain(self, maintenance, now)
    }

    async fn newest_row(&mut self, until: SystemTime) -> Result<Option<SystemTime>, StoreError> {
        let newest: Option<f64> = self
            .connection
            .query_row(
                "SELECT CAST(strftime('%s', substr(max(time), 1, 19)) AS REAL) FROM packets \
                 WHERE time <= ?1",
                [time_text(micros_since_1970(until))],
                |row| row.get(0),
            )
            .map_err(|error| self.failure("read the newest row", &error))?;
        Ok(newest.map(since_1970))
    }

    async fn clock(&mut self) -> Result<ServerClock, StoreError> {
        // A file has no clock of its own.
        Ok(ServerClock { now: SystemTime::now(), zone: "this host's".into() })
    }

    async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
        prepare::advice(self)
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        self.is_still_there()?;
        self.connection
            .query_row("SELECT 1 FROM nflog_writers LIMIT 1", [], |_| Ok(()))
            .optional()
            .map_err(|error| self.failure("read", &error))?;
        Ok(())
    }
}

impl Sqlite {
    fn failure(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        failure(&self.name, doing, error)
    }

    /// Checks that the path still names the open file: rows written to a removed file would be lost silently.
    /// The next connection creates the file again.
    fn is_still_there(&self) -> Result<(), StoreError> {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "SQLite {}: the file was removed or replaced while it was in use; reopening it",
            self.name
        )))
    }

    /// Runs statements without parameters and results.
    fn run(&self, doing: &str, statements: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(statements).map_err(|error| self.failure(doing, &error))
    }

    /// Reads a setting or counter of the file.
    fn setting(&self, pragma: &str) -> Result<i64, StoreError> {
        self.connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(|error| self.failure("read its settings", &error))
    }
}

/// Opens the file; creates it, and its directory, when it is missing.
fn open(path: &Path, name: &str) -> Result<Connection, StoreError> {
    prepare::make_file(path, name)?;
    let failure = |error: rusqlite::Error| failure(name, "open the file", &error);
    let connection = Connection::open(path).map_err(failure)?;
    connection.busy_timeout(BUSY).map_err(failure)?;
    // Before the first table, or it has no effect; without it the file never shrinks.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failure)?;
    // Each commit is on disk before the spool removes its rows: a power loss loses none of them.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failure)?;
    // A reader that stays long lets the log grow; it is truncated to this afterwards, bytes.
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(failure)?;
    // Cache for pages of the indexes, kibibytes.
    connection.pragma_update(None, "cache_size", -32_768).map_err(failure)?;
    Ok(connection)
}

/// Device and inode of a file; `None` when it is missing.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn integer(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Rejected(format!("row number {number} is beyond 63 bits")))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[track_caller]
    fn check(code: i32, expect: &str) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let sorted = format!("{:?}", failure("x.db", "write", &error));
        assert_eq!(sorted.split_once('(').unwrap().0, expect, "{sorted}");
    }

    #[test]
    fn codes() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_READONLY_DBMOVED,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_SCHEMA,
        ] {
            check(code, "Unavailable");
        }
        for code in [ffi::SQLITE_NOTADB, ffi::SQLITE_CORRUPT, ffi::SQLITE_PERM, ffi::SQLITE_ERROR] {
            check(code, "Denied");
        }
        for code in [ffi::SQLITE_CONSTRAINT_NOTNULL, ffi::SQLITE_MISMATCH, ffi::SQLITE_TOOBIG] {
            check(code, "Rejected");
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = {
            let path = directory.path().join("packets.db");
            let name = path.display().to_string();
            let connection = open(&path, &name).unwrap();
            Sqlite { connection, name, identity: identity(&path), path, inserted: 0 }
        };
        // Behaves as a full disk: SQLITE_FULL.
        store.connection.pragma_update(None, "max_page_count", 5).unwrap();
        let error = store.prepare().await.unwrap_err();
        let StoreError::Unavailable(text) = error else { panic!("{error:?}") };
        assert!(text.contains("full") && text.contains("free some space"), "{text}");
        store.connection.pragma_update(None, "max_page_count", 5_000).unwrap();
        store.prepare().await.unwrap();
    }
}
