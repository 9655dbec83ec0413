//! The dimensions a family can count by: event to label value, label value to text.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    event::{Event, Hook, NameId, Names},
    geoip::Country,
    packet::{Addresses, Direction, Transport, protocol},
};

/// The value that every label folds to. No event has it of itself, save one whose name is `other`.
pub const OTHER: u64 = u64::MAX;

/// The value of a label that a packet does not have: no port, no uid.
pub const ABSENT: u64 = u64::MAX - 1;

/// A packet whose protocol could not be read.
const NO_PROTOCOL: u64 = 256;

/// An autonomous system's number is 32 bits wide; above them stand the reasons for having none.
const PRIVATE_ASN: u64 = 1 << 32;
const UNKNOWN_ASN: u64 = 2 << 32;

/// Marks a network of IPv6, whose first 48 bits stand below.
const IPV6_NETWORK: u64 = 1 << 56;

/// Host bits of the networks counted: /24 of IPv4, /48 of IPv6.
const IPV4_HOST_BITS: u32 = 8;
const IPV6_HOST_BITS: u32 = 80;

/// One label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The rule's log prefix.
    Prefix,
    /// Upper-layer protocol: lower-case name, else the number.
    Proto,
    /// ISO 3166-1 alpha-2 of the remote end, or `private`, `unknown`.
    Country,
    /// Continent of the remote end, two letters, or `private`, `unknown`.
    Continent,
    /// Autonomous system number of the remote end, or `private`, `unknown`.
    Asn,
    /// Source network, /24 or /48.
    Network,
    /// Destination port; absent without ports.
    Port,
    /// Source port; absent without ports.
    SourcePort,
    /// `in`, `out` or `forward`.
    Direction,
    /// The hook's name in nftables.
    Hook,
    /// Device the packet came in on.
    InInterface,
    /// Device the packet goes out on.
    OutInterface,
    /// The firewall mark, `0x` and hexadecimal.
    Mark,
    /// User id of the local socket that sent the packet.
    Uid,
    /// `4` or `6`.
    IpVersion,
    /// ICMP or ICMPv6 message type, a number.
    IcmpType,
    /// The TCP flags that are set, lower-case names joined by `|`.
    TcpFlags,
}

impl Dimension {
    /// Every dimension, in the order of the documentation.
    pub const ALL: [Self; 17] = [
        Self::Prefix,
        Self::Proto,
        Self::Country,
        Self::Continent,
        Self::Asn,
        Self::Network,
        Self::Port,
        Self::SourcePort,
        Self::Direction,
        Self::Hook,
        Self::InInterface,
        Self::OutInterface,
        Self::Mark,
        Self::Uid,
        Self::IpVersion,
        Self::IcmpType,
        Self::TcpFlags,
    ];

    /// Name of the label, also its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Proto => "proto",
            Self::Country => "country",
            Self::Continent => "continent",
            Self::Asn => "asn",
            Self::Network => "network",
            Self::Port => "port",
            Self::SourcePort => "source_port",
            Self::Direction => "direction",
            Self::Hook => "hook",
            Self::InInterface => "in_interface",
            Self::OutInterface => "out_interface",
            Self::Mark => "mark",
            Self::Uid => "uid",
            Self::IpVersion => "ip_version",
            Self::IcmpType => "icmp_type",
            Self::TcpFlags => "tcp_flags",
        }
    }

    /// How many values it usually has: what a rung of the ladder reserves room for. The port
    /// scanner's choice where an attacker picks the value.
    #[must_use]
    pub fn usual_values(self) -> usize {
        match self {
            Self::Network | Self::Port | Self::SourcePort => usize::MAX,
            Self::Asn => 1000,
            Self::Country => 250,
            Self::Prefix | Self::Mark | Self::Uid | Self::IcmpType | Self::TcpFlags => 16,
            Self::InInterface | Self::OutInterface | Self::Continent => 8,
            Self::Hook => Hook::ALL.len(),
            Self::Proto => 4,
            Self::Direction => Direction::ALL.len(),
            Self::IpVersion => 2,
        }
    }

    /// The label's value for an event: a number that [`Self::text`] turns into text.
    #[must_use]
    pub fn value(self, event: &Event) -> u64 {
        let headers = &event.headers;
        match self {
            Self::Prefix => name(event.prefix),
            Self::Proto => headers.protocol.map_or(NO_PROTOCOL, u64::from),
            Self::Country => event.place.country.to_bits(),
            Self::Continent => event.place.country.continent_bits(),
            Self::Asn if event.place.asn != 0 => event.place.asn.into(),
            Self::Asn => match event.place.country {
                Country::Private => PRIVATE_ASN,
                Country::Known(_) | Country::Unknown => UNKNOWN_ASN,
            },
            Self::Network => headers.addresses.map_or(ABSENT, network),
            Self::Port => headers.transport.ports().map_or(ABSENT, |(_, port)| port.into()),
            Self::SourcePort => headers.transport.ports().map_or(ABSENT, |(port, _)| port.into()),
            Self::Direction => event.direction.map_or(ABSENT, |direction| direction as u64),
            Self::Hook => event.hook.map_or(ABSENT, |hook| hook as u64),
            Self::InInterface => device(event.in_device),
            Self::OutInterface => device(event.out_device),
            Self::Mark => event.mark.into(),
            Self::Uid => event.uid.map_or(ABSENT, u64::from),
            Self::IpVersion => match headers.addresses {
                Some(Addresses::V4 { .. }) => 4,
                Some(Addresses::V6 { .. }) => 6,
                None => ABSENT,
            },
            Self::IcmpType => match headers.transport {
                Transport::Icmp { kind, .. } => kind.into(),
                _ => ABSENT,
            },
            Self::TcpFlags => match headers.transport {
                Transport::Tcp { flags, .. } => flags.into(),
                _ => ABSENT,
            },
        }
    }

    /// The text of a value of this dimension; `None` where the series goes without the label.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`value` gave the number: it fits its type"
    )]
    pub fn text(self, value: u64, names: &Names) -> Option<Cow<'static, str>> {
        match value {
            OTHER => return Some("other".into()),
            ABSENT => return None,
            _ => {}
        }
        let low = value as u32;
        Some(match self {
            Self::Prefix | Self::InInterface | Self::OutInterface => {
                names.text(self.name_id(value)?).to_string().into()
            }
            Self::Proto if value == NO_PROTOCOL => "unknown".into(),
            Self::Proto => protocol::name(low as u8),
            Self::Country => Country::from_bits(value).code().into(),
            Self::Continent => Country::continent_name(value).into(),
            Self::Asn if value == PRIVATE_ASN => Country::Private.code().into(),
            Self::Asn if value == UNKNOWN_ASN => Country::Unknown.code().into(),
            Self::Network => network_text(value).into(),
            Self::Direction => Direction::ALL.get(value as usize)?.name().into(),
            Self::Hook => Hook::ALL.get(value as usize)?.name().into(),
            Self::Mark => format!("{low:#x}").into(),
            Self::TcpFlags => tcp_flags_text(low as u8),
            Self::Asn
            | Self::Port
            | Self::SourcePort
            | Self::Uid
            | Self::IpVersion
            | Self::IcmpType => low.to_string().into(),
        })
    }

    /// The id of the name that a value of this dimension stands for, if it stands for one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "`value` gave the number: it is an id's")]
    pub fn name_id(self, value: u64) -> Option<NameId> {
        let is_name = matches!(self, Self::Prefix | Self::InInterface | Self::OutInterface);
        (is_name && value != OTHER && value != ABSENT).then(|| NameId::from_index(value as u16))
    }

    /// The dimension of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The value of a name: one that says `other` is the folded value itself.
fn name(id: NameId) -> u64 {
    if id == NameId::OTHER { OTHER } else { id.index().into() }
}

/// The value of a device's name; a packet without a device goes without the label.
fn device(id: NameId) -> u64 {
    if id == NameId::EMPTY { ABSENT } else { name(id) }
}

fn network(addresses: Addresses) -> u64 {
    match addresses {
        Addresses::V4 { source, .. } => u64::from(source.to_bits() >> IPV4_HOST_BITS),
        // 48 bits are left, so it fits.
        Addresses::V6 { source, .. } => IPV6_NETWORK | (source.to_bits() >> IPV6_HOST_BITS) as u64,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an IPv4 network has 24 bits")]
fn network_text(value: u64) -> String {
    if value & IPV6_NETWORK == 0 {
        let address = Ipv4Addr::from_bits((value as u32) << IPV4_HOST_BITS);
        format!("{}/{}", IpAddr::V4(address), 32 - IPV4_HOST_BITS)
    } else {
        let address = Ipv6Addr::from_bits(u128::from(value & !IPV6_NETWORK) << IPV6_HOST_BITS);
        format!("{}/{}", IpAddr::V6(address), 128 - IPV6_HOST_BITS)
    }
}

/// Names of the TCP flags (RFC 9293), from the lowest bit to the highest, as nftables spells them.
const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

fn tcp_flags_text(flags: u8) -> Cow<'static, str> {
    let set: Vec<_> = TCP_FLAGS
        .into_iter()
        .enumerate()
        .filter_map(|(bit, name)| (flags & (1 << bit) != 0).then_some(name))
        .collect();
    if set.is_empty() { "none".into() } else { set.join("|").into() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{
        event::{HardwareAddress, Interner, Named},
        geoip::{CountryId, Place},
        packet::{DecodeIssue, Headers},
    };

    fn event() -> Event {
        Event {
            time: 0,
            group: 1,
            prefix: NameId::EMPTY,
            in_device: NameId::EMPTY,
            out_device: NameId::EMPTY,
            hook: None,
            direction: None,
            mark: 0,
            uid: None,
            hardware_address: HardwareAddress::default(),
            captured_length: 60,
            headers: Headers {
                addresses: None,
                protocol: None,
                length: 0,
                ttl: 0,
                transport: Transport::None,
                issue: Some(DecodeIssue::Truncated),
            },
            place: Place { country: Country::Unknown, asn: 0 },
        }
    }

    /// What the dimension says of an event changed by `set`.
    #[track_caller]
    fn check(dimension: Dimension, set: impl FnOnce(&mut Event), expect: &str) {
        let mut event = event();
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
    }

    #[test]
    fn a_name_that_says_other_is_the_folded_value() {
        let mut interner = Interner::new(Names::default());
        let mut event = event();
        event.prefix = interner.intern(Named::Prefix, b"other");
        assert_eq!(Dimension::Prefix.value(&event), OTHER);
    }

    /// Two series with the same labels would make Prometheus refuse the whole scrape.
    #[test]
    fn no_two_values_read_the_same() {
        let values: Vec<u64> = (0..1000)
            .chain((0..64).map(|bit| 1 << bit))
            .chain([PRIVATE_ASN, UNKNOWN_ASN, NO_PROTOCOL, OTHER, ABSENT])
            .collect();
        let reachable = |dimension: Dimension, value: u64| match dimension {
            _ if value == OTHER || value == ABSENT => true,
            Dimension::Prefix | Dimension::InInterface | Dimension::OutInterface => value == 1,
            Dimension::Proto => value <= NO_PROTOCOL,
            Dimension::Country => value < 2 + CountryId::COUNT as u64,
            Dimension::Continent => value < 2 + 7,
            Dimension::Asn => {
                (1..=u64::from(u32::MAX)).contains(&value)
                    || value == PRIVATE_ASN
                    || value == UNKNOWN_ASN
            }
            Dimension::Network => value < 1 << 24 || value >> 48 == IPV6_NETWORK >> 48,
            Dimension::Port | Dimension::SourcePort => value < 1 << 16,
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
                    assert_eq!(before, value, "{dimension} reads {text:?} twice");
                }
            }
        }
    }

    #[test]
    fn names_lead_back_to_their_dimension() {
        for dimension in Dimension::ALL {
            assert_eq!(Dimension::from_name(dimension.name()), Some(dimension));
        }
        assert_eq!(Dimension::from_name("ports"), None);
    }
}
