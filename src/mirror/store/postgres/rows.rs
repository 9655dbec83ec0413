//! Encodes rows for `COPY … BINARY`.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use tokio_postgres::{
    Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::{StoreError, error::failure};
use crate::{
    event::{ConnectionState, Hook},
    mirror::{
        day::LATEST,
        row::{Row, some_text},
        schema::{WIDTH, columns},
    },
    packet::{DecodeIssue, Direction},
    system::clock::time_since_1970,
};

/// Types of the columns, in the order of [`columns`].
const TYPES: [Type; WIDTH] = [
    Type::TIMESTAMPTZ,
    Type::TEXT,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::INT2,
    Type::INET,
    Type::INET,
    Type::INT2,
    Type::INT8,
    Type::INT8,
    Type::INT2,
    Type::INT4,
    Type::INT4,
    Type::INT2,
    Type::INT2,
    Type::INT2,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];

/// Copies rows into `packets`.
pub(super) async fn copy(
    transaction: &Transaction<'_>,
    host: &str,
    rows: &[Row],
) -> Result<(), StoreError> {
    if let Some(row) = rows.iter().find(|row| row.time > LATEST) {
        let time = row.time;
        return Err(StoreError::Rejected(format!("the time of a row, {time} µs, is past 9999")));
    }
    let doing = "write rows";
    let copy = format!("COPY packets ({}) FROM STDIN BINARY", columns());
    let sink = transaction.copy_in(&copy).await.map_err(|error| failure(doing, &error))?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
    for row in rows {
        if let Err(error) = write(writer.as_mut(), host, row).await {
            return Err(failure(doing, &error));
        }
    }
    writer.finish().await.map_err(|error| failure(doing, &error))?;
    Ok(())
}

async fn write(
    writer: Pin<&mut BinaryCopyInWriter>,
    host: &str,
    row: &Row,
) -> Result<(), tokio_postgres::Error> {
    let time = time_since_1970(Duration::from_micros(row.time));
    let hardware_address = Some(row.hardware_address.as_bytes()).filter(|bytes| !bytes.is_empty());
    let context = &row.context;
    let values: [&(dyn ToSql + Sync); TYPES.len()] = [
        &time,
        &row.host(host),
        &i32::from(row.group),
        &row.prefix.as_str(),
        &row.hook.map(Hook::name),
        &row.direction.map(Direction::name),
        &row.in_device.as_str(),
        &row.out_device.as_str(),
        &i64::from(row.mark),
        &row.uid.map(i64::from),
        &hardware_address,
        &row.ip_version.map(i16::from),
        &row.source,
        &row.destination,
        &row.protocol.map(i16::from),
        &i64::from(row.length),
        &i64::from(row.captured_length),
        &row.ttl.map(i16::from),
        &row.source_port.map(i32::from),
        &row.destination_port.map(i32::from),
        &row.tcp_flags.map(i16::from),
        &row.icmp_type.map(i16::from),
        &row.icmp_code.map(i16::from),
        &row.issue.map(DecodeIssue::name),
        &row.country.as_str(),
        &some_text(&row.city),
        &row.latitude,
        &row.longitude,
        &row.asn.map(i64::from),
        &i64::from(row.weight),
        &context.ct_state.map(ConnectionState::name),
        &context.ct_zone.map(i32::from),
        &some_text(&context.source_network_name),
        &some_text(&context.destination_network_name),
        &some_text(&context.list),
    ];
    writer.write(&values).await
}
