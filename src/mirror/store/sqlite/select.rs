//! Answers questions of the drill-down, from a file that is opened for reading only.

use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value, types::ValueRef};

use super::{
    super::{RowReader, Stop},
    BUSY, StoreError, failure,
};
use crate::mirror::{
    row::sixteen_bytes,
    rows_query::{Dialect, Parameter, Statement},
    target::{Endpoint, Target},
};

const DOING: &str = "read rows";

/// Instructions of SQLite's virtual machine between two checks of the limits, about a millisecond.
const INSTRUCTIONS: i32 = 50_000;

/// A file that is open for reading. Its calls block their thread.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Connection,
    /// The file, for messages.
    name: String,
}

impl RowReader for SqliteReader {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn open(target: &Target, stop: &Stop) -> Result<Self, StoreError> {
        let Endpoint::File(path) = &target.endpoint else {
            return Err(StoreError::Denied(format!("SQLite needs a file, not {target}")));
        };
        let name = path.display().to_string();
        let failed = |error: rusqlite::Error| failure(&name, DOING, &error);
        if !path.exists() {
            return Err(StoreError::Unavailable(format!("SQLite {name}: there is no such file")));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY.min(stop.remaining())).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        // A confined process cannot create files in /tmp; what is sorted has a limit.
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
        let stop = stop.clone();
        connection.progress_handler(INSTRUCTIONS, Some(move || stop.is_due())).map_err(failed)?;
        Ok(Self { connection, name })
    }

    async fn select(
        &mut self,
        statement: &Statement,
        take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| failure(&self.name, DOING, &error);
        let mut prepared = self.connection.prepare(&statement.text).map_err(failed)?;
        let width = prepared.column_count();
        let parameters = statement.parameters.iter().map(value);
        let mut rows = prepared.query(params_from_iter(parameters)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let texts = (0..width).map(|column| row.get_ref(column).map(text));
            take(texts.collect::<rusqlite::Result<_>>().map_err(failed)?);
        }
        Ok(())
    }

    async fn abandon(self) {}
}

fn value(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Text(text) | Parameter::Time(text) => Value::Text(text.clone()),
        // Numbers of rows, ports and protocols.
        Parameter::Number(number) => Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
        Parameter::Address(address) => Value::Blob(sixteen_bytes(*address).to_vec()),
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Some(String::from_utf8_lossy(text).into_owned())
        }
    }
}
