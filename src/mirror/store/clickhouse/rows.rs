//! Encodes rows in `RowBinary`, ClickHouse's binary format by row.

use std::net::IpAddr;

use super::super::{StoreError, Writer};
use crate::{
    event::{ConnectionState, Hook},
    mirror::{
        row::{Row, sixteen_bytes, some_text},
        schema::columns,
    },
    packet::{DecodeIssue, Direction},
};

/// The last microsecond of the year 2099. A TTL computes times of 32 bits, which wrap around in 2106.
const LATEST: u64 = 4_102_444_799_999_999;

/// The statement before the rows.
pub(super) fn insert() -> String {
    format!("INSERT INTO packets ({}, writer, sequence) FORMAT RowBinary", columns())
}

/// Appends a row with its number.
///
/// # Errors
/// [`StoreError::Rejected`]: its time is past 2099.
pub(super) fn encode(
    data: &mut Vec<u8>,
    writer: &Writer,
    number: u64,
    row: &Row,
) -> Result<(), StoreError> {
    if row.time > LATEST {
        let time = row.time;
        return Err(StoreError::Rejected(format!("the time of a row, {time} µs, is past 2099")));
    }
    data.extend(row.time.to_le_bytes());
    text(data, row.host(&writer.host));
    data.extend(row.group.to_le_bytes());
    text(data, &row.prefix);
    nullable_text(data, row.hook.map(Hook::name));
    nullable_text(data, row.direction.map(Direction::name));
    text(data, &row.in_device);
    text(data, &row.out_device);
    data.extend(row.mark.to_le_bytes());
    nullable(data, row.uid.map(u32::to_le_bytes));
    let hardware_address = row.hardware_address.as_bytes();
    nullable_bytes(data, Some(hardware_address).filter(|bytes| !bytes.is_empty()));
    nullable(data, row.ip_version.map(u8::to_le_bytes));
    address(data, row.source);
    address(data, row.destination);
    nullable(data, row.protocol.map(u8::to_le_bytes));
    data.extend(row.length.to_le_bytes());
    data.extend(row.captured_length.to_le_bytes());
    nullable(data, row.ttl.map(u8::to_le_bytes));
    nullable(data, row.source_port.map(u16::to_le_bytes));
    nullable(data, row.destination_port.map(u16::to_le_bytes));
    nullable(data, row.tcp_flags.map(u8::to_le_bytes));
    nullable(data, row.icmp_type.map(u8::to_le_bytes));
    nullable(data, row.icmp_code.map(u8::to_le_bytes));
    nullable_text(data, row.issue.map(DecodeIssue::name));
    text(data, &row.country);
    nullable_text(data, some_text(&row.city));
    nullable(data, row.latitude.map(single));
    nullable(data, row.longitude.map(single));
    nullable(data, row.asn.map(u32::to_le_bytes));
    data.extend(row.weight.to_le_bytes());
    let context = &row.context;
    nullable_text(data, context.ct_state.map(ConnectionState::name));
    nullable(data, context.ct_zone.map(u16::to_le_bytes));
    nullable_text(data, some_text(&context.source_network_name));
    nullable_text(data, some_text(&context.destination_network_name));
    nullable_text(data, some_text(&context.list));
    data.extend(writer.id);
    data.extend(number.to_le_bytes());
    Ok(())
}

/// Degrees in single precision: to a metre.
#[expect(clippy::cast_possible_truncation, reason = "a position is not known better")]
fn single(degrees: f64) -> [u8; 4] {
    (degrees as f32).to_le_bytes()
}

fn text(data: &mut Vec<u8>, text: &str) {
    bytes(data, text.as_bytes());
}

/// A string: its length as LEB128, and its bytes.
#[expect(clippy::cast_possible_truncation, reason = "seven bits each")]
fn bytes(data: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        data.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    data.push(length as u8);
    data.extend(bytes);
}

fn nullable_text(data: &mut Vec<u8>, text: Option<&str>) {
    nullable_bytes(data, text.map(str::as_bytes));
}

fn nullable_bytes(data: &mut Vec<u8>, value: Option<&[u8]>) {
    data.push(value.is_none().into());
    if let Some(value) = value {
        bytes(data, value);
    }
}

/// A value of a fixed size after a byte that says whether it is NULL.
fn nullable<const SIZE: usize>(data: &mut Vec<u8>, value: Option<[u8; SIZE]>) {
    data.push(value.is_none().into());
    data.extend(value.iter().flatten());
}

fn address(data: &mut Vec<u8>, address: Option<IpAddr>) {
    nullable(data, address.map(sixteen_bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_leb128() {
        for (length, expect) in [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (300, &[172, 2])] {
            let mut data = Vec::new();
            bytes(&mut data, &vec![b'x'; length]);
            assert_eq!(&data[..data.len() - length], expect);
        }
    }

    #[test]
    fn a_time_that_no_column_holds_is_rejected() {
        let writer = Writer { id: [0; 16], host: String::new() };
        let mut data = Vec::new();
        let row = |time| Row { time, ..Row::default() };
        encode(&mut data, &writer, 0, &row(LATEST)).unwrap();
        let late = encode(&mut data, &writer, 0, &row(LATEST + 1));
        assert!(matches!(late, Err(StoreError::Rejected(_))), "{late:?}");
    }
}
