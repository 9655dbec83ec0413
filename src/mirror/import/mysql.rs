//! ulogd's tables in MySQL and MariaDB.

use mysql_async::{Conn, Row, Value, prelude::Queryable};

use super::fields::{Column, Field, UlogdRow};
use crate::mirror::{
    store::{StoreError, mysql},
    target::Target,
};

/// A connection to the server.
pub(super) struct MySqlSource {
    connection: Conn,
}

impl MySqlSource {
    pub(super) async fn open(from: &Target) -> Result<Self, StoreError> {
        Ok(Self { connection: mysql::connect(from).await? })
    }

    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, StoreError> {
        let rows: Vec<(String, String)> = self
            .connection
            .exec(
                "SELECT CAST(COLUMN_NAME AS CHAR), CAST(DATA_TYPE AS CHAR) FROM information_schema.COLUMNS \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
                (table,),
            )
            .await
            .map_err(|error| mysql::failure("read the columns", &error))?;
        let column = |(name, kind): (String, String)| {
            let kind = kind.to_ascii_lowercase();
            Column { name, is_binary: kind.ends_with("binary") || kind.ends_with("blob") }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    pub(super) async fn is_view(&mut self, table: &str) -> Result<bool, StoreError> {
        let count: Option<u64> = self
            .connection
            .exec_first(
                "SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
                (table,),
            )
            .await
            .map_err(|error| mysql::failure("read the views", &error))?;
        Ok(count.unwrap_or(0) > 0)
    }

    pub(super) async fn identity(&mut self) -> Result<String, StoreError> {
        let doing = "identify the server";
        let variables: Vec<(String, String)> = self
            .connection
            .query(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'hostname', 'port')",
            )
            .await
            .map_err(|error| mysql::failure(doing, &error))?;
        let value = |name: &str| {
            let found = variables.iter().find(|(variable, _)| variable.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let server = match value("server_uuid") {
            Some(uuid) => uuid.to_owned(),
            None => {
                format!("{}:{}", value("hostname").unwrap_or("?"), value("port").unwrap_or("?"))
            }
        };
        let database: Option<Option<String>> = self
            .connection
            .query_first("SELECT DATABASE()")
            .await
            .map_err(|error| mysql::failure(doing, &error))?;
        Ok(format!("mysql {server}/{}", database.flatten().unwrap_or_default()))
    }

    /// The id that a query reads; 0 for none.
    pub(super) async fn id(&mut self, query: &str) -> Result<u64, StoreError> {
        let last: Option<Option<u64>> = self
            .connection
            .query_first(query)
            .await
            .map_err(|error| mysql::failure("read an id", &error))?;
        Ok(last.flatten().unwrap_or(0))
    }

    pub(super) async fn read(&mut self, query: &str) -> Result<Vec<UlogdRow>, StoreError> {
        let doing = "read rows";
        let rows: Vec<Row> =
            self.connection.query(query).await.map_err(|error| mysql::failure(doing, &error))?;
        rows.into_iter()
            .map(|row| {
                let id = mysql::value(&row, 0, doing)?;
                let text = |place| match row.as_ref(place + 1) {
                    Some(Value::Bytes(text)) => Some(text.clone()),
                    Some(Value::Int(number)) => Some(number.to_string().into_bytes()),
                    Some(Value::UInt(number)) => Some(number.to_string().into_bytes()),
                    _ => None,
                };
                Ok(UlogdRow { id, values: (0..Field::ALL.len()).map(text).collect() })
            })
            .collect()
    }
}
