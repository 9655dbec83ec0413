//! Decodes the bytes of a packet: addresses, protocol, ports, flags, length. Uses no other module of the crate.

mod decode;
mod direction;
pub mod protocol;
mod services;

pub use decode::decode;
pub use direction::{Direction, remote_end};
pub use services::service_name;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The decoded headers of one IP packet. Fixed size, no borrow.
///
/// A truncated packet is an ordinary value: the fields that could be read are set, and [`Headers::issue`] says
/// why the others are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source and destination; `None` if the IP header could not be read.
    pub addresses: Option<Addresses>,
    /// Upper-layer protocol, after all IPv6 extension headers (IANA protocol number); `None` if it could not
    /// be read.
    pub protocol: Option<u8>,
    /// Length of the packet on the wire in bytes, from the IP header on: the IP total length, not the captured
    /// length. The length before capture if the header has none.
    pub length: u32,
    /// IPv4 time to live or IPv6 hop limit; `None` if unread.
    pub ttl: Option<u8>,
    /// Ports, flags or ICMP type.
    pub transport: Transport,
    /// Why the packet could not be decoded in full; `None` if it was.
    pub issue: Option<DecodeIssue>,
}

impl Headers {
    /// The headers of a packet that is not decoded.
    #[must_use]
    pub fn unread(issue: DecodeIssue, length: u32) -> Self {
        Self {
            addresses: None,
            protocol: None,
            length,
            ttl: None,
            transport: Transport::None,
            issue: Some(issue),
        }
    }
}

/// Source and destination of a packet, of one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4, RFC 791.
    V4 {
        /// The source address.
        source: Ipv4Addr,
        /// The destination address.
        destination: Ipv4Addr,
    },
    /// IPv6, RFC 8200.
    V6 {
        /// The source address.
        source: Ipv6Addr,
        /// The destination address.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// The source address.
    #[must_use]
    pub fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => source.into(),
            Self::V6 { source, .. } => source.into(),
        }
    }

    /// The destination address.
    #[must_use]
    pub fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => destination.into(),
            Self::V6 { destination, .. } => destination.into(),
        }
    }
}

/// The fields of a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// No ports: another protocol, a later fragment, or a header that was not captured.
    None,
    /// UDP (RFC 768), UDP-Lite (RFC 3828), SCTP (RFC 9260), DCCP (RFC 4340), or a TCP header
    /// truncated after its ports.
    Ports {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// TCP, RFC 9293.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// The flag byte: CWR ECE URG ACK PSH RST SYN FIN, from the highest bit to the lowest.
        flags: u8,
    },
    /// ICMP (RFC 792) or ICMPv6 (RFC 4443).
    Icmp {
        /// Message type.
        kind: u8,
        /// Message code.
        code: u8,
    },
}

impl Transport {
    /// Source and destination port, if the protocol has ports.
    #[must_use]
    pub fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Ports { source, destination } | Self::Tcp { source, destination, .. } => {
                Some((source, destination))
            }
            Self::None | Self::Icmp { .. } => None,
        }
    }
}

/// Why a packet could not be decoded in full: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecodeIssue {
    /// Neither IPv4 nor IPv6, such as ARP.
    NotIp,
    /// The captured bytes end before the headers do.
    Truncated,
    /// A header contradicts itself or the packet.
    Malformed,
    /// The packet is a frame of an unsupported link type.
    LinkType,
}

impl DecodeIssue {
    /// All issues, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::NotIp, Self::Truncated, Self::Malformed, Self::LinkType];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::LinkType => "link_type",
        }
    }
}
