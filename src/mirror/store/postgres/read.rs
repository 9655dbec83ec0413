//! Reads rows, some thousands at a time.

use std::{net::IpAddr, time::Duration};

use tokio_postgres::{Row as Answer, types::FromSql};

use super::{
    super::{READ_COLUMNS, Store as _, StoreError, stored},
    Postgres,
    error::{failure, value},
};
use crate::{
    mirror::{row::Row, row_selection::RowSelection, target::Target},
    system::clock::{micros_since_1970, time_since_1970},
};

const DOING: &str = "read rows";

/// Rows of one answer of the server.
const BATCH: i32 = 5_000;

/// Passes the selected rows to `take`, in any order and one by one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read(
    target: &Target,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| failure(DOING, &error);
    let mut store = Postgres::connect(target).await?;
    let transaction =
        store.client.build_transaction().read_only(true).start().await.map_err(failed)?;
    let query = format!(
        "SELECT time, {READ_COLUMNS} FROM packets WHERE time BETWEEN $1 AND $2 \
         AND (cardinality($3::text[]) = 0 OR host = ANY($3))"
    );
    let time = |micros: &u64| time_since_1970(Duration::from_micros(*micros));
    let (start, end) = (time(period.start()), time(period.end()));
    let portal = transaction.bind(&query, &[&start, &end, &hosts]).await.map_err(failed)?;
    loop {
        let answers = transaction.query_portal(&portal, BATCH).await.map_err(failed)?;
        if answers.is_empty() {
            return Ok(());
        }
        for answer in &answers {
            take(row(answer)?);
        }
    }
}

fn row(answer: &Answer) -> Result<Row, StoreError> {
    let direction: Option<&str> = value(answer, 2, DOING)?;
    let issue: Option<&str> = value(answer, 13, DOING)?;
    Ok(Row {
        time: micros_since_1970(value(answer, 0, DOING)?),
        prefix: value::<&str>(answer, 1, DOING)?.into(),
        direction: direction.and_then(stored::direction),
        source: value::<Option<IpAddr>>(answer, 3, DOING)?,
        destination: value::<Option<IpAddr>>(answer, 4, DOING)?,
        ip_version: small(answer, 5)?,
        protocol: small(answer, 6)?,
        length: number::<i64, _>(answer, 7)?.unwrap_or(0),
        source_port: number::<i32, _>(answer, 8)?,
        destination_port: number::<i32, _>(answer, 9)?,
        tcp_flags: small(answer, 10)?,
        icmp_type: small(answer, 11)?,
        icmp_code: small(answer, 12)?,
        issue: issue.and_then(stored::issue),
        country: value::<&str>(answer, 14, DOING)?.into(),
        asn: number::<i64, _>(answer, 15)?,
        weight: number::<i64, _>(answer, 16)?.unwrap_or(1),
        ..Row::default()
    })
}

fn small(answer: &Answer, column: usize) -> Result<Option<u8>, StoreError> {
    number::<i16, _>(answer, column)
}

/// A number whose column has the next larger signed type.
fn number<'row, Stored, Number>(
    answer: &'row Answer,
    column: usize,
) -> Result<Option<Number>, StoreError>
where
    Stored: FromSql<'row>,
    Number: TryFrom<Stored>,
{
    let stored: Option<Stored> = value(answer, column, DOING)?;
    let out_of_range = || {
        StoreError::Denied(format!("PostgreSQL: cannot {DOING}: column {column} is out of range"))
    };
    stored.map(|stored| Number::try_from(stored).map_err(|_| out_of_range())).transpose()
}
