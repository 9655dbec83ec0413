//! Reads the rows of a period from the mirror's database.

use super::{
    day::LATEST,
    row::Row,
    row_selection::RowSelection,
    store::{Kind, StoreError, read_clickhouse, read_mysql, read_postgres, read_sqlite},
    target::{Servers, Target},
};

/// Passes the selected rows of the first server that can be read to `take`, in any order and one by
/// one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs
/// are set.
///
/// # Errors
/// No server can be read, a server failed after its first rows, or a row is invalid.
pub async fn read_rows(
    servers: &Servers,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    // Databases have no later times.
    let period = *period.start()..=(*period.end()).min(LATEST);
    let mut problems = Vec::new();
    for server in servers.iter() {
        let mut has_rows = false;
        let mut pass = |row| {
            has_rows = true;
            take(row);
        };
        let selection = RowSelection { period: period.clone(), hosts };
        match read_from(server, selection, &mut pass).await {
            Err(error) if !has_rows && servers.count() > 1 => {
                problems.push(format!("{server}: {error}"));
            }
            read => return read,
        }
    }
    Err(StoreError::Unavailable(problems.join("; ")))
}

async fn read_from(
    target: &Target,
    selection: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    match target.kind {
        Kind::MySql => read_mysql(target, selection, take).await,
        Kind::Postgres => read_postgres(target, selection, take).await,
        Kind::Sqlite => read_sqlite(target, selection, take).await,
        Kind::ClickHouse => read_clickhouse(target, selection, take).await,
    }
}
