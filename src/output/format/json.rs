//! The format `json`: the columns of the mirror's table `packets` as keys. A key without a value is left out.

use std::{fmt::Write as _, net::IpAddr};

use serde::Serialize;

use super::time::rfc3339;
use crate::{
    event::{ConnectionState, Hook},
    mirror::row::Row,
    packet::{DecodeIssue, Direction},
};

/// A row with its keys in their order.
#[derive(Debug, Serialize)]
pub(super) struct JsonRow<'a> {
    time: String,
    host: &'a str,
    nflog_group: u16,
    prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    in_device: &'a str,
    out_device: &'a str,
    mark: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<u8>,
    length: u32,
    captured_length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<&'static str>,
    country: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    city: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ct_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ct_zone: Option<u16>,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_network_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    destination_network_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    list: &'a str,
}

impl<'a> JsonRow<'a> {
    /// A row of the mirror as JSON. `own_host` is this host's name.
    pub(super) fn new(row: &'a Row, own_host: &'a str) -> Self {
        Self {
            time: rfc3339(row.time),
            host: row.host(own_host),
            nflog_group: row.group,
            prefix: &row.prefix,
            hook: row.hook.map(Hook::name),
            direction: row.direction.map(Direction::name),
            in_device: &row.in_device,
            out_device: &row.out_device,
            mark: row.mark,
            uid: row.uid,
            hardware_address: hardware_address(row.hardware_address.as_bytes(), ':'),
            ip_version: row.ip_version,
            source: row.source,
            destination: row.destination,
            protocol: row.protocol,
            length: row.length,
            captured_length: row.captured_length,
            ttl: row.ttl,
            source_port: row.source_port,
            destination_port: row.destination_port,
            tcp_flags: row.tcp_flags,
            icmp_type: row.icmp_type,
            icmp_code: row.icmp_code,
            flaw: row.issue.map(DecodeIssue::name),
            country: &row.country,
            city: &row.city,
            latitude: row.latitude,
            longitude: row.longitude,
            asn: row.asn,
            weight: row.weight,
            ct_state: row.context.ct_state.map(ConnectionState::name),
            ct_zone: row.context.ct_zone,
            source_network_name: &row.context.source_network_name,
            destination_network_name: &row.context.destination_network_name,
            list: &row.context.list,
        }
    }
}

/// The bytes of a hardware address in lower-case hexadecimal digits; `None` for no address.
pub(super) fn hardware_address(bytes: &[u8], separator: char) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(3 * bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(separator);
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::HardwareAddress, mirror::row::RowContext};

    #[test]
    fn keys_without_a_value_are_left_out() {
        let row = Row {
            time: 1_500_000,
            prefix: "a \"b\"".into(),
            country: "DE".into(),
            weight: 1,
            ..Row::default()
        };
        let text = serde_json::to_string(&JsonRow::new(&row, "gw")).unwrap();
        assert_eq!(
            text,
            r#"{"time":"1970-01-01T00:00:01.500000Z","host":"gw","nflog_group":0,"prefix":"a \"b\"","in_device":"","out_device":"","mark":0,"length":0,"captured_length":0,"country":"DE","weight":1}"#
        );
    }

    #[test]
    fn a_row_has_every_key() {
        let row = Row {
            hook: Some(Hook::Input),
            direction: Some(Direction::In),
            uid: Some(1),
            hardware_address: HardwareAddress::new(&[2, 0, 0xab]),
            ip_version: Some(4),
            source: Some([192, 0, 2, 1].into()),
            destination: Some([192, 0, 2, 2].into()),
            protocol: Some(6),
            ttl: Some(64),
            source_port: Some(1),
            destination_port: Some(22),
            tcp_flags: Some(2),
            icmp_type: Some(8),
            icmp_code: Some(0),
            issue: Some(DecodeIssue::Truncated),
            city: "Berlin".into(),
            latitude: Some(52.5),
            longitude: Some(13.4),
            asn: Some(64_496),
            context: RowContext {
                host: "router".into(),
                ct_state: Some(ConnectionState::New),
                ct_zone: Some(0),
                source_network_name: "a".into(),
                destination_network_name: "b".into(),
                list: "c".into(),
            },
            ..Row::default()
        };
        let value = serde_json::to_value(JsonRow::new(&row, "gw")).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut columns: Vec<_> =
            crate::mirror::schema::columns().split(", ").map(str::to_owned).collect();
        columns.sort();
        assert_eq!(keys, columns);
        assert_eq!(
            (&value["hardware_address"], &value["host"]),
            (&"02:00:ab".into(), &"router".into())
        );
    }
}
