//! Inserts rows.

use rusqlite::{Connection, Statement, params};

use super::{StoreError, error::failure};
use crate::{
    event::{ConnectionState, Hook},
    mirror::{
        day::LATEST,
        row::{Row, sixteen_bytes, some_text},
        schema::{WIDTH, columns},
        time_text::write_time,
    },
    packet::{DecodeIssue, Direction},
};

/// Inserts rows into `packets`, inside the transaction of the caller.
pub(super) fn insert(
    connection: &Connection,
    name: &str,
    host: &str,
    rows: &[Row],
) -> Result<(), StoreError> {
    let failure = |error: rusqlite::Error| failure(name, "write rows", &error);
    let values = vec!["?"; WIDTH].join(", ");
    let statement = format!("INSERT INTO packets ({}) VALUES ({values})", columns());
    let mut statement = connection.prepare_cached(&statement).map_err(failure)?;
    let mut time = String::with_capacity(26);
    for row in rows {
        if row.time > LATEST {
            let text = format!("the time of a row, {} µs, is past the year 9999", row.time);
            return Err(StoreError::Rejected(text));
        }
        write_time(&mut time, row.time);
        execute(&mut statement, &time, host, row).map_err(failure)?;
    }
    Ok(())
}

/// Inserts one row. The values are in the order of [`columns`].
fn execute(
    statement: &mut Statement<'_>,
    time: &str,
    host: &str,
    row: &Row,
) -> rusqlite::Result<usize> {
    let hardware_address = Some(row.hardware_address.as_bytes()).filter(|it| !it.is_empty());
    let context = &row.context;
    statement.execute(params![
        time,
        row.host(host),
        row.group,
        row.prefix.as_str(),
        row.hook.map(Hook::name),
        row.direction.map(Direction::name),
        row.in_device.as_str(),
        row.out_device.as_str(),
        row.mark,
        row.uid,
        hardware_address,
        row.ip_version,
        row.source.map(sixteen_bytes),
        row.destination.map(sixteen_bytes),
        row.protocol,
        row.length,
        row.captured_length,
        row.ttl,
        row.source_port,
        row.destination_port,
        row.tcp_flags,
        row.icmp_type,
        row.icmp_code,
        row.issue.map(DecodeIssue::name),
        row.country.as_str(),
        some_text(&row.city),
        row.latitude,
        row.longitude,
        row.asn,
        row.weight,
        context.ct_state.map(ConnectionState::name),
        context.ct_zone,
        some_text(&context.source_network_name),
        some_text(&context.destination_network_name),
        some_text(&context.list),
    ])
}
