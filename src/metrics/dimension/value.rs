//! The value of a dimension for an event.

use super::{ABSENT, Dimension, OTHER};
use crate::{
    event::{Event, NameId},
    geoip::Country,
    packet::{Addresses, Transport},
};

/// The protocol of a packet whose protocol could not be read.
pub(super) const NO_PROTOCOL: u64 = 256;

/// Values for packets without an AS number, which has 32 bits.
pub(super) const PRIVATE_ASN: u64 = 1 << 32;
pub(super) const UNKNOWN_ASN: u64 = 2 << 32;

/// Marks an IPv6 network, whose first 48 bits are the low bits.
pub(super) const IPV6_NETWORK: u64 = 1 << 56;

/// Host bits of the counted networks: /24 of IPv4, /48 of IPv6.
pub(super) const IPV4_HOST_BITS: u32 = 8;
pub(super) const IPV6_HOST_BITS: u32 = 80;

impl Dimension {
    /// The AS number that a value of [`Self::Asn`] is, if it is one.
    pub(in crate::metrics) fn as_number(value: u64) -> Option<u32> {
        u32::try_from(value).ok()
    }

    /// Passes the value of each event to `take`, together with one of `targets`. Faster than [`Self::value`] for one event
    /// after the other: the dimension is distinguished once.
    #[inline]
    pub fn each_value<'t, T: 't>(
        self,
        events: &[Event],
        targets: impl Iterator<Item = &'t mut T>,
        take: impl Fn(&mut T, u64),
    ) {
        macro_rules! distinguish {
            ($($dimension:ident)*) => {
                match self {
                    $(Self::$dimension => {
                        for (event, target) in events.iter().zip(targets) {
                            take(target, Self::$dimension.value(event));
                        }
                    })*
                }
            };
        }
        distinguish! {
            Prefix Proto Country Continent Asn Network Port SourcePort Direction Hook InInterface OutInterface Mark Uid
            IpVersion IcmpType TcpFlags Host CtState CtZone SourceNetworkName DestinationNetworkName List
        }
    }

    /// The label's value for an event: a number that [`Self::text`] renders.
    #[must_use]
    #[inline]
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
            Self::InInterface => optional_name(event.in_device),
            Self::OutInterface => optional_name(event.out_device),
            Self::Host => optional_name(event.host),
            Self::SourceNetworkName => optional_name(event.source_network),
            Self::DestinationNetworkName => optional_name(event.destination_network),
            Self::List => optional_name(event.list),
            Self::CtState => match event.connection.and_then(|connection| connection.state) {
                Some(state) => state as u64,
                None => ABSENT,
            },
            Self::CtZone => event.connection.map_or(ABSENT, |connection| connection.zone.into()),
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
}

/// The value of a name; for the name `other`, the value of a folded label.
fn name(id: NameId) -> u64 {
    if id == NameId::OTHER { OTHER } else { id.index().into() }
}

/// The value of a name that a packet may not have, such as that of a device.
fn optional_name(id: NameId) -> u64 {
    if id == NameId::EMPTY { ABSENT } else { name(id) }
}

fn network(addresses: Addresses) -> u64 {
    match addresses {
        Addresses::V4 { source, .. } => u64::from(source.to_bits() >> IPV4_HOST_BITS),
        // 48 bits remain, so the cast is lossless.
        Addresses::V6 { source, .. } => IPV6_NETWORK | (source.to_bits() >> IPV6_HOST_BITS) as u64,
    }
}
