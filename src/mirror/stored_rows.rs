//! Reads the rows of a period from the database of a target.

use std::ops::RangeInclusive;

use super::{
    day::LATEST,
    row::Row,
    store::{Kind, StoreError, read_mysql, read_postgres, read_sqlite},
    target::Target,
};

/// Passes the rows with these times, in microseconds since 1970, to `take`, in any order and one by
/// one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs
/// are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read_rows(
    target: &Target,
    period: RangeInclusive<u64>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    // Databases have no later times.
    let period = *period.start()..=(*period.end()).min(LATEST);
    match target.kind {
        Kind::MySql => read_mysql(target, period, take).await,
        Kind::Postgres => read_postgres(target, period, take).await,
        Kind::Sqlite => read_sqlite(target, period, take).await,
    }
}
