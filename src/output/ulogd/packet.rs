//! What ulogd's plugin NFLOG knows of a packet.

use std::sync::Arc;

use super::ip::{IpFields, read_ip};
use crate::{
    event::{Event, Names},
    source::nflog::{Packet, hardware_header},
    system::untrusted_text::is_unsafe,
};

/// `AF_INET`, `AF_INET6` and `AF_BRIDGE`, `linux/socket.h`.
const INET: u8 = 2;
const INET6: u8 = 10;
pub(super) const BRIDGE: u8 = 7;

/// `ETH_P_IP` and `ETH_P_IPV6`, `linux/if_ether.h`.
const ETHER_IP: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;

/// A packet with the fields that ulogd prints.
pub(in crate::output) struct UlogdPacket<'a> {
    /// Microseconds since 1970.
    pub(super) time: u64,
    pub(super) packet: Packet<'a>,
    /// Empty if it has none.
    pub(super) hardware_header: &'a [u8],
    /// As in the rule, with U+FFFD for each character that is not safe to show.
    pub(super) prefix: String,
    pub(super) in_device: Arc<str>,
    pub(super) out_device: Arc<str>,
    pub(super) ip: IpFields,
}

impl<'a> UlogdPacket<'a> {
    /// The packet of an event with names of this table; `None` without a valid message of NFLOG.
    pub(in crate::output) fn new(event: &Event, message: &'a [u8], names: &Names) -> Option<Self> {
        let packet = Packet::read(message).ok()?;
        let prefix = String::from_utf8_lossy(packet.prefix);
        let is_ip = match (packet.family, packet.ether_type) {
            (INET, _) | (BRIDGE, Some(ETHER_IP)) => Some(4),
            (INET6, _) | (BRIDGE, Some(ETHER_IPV6)) => Some(6),
            _ => None,
        };
        Some(Self {
            time: event.time,
            hardware_header: hardware_header(message),
            prefix: prefix.replace(is_unsafe, "\u{fffd}"),
            in_device: names.text(event.in_device),
            out_device: names.text(event.out_device),
            ip: is_ip.map(|version| read_ip(version, packet.payload)).unwrap_or_default(),
            packet,
        })
    }
}
