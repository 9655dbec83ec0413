//! The text of every dimension, and that texts are unique.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    value::{IPV6_NETWORK, NO_PROTOCOL, PRIVATE_ASN, UNKNOWN_ASN},
    *,
};
use crate::{
    event::{Connection, Event, Interner, NameField, Names, fixture},
    geoip::{Country, CountryId},
    packet::{Addresses, Transport},
};

/// Checks the text of a dimension for an event changed by `set`.
#[track_caller]
fn check(dimension: Dimension, set: impl FnOnce(&mut Event), expect: &str) {
    let mut event = fixture::unreadable();
    set(&mut event);
    let text = dimension.text(dimension.value(&event), &Names::default());
    assert_eq!(text.as_deref().unwrap_or("-"), expect, "{dimension}");
}

fn country(code: &str) -> Country {
    Country::Known(CountryId::from_code(code).unwrap())
}

#[test]
fn texts() {
    use Dimension as D;
    let v4 = |source| Addresses::V4 { source, destination: Ipv4Addr::LOCALHOST };
    let v6 = |source| Addresses::V6 { source, destination: Ipv6Addr::LOCALHOST };
    let flags = |flags| Transport::Tcp { source: 40_000, destination: 22, flags };
    check(D::Prefix, |_| (), "");
    check(D::Prefix, |event| event.prefix = NameId::OTHER, "other");
    check(D::Proto, |_| (), "unknown");
    check(D::Proto, |event| event.headers.protocol = Some(17), "udp");
    check(D::Proto, |event| event.headers.protocol = Some(253), "253");
    check(D::Country, |_| (), "unknown");
    check(D::Country, |event| event.place.country = Country::Private, "private");
    check(D::Country, |event| event.place.country = country("NL"), "NL");
    check(D::Continent, |_| (), "unknown");
    check(D::Continent, |event| event.place.country = country("NL"), "EU");
    check(D::Asn, |_| (), "unknown");
    check(D::Asn, |event| event.place.country = Country::Private, "private");
    check(D::Asn, |event| event.place.country = country("NL"), "unknown");
    check(D::Asn, |event| event.place.asn = u32::MAX, "4294967295");
    check(D::Network, |_| (), "-");
    let address = Ipv4Addr::new(203, 0, 113, 77);
    check(D::Network, |event| event.headers.addresses = Some(v4(address)), "203.0.113.0/24");
    let address = "2001:db8:77:1::5".parse().unwrap();
    check(D::Network, |event| event.headers.addresses = Some(v6(address)), "2001:db8:77::/48");
    let address = Ipv6Addr::UNSPECIFIED;
    check(D::Network, |event| event.headers.addresses = Some(v6(address)), "::/48");
    check(D::IpVersion, |event| event.headers.addresses = Some(v6(address)), "6");
    let address = Ipv4Addr::UNSPECIFIED;
    check(D::Network, |event| event.headers.addresses = Some(v4(address)), "0.0.0.0/24");
    check(D::IpVersion, |event| event.headers.addresses = Some(v4(address)), "4");
    check(D::Port, |_| (), "-");
    check(D::Port, |event| event.headers.transport = flags(2), "22");
    check(D::SourcePort, |event| event.headers.transport = flags(2), "40000");
    check(D::TcpFlags, |event| event.headers.transport = flags(0x12), "syn|ack");
    check(D::TcpFlags, |event| event.headers.transport = flags(0), "none");
    check(D::TcpFlags, |_| (), "-");
    let echo = Transport::Icmp { kind: 8, code: 0 };
    check(D::IcmpType, |event| event.headers.transport = echo, "8");
    check(D::Port, |event| event.headers.transport = echo, "-");
    check(D::Direction, |_| (), "-");
    check(D::Direction, |event| event.direction = Some(Direction::Out), "out");
    check(D::Hook, |event| event.hook = Some(Hook::Ingress), "ingress");
    check(D::Mark, |_| (), "0x0");
    check(D::Mark, |event| event.mark = 0xca11, "0xca11");
    check(D::Uid, |_| (), "-");
    check(D::Uid, |event| event.uid = Some(0), "0");
    check(D::InInterface, |_| (), "-");
    check(D::OutInterface, |event| event.out_device = NameId::OTHER, "other");
    check(D::Host, |event| event.host = NameId::OTHER, "other");
    check(D::List, |_| (), "-");
    check(D::List, |event| event.list = NameId::OTHER, "other");
    check(D::SourceNetworkName, |_| (), "-");
    check(D::SourceNetworkName, |event| event.source_network = NameId::OTHER, "other");
    check(D::DestinationNetworkName, |_| (), "-");
    let other = NameId::OTHER;
    check(D::DestinationNetworkName, |event| event.destination_network = other, "other");
    check(D::CtState, |_| (), "-");
    check(D::CtZone, |_| (), "-");
    let connection = |state| Some(Connection { state, zone: 7 });
    let related = Some(ConnectionState::Related);
    check(D::CtState, |event| event.connection = connection(related), "related");
    check(D::CtState, |event| event.connection = connection(None), "-");
    check(D::CtZone, |event| event.connection = connection(None), "7");
}

#[test]
fn the_name_other_has_the_folded_value() {
    let mut interner = Interner::new(Names::default());
    let mut event = fixture::unreadable();
    event.prefix = interner.intern(NameField::Prefix, b"other");
    assert_eq!(Dimension::Prefix.value(&event), OTHER);
}

/// Prometheus rejects a scrape with two series of the same labels.
#[test]
fn different_values_have_different_texts() {
    let values: Vec<u64> = (0..1000)
        .chain((0..64).map(|bit| 1 << bit))
        .chain([PRIVATE_ASN, UNKNOWN_ASN, NO_PROTOCOL, OTHER, ABSENT])
        .collect();
    let reachable = |dimension: Dimension, value: u64| match dimension {
        _ if value == OTHER || value == ABSENT => true,
        Dimension::Prefix
        | Dimension::InInterface
        | Dimension::OutInterface
        | Dimension::Host
        | Dimension::SourceNetworkName
        | Dimension::DestinationNetworkName
        | Dimension::List => value == 1,
        Dimension::Proto => value <= NO_PROTOCOL,
        Dimension::Country => value < 2 + CountryId::COUNT as u64,
        Dimension::Continent => value < 2 + 7,
        Dimension::Asn => {
            (1..=u64::from(u32::MAX)).contains(&value)
                || value == PRIVATE_ASN
                || value == UNKNOWN_ASN
        }
        Dimension::Network => value < 1 << 24 || value >> 48 == IPV6_NETWORK >> 48,
        Dimension::Port | Dimension::SourcePort | Dimension::CtZone => value < 1 << 16,
        Dimension::CtState => value < 4,
        Dimension::Direction => value < 3,
        Dimension::Hook => value < 7,
        Dimension::Mark | Dimension::Uid => value < 1 << 32,
        Dimension::IpVersion => value == 4 || value == 6,
        Dimension::IcmpType | Dimension::TcpFlags => value < 256,
    };
    for dimension in Dimension::ALL {
        let mut texts = HashMap::new();
        for &value in values.iter().filter(|&&value| reachable(dimension, value)) {
            let text = dimension.text(value, &Names::default());
            if let Some(before) = texts.insert(text.clone(), value) {
                assert_eq!(before, value, "{dimension} renders two values as {text:?}");
            }
        }
    }
}

#[test]
fn each_name_resolves_to_its_dimension() {
    for dimension in Dimension::ALL {
        assert_eq!(Dimension::from_name(dimension.name()), Some(dimension));
    }
    assert_eq!(Dimension::from_name("ports"), None);
}
