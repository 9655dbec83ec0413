//! Reads rows, one by one as the server sends them.

use std::net::Ipv6Addr;

use mysql_async::{Conn, Row as Answer, Value, prelude::Queryable};

use super::{
    super::{READ_COLUMNS, StoreError, stored},
    column, connect,
    error::failure,
};
use crate::mirror::{row::Row, row_selection::RowSelection, target::Target};

const DOING: &str = "read rows";

/// Passes the selected rows to `take`, in any order and one by one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read(
    target: &Target,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    let failed = |error: mysql_async::Error| failure(DOING, &error);
    let mut connection: Conn = connect::connect(target).await?;
    connection.query_drop("START TRANSACTION READ ONLY").await.map_err(failed)?;
    let of_hosts = match hosts.len() {
        0 => String::new(),
        count => format!(" AND host IN (?{})", ", ?".repeat(count - 1)),
    };
    let query = format!(
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', time), {READ_COLUMNS} FROM packets \
         WHERE time BETWEEN '1970-01-01' + INTERVAL ? MICROSECOND AND '1970-01-01' + INTERVAL ? MICROSECOND{of_hosts}"
    );
    let mut parameters: Vec<Value> = vec![(*period.start()).into(), (*period.end()).into()];
    parameters.extend(hosts.iter().map(Value::from));
    let mut answers = connection.exec_iter(query, parameters).await.map_err(failed)?;
    while let Some(answer) = answers.next().await.map_err(failed)? {
        take(row(&answer)?);
    }
    drop(answers);
    connection.disconnect().await.map_err(failed)
}

fn row(answer: &Answer) -> Result<Row, StoreError> {
    let direction: Option<String> = column::value(answer, 2, DOING)?;
    let ip_version = column::value(answer, 5, DOING)?;
    let issue: Option<String> = column::value(answer, 13, DOING)?;
    let address = |column| -> Result<_, StoreError> {
        let bytes: Option<Vec<u8>> = column::value(answer, column, DOING)?;
        let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        Ok(bytes.map(|bytes| stored::address(Ipv6Addr::from(bytes), ip_version)))
    };
    Ok(Row {
        time: column::value(answer, 0, DOING)?,
        prefix: column::value::<String>(answer, 1, DOING)?.into(),
        direction: direction.as_deref().and_then(stored::direction),
        source: address(3)?,
        destination: address(4)?,
        ip_version,
        protocol: column::value(answer, 6, DOING)?,
        length: column::value(answer, 7, DOING)?,
        source_port: column::value(answer, 8, DOING)?,
        destination_port: column::value(answer, 9, DOING)?,
        tcp_flags: column::value(answer, 10, DOING)?,
        icmp_type: column::value(answer, 11, DOING)?,
        icmp_code: column::value(answer, 12, DOING)?,
        issue: issue.as_deref().and_then(stored::issue),
        country: column::value::<String>(answer, 14, DOING)?.into(),
        asn: column::value(answer, 15, DOING)?,
        weight: column::value(answer, 16, DOING)?,
        ..Row::default()
    })
}
