//! Each field of a row, from the bytes of a packet.

use std::net::IpAddr;

use super::*;
use crate::{
    event::{Connection, ConnectionState, HardwareAddress, Hook, Interner, NameField, fixture},
    geoip::{GeoIp, Place},
    networks::Networks,
    packet::{self, DecodeIssue, Direction},
};

/// A packet without metadata of the kernel, located by its source.
pub(in crate::mirror) fn event(payload: &[u8], geoip: &GeoIp) -> Event {
    let headers = packet::decode(payload, None, 1500);
    let unknown = Place { country: Country::Unknown, asn: 0 };
    let source = headers.addresses.map(Addresses::source);
    Event {
        time: 1_700_000_000_123_456,
        group: 7,
        captured_length: u32::try_from(payload.len()).unwrap(),
        place: source.map_or(unknown, |address| geoip.locator().locate(address)),
        ..fixture::event(headers)
    }
}

/// An IP packet with 20 bytes of payload, which starts with `head`.
pub(in crate::mirror) fn packet(
    source: &str,
    destination: &str,
    protocol: u8,
    head: &[u8],
) -> Vec<u8> {
    let mut bytes;
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 57, protocol, 0, 0];
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes = vec![0x60, 0, 0, 0, 0, 20, protocol, 58];
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        _ => panic!("one IP version"),
    }
    let whole = bytes.len() + 20;
    bytes.extend(head);
    // 0x50 is the length of a TCP header without options.
    bytes.resize(whole, 0x50);
    bytes
}

/// A TCP header's ports, numbers, length and flags.
pub(in crate::mirror) const SYN: [u8; 14] = [0x9c, 0x40, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02];

pub(in crate::mirror) fn geoip() -> GeoIp {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/geoip/");
    let names = ["GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb"];
    GeoIp::open(&names.map(|name| format!("{data}{name}").into())).unwrap()
}

fn row(event: &Event) -> Row {
    RowBuilder::new(Names::default(), Networks::none().locations(geoip().city_lookup()))
        .row(event, 1)
}

/// The row of a minimal packet from London.
fn plain() -> Row {
    Row {
        time: 1_700_000_000_123_456,
        group: 7,
        prefix: "".into(),
        hook: None,
        direction: None,
        in_device: "".into(),
        out_device: "".into(),
        mark: 0,
        uid: None,
        hardware_address: HardwareAddress::default(),
        ip_version: Some(4),
        source: Some("81.2.69.142".parse().unwrap()),
        destination: Some("10.0.0.1".parse().unwrap()),
        protocol: Some(6),
        length: 40,
        captured_length: 40,
        ttl: Some(57),
        source_port: Some(40_000),
        destination_port: Some(22),
        tcp_flags: Some(2),
        icmp_type: None,
        icmp_code: None,
        issue: None,
        country: "GB".into(),
        city: "London".into(),
        latitude: Some(51.5142),
        longitude: Some(-0.0931),
        asn: None,
        weight: 1,
        context: RowContext::default(),
    }
}

#[test]
fn fields_of_headers() {
    let geoip = geoip();
    let check = |packet: &[u8], expect: Row| assert_eq!(row(&event(packet, &geoip)), expect);
    let base = || packet("81.2.69.142", "10.0.0.1", 6, &SYN);
    check(&base(), plain());
    let no_flags = Row { tcp_flags: None, ..plain() };
    let udp = packet("81.2.69.142", "10.0.0.1", 17, &[0x9c, 0x40, 0, 22, 0, 20]);
    check(&udp, Row { protocol: Some(17), ..no_flags.clone() });
    let no_ports = Row { source_port: None, destination_port: None, ..no_flags };
    let icmp = packet("81.2.69.142", "10.0.0.1", 1, &[8, 3]);
    let (icmp_type, icmp_code) = (Some(8), Some(3));
    check(&icmp, Row { protocol: Some(1), icmp_type, icmp_code, ..no_ports.clone() });
    let gre = packet("81.2.69.142", "10.0.0.1", 47, &[]);
    check(&gre, Row { protocol: Some(47), ..no_ports.clone() });
    let cut = &base()[..22];
    let issue = Some(DecodeIssue::Truncated);
    check(cut, Row { captured_length: 22, issue, ..no_ports.clone() });
    let six = packet("2001:218::1", "2001:db8::1", 6, &SYN);
    check(
        &six,
        Row {
            ip_version: Some(6),
            source: "2001:218::1".parse().ok(),
            destination: "2001:db8::1".parse().ok(),
            length: 60,
            captured_length: 60,
            ttl: Some(58),
            country: "JP".into(),
            city: "".into(),
            latitude: Some(35.685_36),
            longitude: Some(139.753_09),
            ..plain()
        },
    );
}

#[test]
fn undecodable_packets_become_rows() {
    let check = |packet: &[u8], issue| {
        let expect = Row {
            ip_version: None,
            source: None,
            destination: None,
            protocol: None,
            length: 1500,
            captured_length: u32::try_from(packet.len()).unwrap(),
            ttl: None,
            source_port: None,
            destination_port: None,
            tcp_flags: None,
            issue: Some(issue),
            country: "unknown".into(),
            city: "".into(),
            latitude: None,
            longitude: None,
            ..plain()
        };
        assert_eq!(row(&event(packet, &geoip())), expect);
    };
    check(&[], DecodeIssue::Truncated);
    check(&[0x45, 0, 0], DecodeIssue::Truncated);
    check(&[0, 1, 8, 0], DecodeIssue::NotIp);
}

#[test]
fn fields_of_kernel_metadata() {
    let mut interner = Interner::new(Names::default());
    let mut row_builder =
        RowBuilder::new(interner.names(), Networks::none().locations(geoip().city_lookup()));
    let long = "é".repeat(100);
    for (prefix, text) in [
        ("drop: ", "drop:"),
        ("'; DROP TABLE packets; --", "'; DROP TABLE packets; --"),
        (&long, &long[..128]),
    ] {
        let event = Event {
            prefix: interner.intern(NameField::Prefix, prefix.as_bytes()),
            in_device: interner.intern(NameField::InDevice, b"eth0"),
            out_device: interner.intern(NameField::OutDevice, b"wg0"),
            hook: Some(Hook::Forward),
            direction: Some(Direction::Forward),
            mark: u32::MAX,
            uid: Some(0),
            hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 9]),
            host: interner.intern(NameField::Host, b"router"),
            connection: Some(Connection { state: Some(ConnectionState::New), zone: 3 }),
            ..event(&packet("81.2.69.142", "10.0.0.1", 6, &SYN), &geoip())
        };
        let expect = Row {
            prefix: text.into(),
            in_device: "eth0".into(),
            out_device: "wg0".into(),
            hook: Some(Hook::Forward),
            direction: Some(Direction::Forward),
            mark: u32::MAX,
            uid: Some(0),
            hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 9]),
            weight: 100,
            context: RowContext {
                host: "router".into(),
                ct_state: Some(ConnectionState::New),
                ct_zone: Some(3),
                ..RowContext::default()
            },
            ..plain()
        };
        assert_eq!(row_builder.row(&event, 100), expect);
    }
}

/// Checks the city for a direction.
fn located(direction: Direction, source: &str, destination: &str, city: &str) {
    let event = Event {
        direction: Some(direction),
        ..event(&packet(source, destination, 6, &SYN), &geoip())
    };
    assert_eq!(row(&event).city, city, "{direction:?} {source} {destination}");
}

#[test]
fn the_city_is_that_of_the_remote_end() {
    located(Direction::In, "81.2.69.142", "89.160.20.112", "London");
    located(Direction::Forward, "81.2.69.142", "89.160.20.112", "London");
    located(Direction::Out, "81.2.69.142", "89.160.20.112", "Linköping");
    located(Direction::Out, "89.160.20.112", "10.0.0.1", "");
}

#[test]
fn the_countrys_centre_replaces_an_unknown_city() {
    let geoip = GeoIp::open(&[]).unwrap();
    let mut row_builder =
        RowBuilder::new(Names::default(), Networks::none().locations(geoip.city_lookup()));
    let mut check = |source: &str, country: &str, point: Option<(f64, f64)>| {
        let row = row_builder.row(&event(&packet(source, "10.0.0.1", 6, &SYN), &geoip), 1);
        assert_eq!((&*row.country, &*row.city), (country, ""));
        assert_eq!(row.latitude.zip(row.longitude), point, "{source}");
    };
    let gb = centre(Country::from_code("GB").unwrap());
    assert!(gb.is_some());
    check("212.58.244.20", "GB", gb);
    check("192.168.0.1", "private", None);
    let geoip = self::geoip();
    let mut row_builder =
        RowBuilder::new(Names::default(), Networks::none().locations(geoip.city_lookup()));
    let row = row_builder.row(&event(&packet("8.8.8.8", "10.0.0.1", 6, &SYN), &geoip), 1);
    assert_eq!((&*row.country, row.latitude), ("unknown", None));
    let row = row_builder.row(&event(&packet("1.128.0.1", "10.0.0.1", 6, &SYN), &geoip), 1);
    assert_eq!(row.asn, Some(1_221));
}
