//! Answers questions of the drill-down, in a transaction that can only read.

use std::time::Duration;

use mysql_async::{Conn, Params, Value, prelude::Queryable};
use tokio::time::timeout;

use super::{connect, failure};
use crate::mirror::{
    row::sixteen_bytes,
    rows_query::{Dialect, Parameter, Statement},
    store::{RowReader, Stop, StoreError},
    target::Target,
};

const DOING: &str = "read rows";

/// Time by which the server's own limit is longer than ours.
const MARGIN: Duration = Duration::from_secs(1);

/// Time limit for ending a statement on the server.
const ABANDON: Duration = Duration::from_secs(3);

/// A connection to MySQL or MariaDB in a transaction that can only read.
#[derive(Debug)]
pub struct MySqlReader {
    connection: Conn,
    target: Target,
}

impl RowReader for MySqlReader {
    const DIALECT: Dialect = Dialect::MySql;

    async fn open(target: &Target, stop: &Stop) -> Result<Self, StoreError> {
        let mut connection = connect::connect(target).await?;
        let limit = stop.remaining() + MARGIN;
        // MariaDB's has seconds, MySQL's has milliseconds; a server has one of them.
        for setting in [
            format!("SET SESSION max_statement_time = {}", limit.as_secs_f64()),
            format!("SET SESSION max_execution_time = {}", limit.as_millis()),
        ] {
            connect::set(&mut connection, &setting).await?;
        }
        connection
            .query_drop("START TRANSACTION READ ONLY")
            .await
            .map_err(|error| failure(DOING, &error))?;
        Ok(Self { connection, target: target.clone() })
    }

    async fn select(
        &mut self,
        statement: &Statement,
        take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Result<(), StoreError> {
        let failed = |error: mysql_async::Error| failure(DOING, &error);
        let values = statement.parameters.iter().map(value).collect();
        let mut rows = self
            .connection
            .exec_iter(&statement.text, Params::Positional(values))
            .await
            .map_err(failed)?;
        while let Some(row) = rows.next().await.map_err(failed)? {
            take((0..row.len()).map(|column| text(row.as_ref(column)?)).collect());
        }
        Ok(())
    }

    async fn close(self) {
        // A failure is of no interest: all rows were read.
        let _ = self.connection.disconnect().await;
    }

    async fn abandon(self) {
        let id = self.connection.id();
        drop(self.connection);
        // A statement ends when the server notices; a failure leaves that to its limit.
        let kill = async {
            let mut connection = connect::connect(&self.target).await.ok()?;
            connection.query_drop(format!("KILL {id}")).await.ok()?;
            connection.disconnect().await.ok()
        };
        let _ = timeout(ABANDON, kill).await;
    }
}

fn value(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Text(text) | Parameter::Time(text) => text.as_str().into(),
        Parameter::Number(number) => (*number).into(),
        Parameter::Address(address) => sixteen_bytes(*address).to_vec().into(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Double(number) => Some(number.to_string()),
        // Times are selected as texts.
        Value::NULL | Value::Date(..) | Value::Time(..) => None,
    }
}
