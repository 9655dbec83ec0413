//! ulogd's table in a SQLite file.

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, types::ValueRef};

use super::fields::{Column, Field, UlogdRow};
use crate::{
    mirror::{
        store::{StoreError, sqlite},
        target::{Endpoint, Target},
    },
    system::host_name,
};

/// An open file.
pub(super) struct SqliteSource {
    connection: Connection,
    /// The file, for messages.
    name: String,
    /// Identifies the file.
    identity: String,
}

impl SqliteSource {
    /// Opens a file for reading.
    pub(super) fn open(from: &Target) -> Result<Self, StoreError> {
        let Endpoint::File(path) = &from.endpoint else {
            return Err(StoreError::Denied(format!("SQLite needs a file, not {from}")));
        };
        let name = path.display().to_string();
        let failure = |error: rusqlite::Error| sqlite::failure(&name, "open the file", &error);
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failure)?;
        connection.busy_timeout(sqlite::BUSY).map_err(failure)?;
        // Two hosts can have files of the same name.
        let host = host_name();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let identity = format!("sqlite {host}:{}", path.display());
        Ok(Self { connection, name, identity })
    }

    fn failure(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        sqlite::failure(&self.name, doing, error)
    }

    #[expect(clippy::unused_async, reason = "as the other kinds")]
    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, StoreError> {
        let failure = |error: rusqlite::Error| self.failure("read the columns", &error);
        let query = "SELECT name FROM pragma_table_info(?1)";
        let mut statement = self.connection.prepare(query).map_err(failure)?;
        let names = statement.query_map([table], |row| row.get::<_, String>(0)).map_err(failure)?;
        names.map(|name| Ok(Column { name: name.map_err(failure)?, is_binary: false })).collect()
    }

    #[expect(clippy::unused_async, reason = "as the other kinds")]
    pub(super) async fn is_view(&mut self, table: &str) -> Result<bool, StoreError> {
        self.connection
            .query_row(
                "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ?1 COLLATE NOCASE",
                [table],
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
            .map_err(|error| self.failure("read the views", &error))
    }

    #[expect(clippy::unused_async, reason = "as the other kinds")]
    pub(super) async fn identity(&mut self) -> Result<String, StoreError> {
        Ok(self.identity.clone())
    }

    /// The id that a query reads; 0 for none.
    #[expect(clippy::unused_async, reason = "as the other kinds")]
    pub(super) async fn id(&mut self, query: &str) -> Result<u64, StoreError> {
        let last: Option<i64> = self
            .connection
            .query_row(query, [], |row| row.get(0))
            .map_err(|error| self.failure("read an id", &error))?;
        Ok(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
    }

    #[expect(clippy::unused_async, reason = "as the other kinds")]
    pub(super) async fn read(&mut self, query: &str) -> Result<Vec<UlogdRow>, StoreError> {
        let failure = |error: rusqlite::Error| self.failure("read rows", &error);
        let mut statement = self.connection.prepare_cached(query).map_err(failure)?;
        let rows = statement
            .query_map([], |row| {
                let text = |place| match row.get_ref(place + 1)? {
                    ValueRef::Text(text) => Ok(Some(text.to_vec())),
                    _ => Ok(None),
                };
                let values: rusqlite::Result<_> = (0..Field::ALL.len()).map(text).collect();
                let id: i64 = row.get(0)?;
                Ok(UlogdRow { id: u64::try_from(id).unwrap_or(0), values: values? })
            })
            .map_err(failure)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failure)
    }
}
