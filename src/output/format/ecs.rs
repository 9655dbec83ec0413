//! The format `ecs`: a row with the field names of the Elastic Common Schema 8.11.
//! <https://www.elastic.co/guide/en/ecs/8.11/>

use std::net::IpAddr;

use serde::Serialize;

use super::{json::hardware_address, time::rfc3339};
use crate::{
    event::{ConnectionState, Hook},
    mirror::row::Row,
    packet::{DecodeIssue, Direction, protocol},
};

/// The version of the schema.
const VERSION: &str = "8.11.0";

/// A row with the fields of the schema. Fields that the schema does not have are in `nflog`.
#[derive(Debug, Serialize)]
pub(super) struct EcsRow<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    ecs: Ecs,
    event: EcsEvent,
    observer: Observer<'a>,
    rule: Rule<'a>,
    network: Network,
    source: End<'a>,
    destination: End<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    nflog: Nflog<'a>,
}

#[derive(Debug, Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct EcsEvent {
    kind: &'static str,
    category: [&'static str; 1],
    #[serde(rename = "type")]
    kinds: [&'static str; 1],
    dataset: &'static str,
}

#[derive(Debug, Serialize)]
struct Observer<'a> {
    hostname: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingress: Option<Side<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egress: Option<Side<'a>>,
}

#[derive(Debug, Serialize)]
struct Side<'a> {
    interface: Interface<'a>,
}

#[derive(Debug, Serialize)]
struct Interface<'a> {
    name: &'a str,
}

#[derive(Debug, Serialize)]
struct Rule<'a> {
    name: &'a str,
}

#[derive(Debug, Serialize)]
struct Network {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iana_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    bytes: u64,
    packets: u32,
}

/// One end of the packet. The place is that of the remote end.
#[derive(Debug, Serialize)]
struct End<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geo: Option<Geo<'a>>,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    system: Option<AutonomousSystem>,
}

#[derive(Debug, Serialize)]
struct Geo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    country_iso_code: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    city_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    lat: f64,
    lon: f64,
}

#[derive(Debug, Serialize)]
struct AutonomousSystem {
    number: u32,
}

#[derive(Debug, Serialize)]
struct User {
    id: String,
}

#[derive(Debug, Serialize)]
struct Nflog<'a> {
    group: u16,
    mark: u32,
    country: &'a str,
    captured_length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<&'static str>,
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

impl<'a> EcsRow<'a> {
    /// A row of the mirror with the names of the schema. `own_host` is this host's name.
    pub(super) fn new(row: &'a Row, own_host: &'a str) -> Self {
        let is_sent = row.direction == Some(Direction::Out);
        let mac = hardware_address(row.hardware_address.as_bytes(), '-');
        Self {
            timestamp: rfc3339(row.time),
            ecs: Ecs { version: VERSION },
            event: EcsEvent {
                kind: "event",
                category: ["network"],
                kinds: ["connection"],
                dataset: "nflog.packet",
            },
            observer: Observer {
                hostname: row.host(own_host),
                kind: "firewall",
                ingress: Side::new(&row.in_device),
                egress: Side::new(&row.out_device),
            },
            rule: Rule { name: &row.prefix },
            network: Network::new(row),
            source: End {
                ip: row.source,
                port: row.source_port,
                mac: mac.map(|mac| mac.to_uppercase()),
                geo: (!is_sent).then(|| Geo::new(row)).flatten(),
                system: row.asn.filter(|_| !is_sent).map(|number| AutonomousSystem { number }),
            },
            destination: End {
                ip: row.destination,
                port: row.destination_port,
                mac: None,
                geo: is_sent.then(|| Geo::new(row)).flatten(),
                system: row.asn.filter(|_| is_sent).map(|number| AutonomousSystem { number }),
            },
            user: row.uid.map(|uid| User { id: uid.to_string() }),
            nflog: Nflog::new(row),
        }
    }
}

impl<'a> Side<'a> {
    fn new(device: &'a str) -> Option<Self> {
        (!device.is_empty()).then_some(Self { interface: Interface { name: device } })
    }
}

impl Network {
    fn new(row: &Row) -> Self {
        let direction = row.direction.map(|direction| match direction {
            Direction::In => "ingress",
            Direction::Out => "egress",
            Direction::Forward => "unknown",
        });
        Self {
            kind: row.ip_version.map(|version| if version == 4 { "ipv4" } else { "ipv6" }),
            iana_number: row.protocol.map(|number| number.to_string()),
            transport: row.protocol.map(|number| protocol::name(number).into_owned()),
            direction,
            bytes: u64::from(row.length) * u64::from(row.weight),
            packets: row.weight,
        }
    }
}

impl<'a> Geo<'a> {
    fn new(row: &'a Row) -> Option<Self> {
        let code = Some(row.country.as_str()).filter(|code| code.len() == 2);
        let point = row.latitude.zip(row.longitude);
        let location = point.map(|(lat, lon)| Point { lat, lon });
        let is_known = code.is_some() || !row.city.is_empty() || location.is_some();
        is_known.then_some(Self { country_iso_code: code, city_name: &row.city, location })
    }
}

impl<'a> Nflog<'a> {
    fn new(row: &'a Row) -> Self {
        let context = &row.context;
        Self {
            group: row.group,
            mark: row.mark,
            country: &row.country,
            captured_length: row.captured_length,
            hook: row.hook.map(Hook::name),
            ttl: row.ttl,
            tcp_flags: row.tcp_flags,
            icmp_type: row.icmp_type,
            icmp_code: row.icmp_code,
            flaw: row.issue.map(DecodeIssue::name),
            ct_state: context.ct_state.map(ConnectionState::name),
            ct_zone: context.ct_zone,
            source_network_name: &context.source_network_name,
            destination_network_name: &context.destination_network_name,
            list: &context.list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HardwareAddress;

    #[test]
    fn the_place_is_that_of_the_remote_end() {
        let row = Row {
            prefix: "drop".into(),
            in_device: "eth0".into(),
            hardware_address: HardwareAddress::new(&[2, 0, 0xab]),
            ip_version: Some(4),
            source: Some([192, 0, 2, 1].into()),
            destination: Some([192, 0, 2, 2].into()),
            protocol: Some(6),
            length: 60,
            source_port: Some(1),
            destination_port: Some(22),
            country: "DE".into(),
            latitude: Some(51.0),
            longitude: Some(10.0),
            asn: Some(64_496),
            weight: 10,
            ..Row::default()
        };
        let value = |row: &Row| serde_json::to_value(EcsRow::new(row, "gw")).unwrap();
        let received = value(&row);
        assert_eq!(received["@timestamp"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(received["source"]["geo"]["country_iso_code"], "DE");
        assert_eq!(received["source"]["as"]["number"], 64_496);
        assert_eq!(received["source"]["mac"], "02-00-AB");
        assert_eq!(received["destination"], serde_json::json!({ "ip": "192.0.2.2", "port": 22 }));
        assert_eq!(received["observer"]["ingress"]["interface"]["name"], "eth0");
        assert_eq!(received["network"]["bytes"], 600);
        assert_eq!(received["network"]["transport"], "tcp");
        let sent = value(&Row { direction: Some(Direction::Out), ..row });
        assert_eq!(sent["destination"]["geo"]["location"]["lat"], 51.0);
        assert!(sent["source"].get("geo").is_none());
        let unknown = value(&Row { country: "unknown".into(), ..Row::default() });
        assert!(unknown["source"].get("geo").is_none());
    }
}
