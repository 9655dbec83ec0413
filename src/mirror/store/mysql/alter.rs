//! Changes tables that other sessions may use.

use mysql_async::{Conn, Error, prelude::Queryable};

use super::connect::TABLE_WAIT;

/// As [`TABLE_WAIT`], for a change: all later statements of all sessions wait meanwhile.
const CHANGE_WAIT: &str = "SET SESSION lock_wait_timeout = 1";

/// Runs a statement that changes a table. Waits a second at most for the transactions that use the table.
pub(super) async fn alter(connection: &mut Conn, statement: &str) -> Result<(), Error> {
    set(connection, CHANGE_WAIT).await?;
    let altered = connection.query_drop(statement).await;
    set(connection, TABLE_WAIT).await?;
    altered
}

/// Changes a setting, except on a server that does not have it.
async fn set(connection: &mut Conn, setting: &str) -> Result<(), Error> {
    match connection.query_drop(setting).await {
        Ok(()) | Err(Error::Server(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
