//! The text of a dimension's values.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    ABSENT, Dimension, OTHER,
    value::{IPV4_HOST_BITS, IPV6_HOST_BITS, IPV6_NETWORK, NO_PROTOCOL, PRIVATE_ASN, UNKNOWN_ASN},
};
use crate::{
    event::{ConnectionState, Hook, Names},
    geoip::Country,
    packet::{Direction, protocol},
};

impl Dimension {
    /// Renders a value of this dimension; `None` if the series does not have the label.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number is from `value`, so it fits its type"
    )]
    pub fn text(self, value: u64, names: &Names) -> Option<Cow<'static, str>> {
        match value {
            OTHER => return Some("other".into()),
            ABSENT => return None,
            _ => {}
        }
        let low = value as u32;
        Some(match self {
            Self::Prefix
            | Self::InInterface
            | Self::OutInterface
            | Self::Host
            | Self::SourceNetworkName
            | Self::DestinationNetworkName
            | Self::List => names.text(self.name_id(value)?).to_string().into(),
            Self::Proto if value == NO_PROTOCOL => "unknown".into(),
            Self::Proto => protocol::name(low as u8),
            Self::Country => Country::from_bits(value).code().into(),
            Self::Continent => Country::continent_name(value).into(),
            Self::Asn if value == PRIVATE_ASN => Country::Private.code().into(),
            Self::Asn if value == UNKNOWN_ASN => Country::Unknown.code().into(),
            Self::Network => network_text(value).into(),
            Self::Direction => Direction::ALL.get(value as usize)?.name().into(),
            Self::Hook => Hook::ALL.get(value as usize)?.name().into(),
            Self::CtState => ConnectionState::ALL.get(value as usize)?.name().into(),
            Self::Mark => format!("{low:#x}").into(),
            Self::TcpFlags => tcp_flags_text(low as u8),
            Self::Asn
            | Self::Port
            | Self::SourcePort
            | Self::Uid
            | Self::IpVersion
            | Self::CtZone
            | Self::IcmpType => low.to_string().into(),
        })
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

/// Names of the TCP flags (RFC 9293), from the lowest bit to the highest, with the names of nftables.
const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

fn tcp_flags_text(flags: u8) -> Cow<'static, str> {
    let set: Vec<_> = TCP_FLAGS
        .into_iter()
        .enumerate()
        .filter_map(|(bit, name)| (flags & (1 << bit) != 0).then_some(name))
        .collect();
    if set.is_empty() { "none".into() } else { set.join("|").into() }
}
