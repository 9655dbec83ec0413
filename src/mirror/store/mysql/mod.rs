//! Rows in MySQL, MariaDB and clusters that speak their protocol.

mod alter;
mod column;
mod connect;
mod error;
mod insert;
mod maintenance;
mod partitions;
mod prepare;
mod read;
mod readiness;
mod select;
mod settings;

pub use read::read;
pub(in crate::mirror) use select::MySqlReader;

use std::time::SystemTime;

use mysql_async::{Conn, Params, Row, Value, prelude::Queryable};

use self::insert::Inserts;
pub(in crate::mirror) use self::{column::value, connect::connect, error::failure};
use super::{
    Batch, Maintenance, MaintenanceReport, Readiness, ServerClock, Store, StoreError, Writer,
    since_1970,
};
use crate::{
    mirror::{row::Row as PacketRow, target::Target},
    system::clock::micros_since_1970,
};

/// Settings of a session around the statements that read the position of a writer. A node of a Galera cluster then waits
/// until it has applied all transactions that the cluster has committed: those of a lost connection to another node.
const CLUSTER_WAIT: &str = "SET SESSION wsrep_sync_wait = 7";
const NO_CLUSTER_WAIT: &str = "SET SESSION wsrep_sync_wait = 0";

/// Maximum attempts of a transaction on one connection that other transactions precede.
const ATTEMPTS: u32 = 5;

/// A connection to MySQL.
///
/// The server closes it after a minute without a call, and rolls back its transaction: call
/// [`Store::ping`] more often than that.
#[derive(Debug)]
pub struct MySql {
    connection: Conn,
    inserts: Inserts,
}

impl Store for MySql {
    async fn connect(target: &Target) -> Result<Self, StoreError> {
        let mut connection = connect::connect(target).await?;
        let inserts = Inserts::new(&mut connection).await?;
        Ok(Self { connection, inserts })
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        prepare::prepare(&mut self.connection).await
    }

    async fn readiness(&mut self) -> Result<Readiness, StoreError> {
        readiness::readiness(&mut self.connection).await
    }

    async fn recorded(&mut self, writer: &Writer, _: u64) -> Result<Option<u64>, StoreError> {
        connect::set(&mut self.connection, CLUSTER_WAIT).await?;
        let doing = "read this writer's position";
        let query = "SELECT delivered FROM nflog_writers WHERE writer = ?";
        let row: Option<Row> = self
            .connection
            .exec_first(query, (Value::from(writer.id.to_vec()),))
            .await
            .map_err(|error| failure(doing, &error))?;
        connect::set(&mut self.connection, NO_CLUSTER_WAIT).await?;
        row.map(|row| column::value(&row, 0, doing)).transpose()
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        connect::set(&mut self.connection, CLUSTER_WAIT).await?;
        // Waits for a transaction of an earlier connection.
        self.execute(
            "register this writer",
            "INSERT INTO nflog_writers (writer, host, delivered, updated) \
             VALUES (?, ?, ?, UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE delivered = GREATEST(delivered, ?)",
            vec![
                writer.id.to_vec().into(),
                Value::from(writer.host.as_str()),
                at_least.into(),
                at_least.into(),
            ],
        )
        .await?;
        let doing = "read this writer's position";
        let row: Option<Row> = self
            .connection
            .exec_first(
                "SELECT delivered FROM nflog_writers WHERE writer = ?",
                (Value::from(writer.id.to_vec()),),
            )
            .await
            .map_err(|error| failure(doing, &error))?;
        let row = row.ok_or_else(|| {
            StoreError::Unavailable(
                "MySQL: this writer's position disappeared while it was read".into(),
            )
        })?;
        connect::set(&mut self.connection, NO_CLUSTER_WAIT).await?;
        column::value(&row, 0, doing)
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        let mut attempts = 1;
        loop {
            match self.write_once(writer, batch).await {
                // The position has not moved, so the same transaction can follow.
                Err(StoreError::Conflict(why)) if attempts < ATTEMPTS => {
                    tracing::debug!(attempts, why, "a transaction is repeated after a conflict");
                    attempts += 1;
                }
                written => return written,
            }
        }
    }

    async fn try_rows(&mut self, writer: &Writer, rows: &[PacketRow]) -> Result<(), StoreError> {
        self.query("begin", "START TRANSACTION").await?;
        let tried = self.inserts.insert(&mut self.connection, &writer.host, rows).await;
        match tried {
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            tried => {
                self.query("roll back", "ROLLBACK").await?;
                tried
            }
        }
    }

    async fn forget(&mut self, writer: &Writer) -> Result<(), StoreError> {
        self.execute(
            "remove a writer",
            "DELETE FROM nflog_writers WHERE writer = ?",
            vec![writer.id.to_vec().into()],
        )
        .await?;
        Ok(())
    }

    async fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        maintenance::maintain(&mut self.connection, maintenance, now).await
    }

    async fn newest_row(&mut self, until: SystemTime) -> Result<Option<SystemTime>, StoreError> {
        let doing = "read the newest row";
        let row: Option<Row> = self
            .connection
            .exec_first(
                "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', time) / 1e6 FROM packets \
                 WHERE time <= '1970-01-01' + INTERVAL ? MICROSECOND ORDER BY time DESC LIMIT 1",
                (micros_since_1970(until),),
            )
            .await
            .map_err(|error| failure(doing, &error))?;
        row.map(|row| column::value(&row, 0, doing).map(since_1970)).transpose()
    }

    async fn clock(&mut self) -> Result<ServerClock, StoreError> {
        let doing = "read the time";
        let query =
            "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE), @@global.time_zone, @@system_time_zone";
        let row = column::first(&mut self.connection, query).await;
        let row = row
            .map_err(|error| failure(doing, &error))?
            .ok_or_else(|| StoreError::Unavailable("MySQL: the server returned no time".into()))?;
        let seconds: f64 = column::value(&row, 0, doing)?;
        let zone: String = column::value(&row, 1, doing)?;
        let system: String = column::value(&row, 2, doing)?;
        let zone = if zone == "SYSTEM" { system } else { zone };
        Ok(ServerClock { now: since_1970(seconds), zone })
    }

    async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
        prepare::advice(&mut self.connection).await
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        self.readiness().await?.check()
    }
}

impl MySql {
    /// Runs one transaction. After any error except [`StoreError::Unavailable`] it is rolled back.
    async fn write_once(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        self.query("begin", "START TRANSACTION").await?;
        let mut written = self.write_within(writer, batch).await;
        if written.is_ok() {
            written = self.query("commit", "COMMIT").await;
        }
        match written {
            // The connection is dropped, which rolls the transaction back. The outcome of a commit is unknown.
            Ok(()) | Err(StoreError::Unavailable(_)) => written,
            Err(_) => {
                self.query("roll back", "ROLLBACK").await?;
                written
            }
        }
    }

    /// The statements of a transaction, between its begin and its end.
    async fn write_within(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        let moved = self
            .execute(
                "move this writer's position",
                "UPDATE nflog_writers SET delivered = ?, updated = UTC_TIMESTAMP(6) \
                 WHERE writer = ? AND delivered = ?",
                vec![batch.to.into(), writer.id.to_vec().into(), batch.from.into()],
            )
            .await?;
        if moved == 0 {
            return Err(StoreError::Moved);
        }
        self.inserts.insert(&mut self.connection, &writer.host, batch.rows).await
    }

    /// Runs a statement; returns the number of matched rows.
    async fn execute(
        &mut self,
        doing: &str,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<u64, StoreError> {
        self.connection
            .exec_drop(statement, Params::Positional(parameters))
            .await
            .map_err(|error| failure(doing, &error))?;
        Ok(self.connection.affected_rows())
    }

    async fn query(&mut self, doing: &str, statement: &str) -> Result<(), StoreError> {
        self.connection.query_drop(statement).await.map_err(|error| failure(doing, &error))
    }
}
