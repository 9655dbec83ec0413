//! Facts out of a packet's bytes: addresses, protocol, ports, flags, length. Knows nothing of the rest of the crate.

mod decode;
mod direction;
pub mod protocol;

pub use decode::decode;
pub use direction::{Direction, remote_end};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What could be read of one IP packet. Fixed size, no borrow.
///
/// A truncated packet is an ordinary value: what could be read is here, and [`Headers::issue`] says
/// why the rest is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source and destination; `None` when the IP header itself could not be read.
    pub addresses: Option<Addresses>,
    /// The number of the upper-layer protocol, behind all IPv6 extension headers (IANA protocol
    /// numbers); `None` when it could not be reached.
    pub protocol: Option<u8>,
    /// Bytes of the packet on the wire from its IP header on: the IP total length, not what was
    /// captured. The captured length where the header carries none.
    pub length: u32,
    /// IPv4 time to live or IPv6 hop limit; 0 when unread.
    pub ttl: u8,
    /// What the transport header says.
    pub transport: Transport,
    /// Why the packet could not be read in full; `None` for a packet that was.
    pub issue: Option<DecodeIssue>,
}

impl Headers {
    /// The headers of a packet of which nothing is read.
    #[must_use]
    pub fn unread(issue: DecodeIssue, length: u32) -> Self {
        Self {
            addresses: None,
            protocol: None,
            length,
            ttl: 0,
            transport: Transport::None,
            issue: Some(issue),
        }
    }
}

/// The two ends of a packet, of one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4, RFC 791.
    V4 {
        /// Who sent the packet.
        source: Ipv4Addr,
        /// Whom it is for.
        destination: Ipv4Addr,
    },
    /// IPv6, RFC 8200.
    V6 {
        /// Who sent the packet.
        source: Ipv6Addr,
        /// Whom it is for.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// Who sent the packet.
    #[must_use]
    pub fn source(self) -> IpAddr {
        match self {
            Self::V4 { source, .. } => source.into(),
            Self::V6 { source, .. } => source.into(),
        }
    }

    /// Whom the packet is for.
    #[must_use]
    pub fn destination(self) -> IpAddr {
        match self {
            Self::V4 { destination, .. } => destination.into(),
            Self::V6 { destination, .. } => destination.into(),
        }
    }
}

/// What the transport header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// No ports: another protocol, a later fragment, or a header that was not captured.
    None,
    /// UDP (RFC 768), UDP-Lite (RFC 3828), SCTP (RFC 9260), DCCP (RFC 4340), or a TCP header cut
    /// behind its ports.
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
    /// Source port and destination port, where the protocol has them.
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

/// Why a packet could not be read in full: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecodeIssue {
    /// Neither IPv4 nor IPv6 (ARP, for one).
    NotIp,
    /// The capture ends before the headers do.
    Truncated,
    /// A header contradicts itself or the packet.
    Malformed,
    /// A frame of a capture, of a link type that is not supported.
    LinkType,
}

impl DecodeIssue {
    /// Every issue, in the order of their numbers.
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
