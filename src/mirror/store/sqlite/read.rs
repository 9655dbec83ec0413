//! Reads rows, one by one, from a file that is opened for reading only.

use std::net::Ipv6Addr;

use rusqlite::{Connection, OpenFlags, Row as Answer, params_from_iter};

use super::{
    super::{READ_COLUMNS, StoreError, stored},
    BUSY, failure,
};
use crate::mirror::{
    row::Row,
    row_selection::RowSelection,
    target::{Endpoint, Target},
    time_text::write_time,
};

/// Passes the selected rows to `take`, in any order and one by one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs are set.
///
/// # Errors
/// The database cannot be opened or read, or a row is invalid.
pub async fn read(
    target: &Target,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    let Endpoint::File(path) = &target.endpoint else {
        return Err(StoreError::Denied(format!("SQLite needs a file, not {target}")));
    };
    let name = path.display().to_string();
    let failed = |error: rusqlite::Error| failure(&name, "read rows", &error);
    if !path.exists() {
        return Err(StoreError::Denied(format!("SQLite {name}: there is no such file")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let of_hosts = match hosts.len() {
        0 => String::new(),
        count => format!(" AND host IN (?{})", ", ?".repeat(count - 1)),
    };
    let query = format!(
        "SELECT CAST(strftime('%s', substr(time, 1, 19)) AS INTEGER) * 1000000 + CAST(substr(time, 21) AS INTEGER), \
         {READ_COLUMNS} FROM packets WHERE time BETWEEN ?1 AND ?2{of_hosts}"
    );
    let mut statement = connection.prepare(&query).map_err(failed)?;
    let (mut start, mut end) = (String::new(), String::new());
    write_time(&mut start, *period.start());
    write_time(&mut end, *period.end());
    let mut answers = statement
        .query(params_from_iter([&start, &end].into_iter().chain(hosts)))
        .map_err(failed)?;
    while let Some(answer) = answers.next().map_err(failed)? {
        take(row(answer).map_err(failed)?);
    }
    Ok(())
}

fn row(answer: &Answer<'_>) -> rusqlite::Result<Row> {
    let direction: Option<String> = answer.get(2)?;
    let ip_version = answer.get(5)?;
    let issue: Option<String> = answer.get(13)?;
    let address = |column| -> rusqlite::Result<_> {
        let bytes: Option<[u8; 16]> = answer.get(column)?;
        Ok(bytes.map(|bytes| stored::address(Ipv6Addr::from(bytes), ip_version)))
    };
    Ok(Row {
        time: answer.get::<_, i64>(0)?.try_into().unwrap_or(0),
        prefix: answer.get::<_, String>(1)?.into(),
        direction: direction.as_deref().and_then(stored::direction),
        source: address(3)?,
        destination: address(4)?,
        ip_version,
        protocol: answer.get(6)?,
        length: answer.get(7)?,
        source_port: answer.get(8)?,
        destination_port: answer.get(9)?,
        tcp_flags: answer.get(10)?,
        icmp_type: answer.get(11)?,
        icmp_code: answer.get(12)?,
        issue: issue.as_deref().and_then(stored::issue),
        country: answer.get::<_, String>(14)?.into(),
        asn: answer.get(15)?,
        weight: answer.get(16)?,
        ..Row::default()
    })
}
