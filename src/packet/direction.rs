//! The direction of a packet, and the remote one of its two addresses.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Addresses;

/// The direction of a packet, relative to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Direction {
    /// Received: for this host, or not routed yet.
    In,
    /// Sent by this host.
    Out,
    /// Forwarded through this host.
    Forward,
}

impl Direction {
    /// All directions, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::Forward];

    /// The value of the label `direction`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Forward => "forward",
        }
    }
}

/// The remote end of a packet: the destination of a packet that this host sent, otherwise the source.
#[must_use]
#[inline]
pub fn remote_end(addresses: Addresses, direction: Option<Direction>) -> IpAddr {
    match direction {
        Some(Direction::Out) => addresses.destination(),
        _ => addresses.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_remote_end_is_the_destination_only_of_packets_that_this_host_sent() {
        let [source, destination] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
        let addresses = Addresses::V4 { source, destination };
        for direction in [None, Some(Direction::In), Some(Direction::Forward)] {
            assert_eq!(remote_end(addresses, direction), source, "{direction:?}");
        }
        assert_eq!(remote_end(addresses, Some(Direction::Out)), destination);
    }
}
