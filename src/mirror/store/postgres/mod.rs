//! Rows in PostgreSQL: a connection, its session, and the transaction of a batch.

mod error;
mod maintenance;
mod partitions;
mod prepare;
mod read;
mod rows;
mod select;

pub use read::read;
pub(in crate::mirror) use select::PostgresReader;

use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, config::SslMode, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(in crate::mirror) use self::error::{failure, value};
use super::{
    Batch, Maintenance, MaintenanceReport, Readiness, ServerClock, Store, StoreError, Writer,
    since_1970, tls::client_config,
};
use crate::mirror::{
    day::Day,
    row::Row,
    target::{Endpoint, Target},
};

/// A connection to PostgreSQL 13 or later. Must be made and used inside one tokio runtime.
#[derive(Debug)]
pub struct Postgres {
    client: Client,
    /// Days that are known to have a partition.
    days: Vec<Day>,
    _driver: Driver,
}

/// The task that moves bytes between the client and the server. It is aborted with the store, so that no
/// connection is left.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Settings of each connection. The server ends the transactions of a lost host: one that holds a writer's row
/// would block the next connection.
const SESSION: &str = "\
    SET TimeZone = 'UTC'; SET statement_timeout = '60s'; \
    SET idle_in_transaction_session_timeout = '60s'; \
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
    SET client_min_messages = 'warning'";

/// Timeout for a connection, and the unit of the timeouts for the network.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Store for Postgres {
    async fn connect(target: &Target) -> Result<Self, StoreError> {
        let mut config = config(target)?;
        // A Unix socket has no TLS.
        let tls = match target.endpoint {
            Endpoint::Tcp { .. } => client_config(&target.tls)?,
            _ => None,
        };
        let doing = format!("connect to {target}");
        let (client, driver) = match tls {
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) =
                    config.connect(NoTls).await.map_err(|error| failure(&doing, &error))?;
                (client, tokio::spawn(drive(connection)))
            }
            Some(tls) => {
                config.ssl_mode(SslMode::Require);
                let (client, connection) = config
                    .connect(MakeRustlsConnect::new(tls))
                    .await
                    .map_err(|error| failure(&doing, &error))?;
                (client, tokio::spawn(drive(connection)))
            }
        };
        let store = Self { client, days: Vec::new(), _driver: Driver(driver) };
        store.run("set up the session", SESSION).await?;
        Ok(store)
    }

    async fn readiness(&mut self) -> Result<Readiness, StoreError> {
        let doing = "ask whether the server is a standby";
        let query = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
        let row =
            self.client.query_one(query, &[]).await.map_err(|error| failure(doing, &error))?;
        Ok(match (value(&row, 0, doing)?, value(&row, 1, doing)?) {
            (true, _) => Readiness::NotReady("PostgreSQL: is a standby (in recovery)".into()),
            (_, true) => Readiness::NotReady(
                "PostgreSQL: is read-only (default_transaction_read_only)".into(),
            ),
            _ => Readiness::Ready("is the primary".into()),
        })
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        prepare::prepare(self).await
    }

    async fn recorded(&mut self, writer: &Writer, _: u64) -> Result<Option<u64>, StoreError> {
        let doing = "read the writer's position";
        let query = "SELECT delivered FROM nflog_writers WHERE writer = $1";
        let row = self.client.query_opt(query, &[&&writer.id[..]]).await;
        let row = row.map_err(|error| failure(doing, &error))?;
        let delivered: Option<i64> = row.map(|row| value(&row, 0, doing)).transpose()?;
        Ok(delivered.map(|delivered| u64::try_from(delivered).unwrap_or(0)))
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        let (id, at_least) = (&writer.id[..], bigint(at_least)?);
        // This INSERT waits for a transaction that holds the row; a SELECT would not.
        let row = self
            .client
            .query_one(
                "INSERT INTO nflog_writers AS known (writer, host, delivered, updated) \
                 VALUES ($1, $2, $3, now()) ON CONFLICT (writer) DO UPDATE \
                 SET delivered = greatest(known.delivered, excluded.delivered), updated = now() \
                 RETURNING delivered",
                &[&id, &writer.host, &at_least],
            )
            .await
            .map_err(|error| failure("read the writer's position", &error))?;
        let delivered: i64 =
            row.try_get(0).map_err(|error| failure("read the writer's position", &error))?;
        u64::try_from(delivered).map_err(|_| {
            StoreError::Denied(format!(
                "PostgreSQL: nflog_writers has the invalid position {delivered}: delete that row"
            ))
        })
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        let result = self.write_batch(writer, batch).await;
        if matches!(result, Err(StoreError::Rejected(_) | StoreError::Moved)) {
            // The rollback was sent without waiting for its answer: wait now, so that the connection is known to
            // work.
            self.run("ping", "").await?;
        }
        result
    }

    async fn try_rows(&mut self, writer: &Writer, rows: &[Row]) -> Result<(), StoreError> {
        let doing = "test rows";
        let transaction =
            self.client.transaction().await.map_err(|error| failure(doing, &error))?;
        let tried = rows::copy(&transaction, &writer.host, rows).await;
        transaction.rollback().await.map_err(|error| failure(doing, &error))?;
        tried
    }

    async fn forget(&mut self, writer: &Writer) -> Result<(), StoreError> {
        self.client
            .execute("DELETE FROM nflog_writers WHERE writer = $1", &[&&writer.id[..]])
            .await
            .map_err(|error| failure("remove a writer", &error))?;
        Ok(())
    }

    async fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        maintenance::maintain(self, maintenance, now).await
    }

    async fn newest_row(&mut self, until: SystemTime) -> Result<Option<SystemTime>, StoreError> {
        let doing = "read the newest row";
        let row = self
            .client
            .query_opt(
                "SELECT extract(epoch FROM time)::float8 FROM packets \
                 WHERE time <= $1 ORDER BY time DESC LIMIT 1",
                &[&until],
            )
            .await
            .map_err(|error| failure(doing, &error))?;
        let seconds = row.map(|row| row.try_get(0)).transpose();
        Ok(seconds.map_err(|error| failure(doing, &error))?.map(since_1970))
    }

    async fn clock(&mut self) -> Result<ServerClock, StoreError> {
        let row = self
            .client
            .query_one(
                "SELECT extract(epoch FROM clock_timestamp())::float8, \
                 (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')",
                &[],
            )
            .await
            .map_err(|error| failure("read the time", &error))?;
        let value = row.try_get(0).and_then(|seconds: f64| Ok((seconds, row.try_get(1)?)));
        let (seconds, zone) = value.map_err(|error| failure("read the time", &error))?;
        Ok(ServerClock { now: since_1970(seconds), zone })
    }

    async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
        prepare::advice(self).await
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        self.readiness().await?.check()
    }
}

impl Postgres {
    async fn write_batch(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        let (from, to) = (bigint(batch.from)?, bigint(batch.to)?);
        let doing = "write rows";
        let transaction =
            self.client.transaction().await.map_err(|error| failure(doing, &error))?;
        // Before the statement that chooses partitions, which then sees those created meanwhile.
        partitions::await_days(&transaction, batch.rows, &mut self.days)
            .await
            .map_err(|error| failure(doing, &error))?;
        let moved = transaction
            .execute(
                "UPDATE nflog_writers SET delivered = $1, updated = now() \
                 WHERE writer = $2 AND delivered = $3",
                &[&to, &&writer.id[..], &from],
            )
            .await
            .map_err(|error| failure(doing, &error))?;
        if moved == 0 {
            return Err(StoreError::Moved);
        }
        if !batch.rows.is_empty() {
            rows::copy(&transaction, &writer.host, batch.rows).await?;
        }
        transaction.commit().await.map_err(|error| failure("commit rows", &error))
    }

    /// Runs a query of another part; `doing` names its purpose.
    pub(in crate::mirror) async fn query(
        &self,
        doing: &str,
        query: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        self.client.query(query, parameters).await.map_err(|error| failure(doing, &error))
    }

    /// Runs statements without parameters and results.
    async fn run(&self, doing: &str, statements: &str) -> Result<(), StoreError> {
        self.client.batch_execute(statements).await.map_err(|error| failure(doing, &error))
    }
}

fn config(target: &Target) -> Result<Config, StoreError> {
    let mut config = Config::new();
    config
        .application_name("nflog_exporter")
        .connect_timeout(TIMEOUT)
        .tcp_user_timeout(3 * TIMEOUT)
        .keepalives(true)
        .keepalives_idle(3 * TIMEOUT)
        .keepalives_interval(TIMEOUT)
        .keepalives_retries(3);
    match &target.endpoint {
        Endpoint::Tcp { host, port } => config.host(host).port(*port),
        Endpoint::Socket { path, port } => config.host_path(path).port(*port),
        Endpoint::File(_) => {
            return Err(StoreError::Denied(format!("PostgreSQL needs a host, not {target}")));
        }
    };
    if !target.user.is_empty() {
        config.user(&target.user);
    }
    if !target.password.is_empty() {
        config.password(&target.password);
    }
    if !target.database.is_empty() {
        config.dbname(&target.database);
    }
    Ok(config)
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // Callers that wait for an answer receive this error too, and report it.
    if let Err(error) = connection.await {
        tracing::debug!(%error, "the connection to PostgreSQL ended");
    }
}

fn bigint(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Rejected(format!("row number {number} is beyond bigint")))
}
