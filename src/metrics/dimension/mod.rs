//! The dimensions that a family can count by. `value` computes the value for an event, `text` renders it.

mod text;
mod value;

use std::fmt;

use crate::{
    event::{ConnectionState, Hook, NameId},
    geoip::CountryId,
    packet::Direction,
};

/// The value of a folded label. Only a name whose text is `other` has the same value.
pub const OTHER: u64 = u64::MAX;

/// The value of a label that a packet does not have, such as a port or a uid.
pub const ABSENT: u64 = u64::MAX - 1;

/// One label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The rule's log prefix.
    Prefix,
    /// Upper-layer protocol: lower-case name, otherwise the number.
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
    /// Input device.
    InInterface,
    /// Output device.
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
    /// Host that logged the packet, if it is not this one.
    Host,
    /// State of the packet's connection, with the names of nftables.
    CtState,
    /// Zone of the packet's connection.
    CtZone,
    /// Configured name of the source's network.
    SourceNetworkName,
    /// Configured name of the destination's network.
    DestinationNetworkName,
    /// Name of the first list that has the remote end.
    List,
}

impl Dimension {
    /// All dimensions, in the order of the documentation.
    pub const ALL: [Self; 23] = [
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
        Self::Host,
        Self::CtState,
        Self::CtZone,
        Self::SourceNetworkName,
        Self::DestinationNetworkName,
        Self::List,
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
            Self::Host => "host",
            Self::CtState => "ct_state",
            Self::CtZone => "ct_zone",
            Self::SourceNetworkName => "source_network_name",
            Self::DestinationNetworkName => "destination_network_name",
            Self::List => "list",
        }
    }

    /// Typical number of values, for which a rung of the ladder reserves room. Unlimited if an attacker can choose the
    /// value.
    #[must_use]
    pub fn usual_values(self) -> usize {
        match self {
            Self::Network | Self::Port | Self::SourcePort => usize::MAX,
            Self::Asn => 1000,
            // `private` and `unknown` are two more.
            Self::Country => CountryId::COUNT + 2,
            Self::Prefix
            | Self::Mark
            | Self::Uid
            | Self::IcmpType
            | Self::TcpFlags
            | Self::CtZone
            | Self::SourceNetworkName
            | Self::DestinationNetworkName
            | Self::List
            | Self::Host => 16,
            Self::InInterface | Self::OutInterface | Self::Continent => 8,
            Self::Hook => Hook::ALL.len(),
            Self::Proto => 4,
            Self::Direction => Direction::ALL.len(),
            Self::CtState => ConnectionState::ALL.len(),
            Self::IpVersion => 2,
        }
    }

    /// The id of the name that a value of this dimension refers to, if any.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number is from `value`, so it is an id"
    )]
    pub fn name_id(self, value: u64) -> Option<NameId> {
        let is_name = matches!(
            self,
            Self::Prefix
                | Self::InInterface
                | Self::OutInterface
                | Self::Host
                | Self::SourceNetworkName
                | Self::DestinationNetworkName
                | Self::List
        );
        (is_name && value != OTHER && value != ABSENT).then(|| NameId::from_index(value as u16))
    }

    /// The dimension with this name.
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

#[cfg(test)]
mod tests;
