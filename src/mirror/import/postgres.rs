//! ulogd's tables in PostgreSQL.

use super::fields::{Column, Field, UlogdRow};
use crate::mirror::{
    store::{Postgres, Store as _, StoreError, postgres},
    target::Target,
};

/// A connection to the server.
pub(super) struct PostgresSource {
    store: Postgres,
}

impl PostgresSource {
    pub(super) async fn open(from: &Target) -> Result<Self, StoreError> {
        Ok(Self { store: Postgres::connect(from).await? })
    }

    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, StoreError> {
        let doing = "read the columns";
        let rows = self
            .store
            .query(
                doing,
                "SELECT attname::text, atttypid = 'bytea'::regtype FROM pg_attribute \
                 WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                &[&table],
            )
            .await?;
        let column = |row: &tokio_postgres::Row| {
            Ok(Column {
                name: postgres::value(row, 0, doing)?,
                is_binary: postgres::value(row, 1, doing)?,
            })
        };
        rows.iter().map(column).collect()
    }

    pub(super) async fn is_view(&mut self, table: &str) -> Result<bool, StoreError> {
        let query = "SELECT FROM pg_class WHERE oid = to_regclass(quote_ident($1)) AND relkind IN ('v', 'm')";
        Ok(!self.store.query("read the views", query, &[&table]).await?.is_empty())
    }

    pub(super) async fn identity(&mut self) -> Result<String, StoreError> {
        let doing = "identify the server";
        let query = "SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database \
            WHERE datname = current_database()) || '/' || current_schema() FROM pg_control_system()";
        let rows = self.store.query(doing, query, &[]).await?;
        let identity: Option<String> =
            rows.first().map(|row| postgres::value(row, 0, doing)).transpose()?;
        Ok(format!("postgres {}", identity.unwrap_or_default()))
    }

    /// The id that a query reads; 0 for none.
    pub(super) async fn id(&mut self, query: &str) -> Result<u64, StoreError> {
        let doing = "read an id";
        let rows = self.store.query(doing, query, &[]).await?;
        let last: Option<i64> = match rows.first() {
            Some(row) => postgres::value(row, 0, doing)?,
            None => None,
        };
        Ok(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
    }

    pub(super) async fn read(&mut self, query: &str) -> Result<Vec<UlogdRow>, StoreError> {
        let doing = "read rows";
        let rows = self.store.query(doing, query, &[]).await?;
        rows.iter()
            .map(|row| {
                let id: i64 = postgres::value(row, 0, doing)?;
                let text = |place| {
                    let text: Option<String> = postgres::value(row, place + 1, doing)?;
                    Ok(text.map(String::into_bytes))
                };
                let values: Result<_, StoreError> = (0..Field::ALL.len()).map(text).collect();
                Ok(UlogdRow { id: u64::try_from(id).unwrap_or(0), values: values? })
            })
            .collect()
    }
}
