//! Inserts rows.

use std::fmt::Write as _;

use rusqlite::{Connection, Statement, params};

use super::{StoreError, error::failure};
use crate::{
    event::{ConnectionState, Hook},
    mirror::{
        day::{Day, LATEST},
        row::{Row, sixteen_bytes, some_text},
        schema::{WIDTH, columns},
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

/// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, which sorts as the times do up to [`LATEST`].
pub(super) fn write_time(text: &mut String, time: u64) {
    let day = Day::of_micros(time);
    let micros = time - day.start_micros();
    let seconds = micros / 1_000_000;
    text.clear();
    // Writing to a String never fails.
    let _ = write!(
        text,
        "{day} {:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micros % 1_000_000
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (time, expect) in [
            (0, "1970-01-01 00:00:00.000000"),
            (1_795_435_199_999_999, "2026-11-23 11:59:59.999999"),
            (1_795_435_200_000_001, "2026-11-23 12:00:00.000001"),
            (LATEST, "9999-12-31 23:59:59.999999"),
        ] {
            let mut text = String::new();
            write_time(&mut text, time);
            assert_eq!(text, expect);
        }
    }
}
