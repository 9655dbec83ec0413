//! Converts a row of a database back to the event that it was built from, as far as a report needs it.

use std::net::IpAddr;

use crate::{
    event::{Event, HardwareAddress, Interner, NameField, NameId},
    geoip::{Country, Place},
    mirror::row::Row,
    packet::{Addresses, Headers, Transport},
};

/// The event of a row. Its prefix is a name of the interner; its other names are left out.
pub(super) fn event(row: &Row, interner: &mut Interner) -> Event {
    let addresses = match (row.source, row.destination) {
        (Some(IpAddr::V4(source)), Some(IpAddr::V4(destination))) => {
            Some(Addresses::V4 { source, destination })
        }
        (Some(IpAddr::V6(source)), Some(IpAddr::V6(destination))) => {
            Some(Addresses::V6 { source, destination })
        }
        _ => None,
    };
    Event {
        time: row.time,
        group: row.group,
        host: NameId::EMPTY,
        prefix: interner.intern(NameField::Prefix, row.prefix.as_bytes()),
        in_device: NameId::EMPTY,
        out_device: NameId::EMPTY,
        hook: row.hook,
        direction: row.direction,
        mark: row.mark,
        uid: row.uid,
        connection: None,
        hardware_address: HardwareAddress::default(),
        captured_length: row.captured_length,
        headers: Headers {
            addresses,
            protocol: row.protocol,
            length: row.length,
            ttl: row.ttl,
            transport: transport(row),
            issue: row.issue,
        },
        place: Place {
            country: Country::from_code(&row.country).unwrap_or(Country::Unknown),
            asn: row.asn.unwrap_or(0),
        },
        source_network: NameId::EMPTY,
        destination_network: NameId::EMPTY,
        list: NameId::EMPTY,
    }
}

fn transport(row: &Row) -> Transport {
    match (row.source_port.zip(row.destination_port), row.tcp_flags, row.icmp_type) {
        (Some((source, destination)), Some(flags), _) => {
            Transport::Tcp { source, destination, flags }
        }
        (Some((source, destination)), None, _) => Transport::Ports { source, destination },
        (None, _, Some(kind)) => Transport::Icmp { kind, code: row.icmp_code.unwrap_or(0) },
        (None, _, None) => Transport::None,
    }
}
