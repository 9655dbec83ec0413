//! Events for unit tests, integration tests and benches. The program does not use them.

use std::net::Ipv4Addr;

use super::{Event, HardwareAddress, NameId};
use crate::{
    geoip::{Country, Place},
    packet::{Addresses, DecodeIssue, Headers, Transport, protocol},
};

/// A packet with these headers, without metadata of the kernel and from an unknown country.
#[must_use]
pub fn event(headers: Headers) -> Event {
    Event {
        time: 0,
        group: 1,
        host: NameId::EMPTY,
        prefix: NameId::EMPTY,
        in_device: NameId::EMPTY,
        out_device: NameId::EMPTY,
        hook: None,
        direction: None,
        mark: 0,
        uid: None,
        connection: None,
        hardware_address: HardwareAddress::default(),
        captured_length: 60,
        headers,
        place: Place { country: Country::Unknown, asn: 0 },
        source_network: NameId::EMPTY,
        destination_network: NameId::EMPTY,
        list: NameId::EMPTY,
    }
}

/// A packet whose headers are truncated.
#[must_use]
pub fn unreadable() -> Event {
    event(Headers::unread(DecodeIssue::Truncated, 60))
}

/// A TCP packet with the flag SYN to a port of 192.0.2.1. The country is a code, "private" or "unknown".
#[must_use]
#[expect(clippy::unwrap_used, reason = "for tests")]
pub fn tcp(country: &str, source: impl Into<Ipv4Addr>, port: u16) -> Event {
    let addresses =
        Addresses::V4 { source: source.into(), destination: Ipv4Addr::new(192, 0, 2, 1) };
    let headers = Headers {
        addresses: Some(addresses),
        protocol: Some(protocol::TCP),
        length: 60,
        ttl: Some(64),
        transport: Transport::Tcp { source: 40_000, destination: port, flags: 2 },
        issue: None,
    };
    let place = Place { country: Country::from_code(country).unwrap(), asn: 0 };
    Event { place, ..event(headers) }
}
