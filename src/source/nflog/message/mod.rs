//! Parses NFLOG messages in place: a walk over a datagram's bytes without copies.

mod connection;
mod layouts;

use std::ffi::CStr;

use crate::{
    event::{Connection, ConnectionState, Hook},
    netlink,
    packet::Direction,
    source::{
        Record,
        link::{self, Inner},
    },
};

pub(in crate::source) use connection::zone;

pub use crate::netlink::Malformed;
use layouts::Layouts;

/// One logged packet: `struct nfgenmsg` and the attributes after it.
///
/// Numbers are 0 and slices empty for attributes that the message does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// `NFPROTO_…` of the chain that logged the packet.
    pub family: u8,
    /// NFLOG group.
    pub group: u16,
    /// Outermost `EtherType` of the payload: for example that of a VLAN tag or of PPPoE.
    pub ether_type: Option<u16>,
    /// Number of the hook; its meaning depends on the family, see [`Packet::hook`].
    pub hook_number: Option<u8>,
    /// The rule's log prefix, up to its NUL; untrusted bytes.
    pub prefix: &'a [u8],
    /// The firewall mark.
    pub mark: u32,
    /// Index of the input device; the bridge's for a bridged packet.
    pub in_index: u32,
    /// Index of the output device; the bridge's for a bridged packet.
    pub out_index: u32,
    /// Index of the input bridge port.
    pub physical_in_index: u32,
    /// Index of the output bridge port.
    pub physical_out_index: u32,
    /// Hardware address of the sender, at most 8 bytes.
    pub hardware_address: &'a [u8],
    /// `ARPHRD_…` of the input device.
    pub hardware_type: Option<u16>,
    /// Length of the link-layer header before the payload, bytes.
    pub hardware_header_length: u16,
    /// User id of the sending local socket.
    pub uid: Option<u32>,
    /// Group id of the sending local socket.
    pub gid: Option<u32>,
    /// `enum ip_conntrack_info`: what the packet is to its connection.
    pub connection_info: Option<u32>,
    /// Zone of the packet's connection.
    pub connection_zone: Option<u16>,
    /// Microseconds since 1970-01-01 UTC.
    pub time: Option<u64>,
    /// Sequence number within the group: a gap means lost packets.
    pub sequence: Option<u32>,
    /// The copied bytes of the packet: from the link-layer header on if logged on egress, otherwise from the
    /// header that [`Packet::ether_type`] names.
    pub payload: &'a [u8],
    /// The whole message, from `struct nfgenmsg` on: a frame of link type NFLOG. Empty unless [`walk`] passed the packet.
    pub message: &'a [u8],
}

/// Result of a walk over one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkSummary {
    /// Packets passed to the callback.
    pub packets: u32,
    /// Messages that could not be parsed.
    pub malformed: u32,
    /// The last acknowledgement of a request: its sequence number, and an `errno`, 0 for success.
    pub acknowledgement: Option<(u32, i32)>,
}

/// Passes each packet of a netlink datagram to `take`; skips all other messages. Creates the memory of a [`Walk`], which is
/// faster for many datagrams.
pub fn walk<'a>(datagram: &'a [u8], take: impl FnMut(&Packet<'a>)) -> WalkSummary {
    Walk::default().datagram(datagram, take)
}

/// A walk over one datagram after the other.
#[derive(Debug, Default)]
pub struct Walk(Layouts);

impl Walk {
    /// Passes each packet of a netlink datagram to `take`; skips all other messages.
    pub fn datagram<'a>(
        &mut self,
        datagram: &'a [u8],
        mut take: impl FnMut(&Packet<'a>),
    ) -> WalkSummary {
        let mut summary = WalkSummary::default();
        // Overwritten by each message: returning a value of this size costs as much as parsing it.
        let mut packet = Packet::default();
        for message in netlink::messages(datagram) {
            let Ok(message) = message else {
                summary.malformed += 1;
                break;
            };
            if message.kind != PACKET {
                let acknowledgement = message.acknowledgement().map(|it| (it.sequence, it.error));
                summary.acknowledgement = acknowledgement.or(summary.acknowledgement);
                continue;
            }
            if self.0.read(message.body, &mut packet).is_ok() {
                summary.packets += 1;
                packet.message = message.body;
                take(&packet);
            } else {
                summary.malformed += 1;
            }
        }
        summary
    }
}

impl<'a> Packet<'a> {
    /// Parses `struct nfgenmsg` (family u8, version u8, group u16 big endian) and the attributes after it:
    /// the body of a netlink message, or a record of a capture file of link type NFLOG (239). Lengths and
    /// types of attributes are in this host's byte order.
    ///
    /// # Errors
    /// A length that exceeds the message, or a value too short for its type.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut packet = Self::default();
        packet.fill(bytes)?;
        Ok(packet)
    }

    /// As [`Self::read`]; overwrites this packet.
    #[inline]
    fn fill(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        let ([family, _version, group @ ..], rest) =
            bytes.split_first_chunk::<4>().ok_or(Malformed)?;
        let group = u16::from_be_bytes(*group);
        *self = Self { family: *family, group, ..Self::default() };
        for attribute in netlink::attributes(rest) {
            let (kind, value) = attribute?;
            self.set_attribute(kind, value)?;
        }
        Ok(())
    }

    #[inline]
    pub(in crate::source) fn set_attribute(
        &mut self,
        kind: u16,
        value: &'a [u8],
    ) -> Result<(), Malformed> {
        match kind {
            PACKET_HEADER => {
                let [e0, e1, hook, _] = start(value)?;
                self.ether_type = Some(u16::from_be_bytes([e0, e1])).filter(|kind| *kind != 0);
                self.hook_number = Some(hook);
            }
            MARK => self.mark = number(value)?,
            TIMESTAMP => self.time = time(value)?,
            IN_INDEX => self.in_index = number(value)?,
            OUT_INDEX => self.out_index = number(value)?,
            PHYSICAL_IN_INDEX => self.physical_in_index = number(value)?,
            PHYSICAL_OUT_INDEX => self.physical_out_index = number(value)?,
            HARDWARE_ADDRESS => {
                // `struct nfulnl_msg_packet_hw`: length u16, padding, 8 bytes of address.
                let ([l0, l1, _, _], address) = value.split_first_chunk::<4>().ok_or(Malformed)?;
                let length = usize::from(u16::from_be_bytes([*l0, *l1])).min(8);
                self.hardware_address = address.get(..length).ok_or(Malformed)?;
            }
            PAYLOAD => self.payload = value,
            PREFIX => {
                self.prefix =
                    CStr::from_bytes_until_nul(value).map_or(value, |prefix| prefix.to_bytes());
            }
            UID => self.uid = Some(number(value)?),
            SEQUENCE => self.sequence = Some(number(value)?),
            GID => self.gid = Some(number(value)?),
            CONNECTION => self.connection_zone = Some(native_zone(value)),
            CONNECTION_INFO => self.connection_info = Some(number(value)?),
            HARDWARE_TYPE => self.hardware_type = Some(u16::from_be_bytes(start(value)?)),
            HARDWARE_LENGTH => self.hardware_header_length = u16::from_be_bytes(start(value)?),
            _ => {}
        }
        Ok(())
    }

    /// The netfilter hook that logged the packet.
    #[must_use]
    pub fn hook(&self) -> Option<Hook> {
        Some(match (self.family, self.hook_number?) {
            (FAMILY_NETDEV, 0) => Hook::Ingress,
            (FAMILY_NETDEV, 1) => Hook::Egress,
            (FAMILY_ARP, 0) => Hook::Input,
            (FAMILY_ARP, 1) => Hook::Output,
            // 5 is `NF_BR_BROUTING` in the bridge family, and ingress in the others.
            (FAMILY_NETDEV, _) | (FAMILY_BRIDGE, 5) => return None,
            (_, 0) => Hook::Prerouting,
            (_, 1) => Hook::Input,
            (_, 2) => Hook::Forward,
            (_, 3) => Hook::Output,
            (_, 4) => Hook::Postrouting,
            (_, 5) => Hook::Ingress,
            _ => return None,
        })
    }

    /// Direction of a packet that was logged at this hook. In postrouting, a packet with an input device is forwarded.
    fn direction(&self, hook: Hook) -> Direction {
        match hook {
            Hook::Output | Hook::Egress => Direction::Out,
            Hook::Postrouting if self.in_index == 0 => Direction::Out,
            Hook::Postrouting | Hook::Forward => Direction::Forward,
            Hook::Prerouting | Hook::Input | Hook::Ingress => Direction::In,
        }
    }

    /// The connection of the packet. The kernel sends it on request, and not for a packet without a connection: one that
    /// `nft` calls invalid or untracked, or that was logged before it was tracked.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        let state = self.connection_info.and_then(ConnectionState::from_info);
        let tracked = self.connection_info.is_some() || self.connection_zone.is_some();
        tracked.then(|| Connection { state, zone: self.connection_zone.unwrap_or_default() })
    }

    /// Indexes of the input and the output device, 0 for none. Without a bridge's index, the index of the
    /// bridge port is used.
    #[must_use]
    pub fn device_indexes(&self) -> (u32, u32) {
        let or = |index, physical| if index == 0 { physical } else { index };
        (or(self.in_index, self.physical_in_index), or(self.out_index, self.physical_out_index))
    }

    /// The packet from its IP header on, and its `EtherType`. In the bridge and netdev families, tags, PPPoE
    /// or MPLS may precede it; on egress the Ethernet header does, without an attribute that says so.
    #[inline]
    fn network_layer(&self) -> Inner<'a> {
        match self.ether_type {
            Some(kind) if self.family == FAMILY_NETDEV && self.hook() == Some(Hook::Egress) => {
                link::egress(kind, self.payload)
            }
            Some(kind) => link::network_layer(kind, self.payload),
            None => Ok(Inner { ether_type: None, payload: self.payload }),
        }
        // Truncated within a header: there is no payload.
        .unwrap_or(Inner { ether_type: None, payload: &[] })
    }

    /// The captured bytes of the packet from its IP header on; empty if they end before it.
    #[must_use]
    pub fn network_payload(&self) -> &'a [u8] {
        self.network_layer().payload
    }

    /// The packet as a [`Record`], with the names of its devices.
    #[must_use]
    pub fn record<'b>(&self, in_device: &'b str, out_device: &'b str) -> Record<'b>
    where
        'a: 'b,
    {
        let Inner { ether_type, payload } = self.network_layer();
        let hook = self.hook();
        Record {
            group: self.group,
            host: &[],
            prefix: self.prefix,
            hook,
            direction: hook.map(|hook| self.direction(hook)),
            ether_type,
            headers: None,
            mark: self.mark,
            in_device,
            out_device,
            hardware_address: self.hardware_address,
            uid: self.uid,
            connection: self.connection(),
            time: self.time,
            payload,
            // An attribute is shorter than 64 KiB.
            wire_length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            message: self.message,
        }
    }
}

/// The link-layer header of the packet in a message, as the output plugins of ulogd print it; empty if it has none. Not a
/// field of [`Packet`], because no counter needs it.
#[must_use]
pub fn hardware_header(message: &[u8]) -> &[u8] {
    let attributes = message.get(4..).unwrap_or_default();
    let mut headers =
        netlink::attributes(attributes).flatten().filter(|(kind, _)| *kind == HARDWARE_HEADER);
    headers.next().map_or(&[], |(_, header)| header)
}

/// The zone in the attributes of a live message.
fn native_zone(value: &[u8]) -> u16 {
    zone(value, |value| netlink::attributes(value).flatten())
}

/// The first bytes of a value.
#[inline]
fn start<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.first_chunk().copied().ok_or(Malformed)
}

#[inline]
fn number(value: &[u8]) -> Result<u32, Malformed> {
    Ok(u32::from_be_bytes(start(value)?))
}

/// `struct nfulnl_msg_packet_timestamp`: seconds u64, microseconds u64, big endian. `None` if the
/// microseconds since 1970 exceed 64 bits.
#[inline]
fn time(value: &[u8]) -> Result<Option<u64>, Malformed> {
    let whole: [u8; 16] = start(value)?;
    // Both halves have 8 bytes.
    let seconds = u64::from_be_bytes(start(&whole)?);
    let micros = u64::from_be_bytes(start(&whole[8..])?);
    Ok(seconds.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros)))
}

/// `NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET`, `linux/netfilter/nfnetlink.h`.
const PACKET: u16 = 4 << 8;

/// `NFPROTO_ARP`, `linux/netfilter.h`: its hooks are in, out and forward.
const FAMILY_ARP: u8 = 3;
/// `NFPROTO_NETDEV`: its hooks are ingress and egress.
const FAMILY_NETDEV: u8 = 5;
/// `NFPROTO_BRIDGE`: its hooks are those of IP, except for the last.
const FAMILY_BRIDGE: u8 = 7;

// `enum nfulnl_attr_type`, `linux/netfilter/nfnetlink_log.h`.
const PACKET_HEADER: u16 = 1;
const MARK: u16 = 2;
const TIMESTAMP: u16 = 3;
const IN_INDEX: u16 = 4;
const OUT_INDEX: u16 = 5;
const PHYSICAL_IN_INDEX: u16 = 6;
const PHYSICAL_OUT_INDEX: u16 = 7;
const HARDWARE_ADDRESS: u16 = 8;
pub(in crate::source) const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
const UID: u16 = 11;
const SEQUENCE: u16 = 12;
const GID: u16 = 14;
const HARDWARE_TYPE: u16 = 15;
const HARDWARE_HEADER: u16 = 16;
const HARDWARE_LENGTH: u16 = 17;
pub(in crate::source) const CONNECTION: u16 = 18;
const CONNECTION_INFO: u16 = 19;

#[cfg(test)]
mod tests;
