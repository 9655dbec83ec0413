//! Reads the rows of a period from the database of a target.

use super::{
    day::LATEST,
    row::Row,
    row_selection::RowSelection,
    store::{Kind, StoreError, read_clickhouse, read_mysql, read_postgres, read_sqlite},
    target::Target,
};

/// Passes the selected rows to `take`, in any order and one by
/// one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs
/// are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read_rows(
    target: &Target,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    // Databases have no later times.
    let period = *period.start()..=(*period.end()).min(LATEST);
    let selection = RowSelection { period, hosts };
    match target.kind {
        Kind::MySql => read_mysql(target, selection, take).await,
        Kind::Postgres => read_postgres(target, selection, take).await,
        Kind::Sqlite => read_sqlite(target, selection, take).await,
        Kind::ClickHouse => read_clickhouse(target, selection, take).await,
    }
}
