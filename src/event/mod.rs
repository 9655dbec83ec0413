//! The event: one logged packet as a plain value of fixed size, the input of every consumer.

mod connection;
#[doc(hidden)]
pub mod fixture;
mod interner;
mod name_table;
mod names;

pub use connection::{Connection, ConnectionState};
pub use interner::Interner;
pub use name_table::NameField;
pub use names::{
    CurrentNames, MAX_DEVICES, MAX_HOSTS, MAX_NAMES, MAX_NETWORKS, MAX_PREFIXES, NameId, Names,
    UsedNames, clean,
};

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    geoip::Place,
    packet::{Direction, Headers, remote_end},
};

/// One logged packet: the kernel's metadata, the decoded headers, and the place of the remote end.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Time of the packet, microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// NFLOG group, 0 for captures and kernel log lines.
    pub group: u16,
    /// Host that logged the packet; [`NameId::EMPTY`] for this host.
    pub host: NameId,
    /// The rule's log prefix.
    pub prefix: NameId,
    /// Input device; [`NameId::EMPTY`] for none, [`NameId::OTHER`] if no consumer shows devices.
    pub in_device: NameId,
    /// Output device; as above.
    pub out_device: NameId,
    /// The hook at which the packet was logged.
    pub hook: Option<Hook>,
    /// Direction of the packet.
    pub direction: Option<Direction>,
    /// The firewall mark, 0 for none.
    pub mark: u32,
    /// User id of the local socket that sent the packet.
    pub uid: Option<u32>,
    /// The connection of the packet, if the source knows it.
    pub connection: Option<Connection>,
    /// Hardware address of the sender.
    pub hardware_address: HardwareAddress,
    /// Bytes of the packet that the kernel copied; of a line of the kernel log, the length of the packet.
    pub captured_length: u32,
    /// The decoded headers.
    pub headers: Headers,
    /// Country and autonomous system of the remote end.
    pub place: Place,
    /// Configured name of the source's network; [`NameId::EMPTY`] for none.
    pub source_network: NameId,
    /// Configured name of the destination's network; as above.
    pub destination_network: NameId,
    /// Name of the first list that has the remote end; as above.
    pub list: NameId,
}

impl Event {
    /// The remote end, to which [`Self::place`] belongs; `None` if the IP header could not be read.
    #[must_use]
    pub fn remote(&self) -> Option<IpAddr> {
        self.headers.addresses.map(|addresses| remote_end(addresses, self.direction))
    }
}

/// A link-layer address of up to 8 bytes, as `struct nfulnl_msg_packet_hw` carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardwareAddress {
    bytes: [u8; 8],
    length: u8,
}

impl HardwareAddress {
    /// Stores at most the first 8 bytes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the length is at most 8")]
    pub fn new(address: &[u8]) -> Self {
        let mut bytes = [0; 8];
        let length = address.len().min(bytes.len());
        bytes[..length].copy_from_slice(&address[..length]);
        Self { bytes, length: length as u8 }
    }

    /// The bytes; empty if the packet had no hardware address.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Serialize for HardwareAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HardwareAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self::new)
    }
}

/// The netfilter hook at which a packet was logged.
///
/// The numbers are those of `enum nf_inet_hooks` (`linux/netfilter.h`), followed by the two hooks of the
/// family netdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Hook {
    /// `NF_INET_PRE_ROUTING`
    Prerouting,
    /// `NF_INET_LOCAL_IN`
    Input,
    /// `NF_INET_FORWARD`
    Forward,
    /// `NF_INET_LOCAL_OUT`
    Output,
    /// `NF_INET_POST_ROUTING`
    Postrouting,
    /// `NF_NETDEV_INGRESS`, also `NF_INET_INGRESS`
    Ingress,
    /// `NF_NETDEV_EGRESS`
    Egress,
}

impl Hook {
    /// All hooks, in the order of their numbers here.
    pub const ALL: [Self; 7] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
        Self::Ingress,
        Self::Egress,
    ];

    /// The hook's name in nftables: the value of the label `hook`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every packet is copied into three consumers, and the mirror's queue holds 131,072 of them.
    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 152, "{} bytes", size_of::<Event>());
    }
}
