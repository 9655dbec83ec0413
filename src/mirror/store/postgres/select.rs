//! Answers questions of the drill-down, in transactions that can only read.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{NoTls, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Postgres, failure, value};
use crate::mirror::{
    rows_query::{Dialect, Parameter, Statement},
    store::{RowReader, Stop, Store as _, StoreError, tls::client_config},
    target::{Endpoint, Target},
};

const DOING: &str = "read rows";

/// Rows of one answer of the server.
const BATCH: i32 = 5_000;

/// Time by which the server's own limit is longer than ours.
const MARGIN: Duration = Duration::from_secs(1);

/// Time limit for ending a statement on the server.
const ABANDON: Duration = Duration::from_secs(3);

/// A connection to PostgreSQL that only reads.
#[derive(Debug)]
pub struct PostgresReader {
    store: Postgres,
    target: Target,
}

impl RowReader for PostgresReader {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn open(target: &Target, stop: &Stop) -> Result<Self, StoreError> {
        let store = Postgres::connect(target).await?;
        let limit = (stop.remaining() + MARGIN).as_millis();
        let settings =
            format!("SET statement_timeout = {limit}; SET default_transaction_read_only = on");
        store.run(DOING, &settings).await?;
        Ok(Self { store, target: target.clone() })
    }

    async fn select(
        &mut self,
        statement: &Statement,
        take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Result<(), StoreError> {
        let failed = |error: tokio_postgres::Error| failure(DOING, &error);
        let client = &mut self.store.client;
        let transaction =
            client.build_transaction().read_only(true).start().await.map_err(failed)?;
        let values: Vec<String> = statement.parameters.iter().map(text).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let portal = transaction.bind(&statement.text, &values).await.map_err(failed)?;
        loop {
            let rows = transaction.query_portal(&portal, BATCH).await.map_err(failed)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let texts = (0..row.len()).map(|column| value(row, column, DOING));
                take(texts.collect::<Result<_, _>>()?);
            }
        }
    }

    async fn abandon(self) {
        let cancel = self.store.client.cancel_token();
        let tls = match self.target.endpoint {
            Endpoint::Tcp { .. } => client_config(&self.target.tls).ok().flatten(),
            Endpoint::Socket { .. } | Endpoint::File(_) => None,
        };
        let cancelled = async {
            match tls {
                None => cancel.cancel_query(NoTls).await,
                Some(tls) => cancel.cancel_query(MakeRustlsConnect::new(tls)).await,
            }
        };
        // A failure leaves the end to the server's limit.
        let _ = timeout(ABANDON, cancelled).await;
    }
}

fn text(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Text(text) | Parameter::Time(text) => text.clone(),
        Parameter::Number(number) => number.to_string(),
        Parameter::Address(address) => address.to_string(),
    }
}
