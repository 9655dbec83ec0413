//! Settings of a server that change which statements are used.

use mysql_async::{Conn, Error};

use super::{super::StoreError, column, error::failure};

/// Whether the binary log holds statements: the server then rejects the bulk statement (4033).
pub(super) async fn logs_statements(connection: &mut Conn) -> Result<bool, StoreError> {
    is_set(connection, "@@log_bin AND @@binlog_format = 'STATEMENT'").await
}

/// Whether the server is a node of a Galera cluster.
pub(super) async fn is_node(connection: &mut Conn) -> Result<bool, StoreError> {
    is_set(connection, "@@global.wsrep_on AND @@global.wsrep_provider <> 'none'").await
}

/// The value of a condition; false on a server that does not have its settings.
async fn is_set(connection: &mut Conn, condition: &str) -> Result<bool, StoreError> {
    let doing = "read the settings of the server";
    match column::first(connection, &format!("SELECT {condition}")).await {
        Ok(Some(row)) => column::value(&row, 0, doing),
        Ok(None) | Err(Error::Server(_)) => Ok(false),
        Err(error) => Err(failure(doing, &error)),
    }
}
