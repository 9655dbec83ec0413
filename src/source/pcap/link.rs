//! Link headers: from a captured frame to the packet behind it (tcpdump.org/linktypes.html).

use super::{
    frame::{DeviceNames, Frame, be16, be32, name_by_index},
    nflog::nflog_record,
};
use crate::{event::Direction, source::Record};

/// `EtherType` of IPv4 (`ETH_P_IP`).
const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6 (`ETH_P_IPV6`).
const IPV6: u16 = 0x86dd;
/// `EtherType` that means neither: for loopback frames of another address family.
const NOT_IP: u16 = 0;
/// 802.1Q, 802.1ad, and the old stacked tag.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Deepest stack of tags that is stepped over.
const MAX_TAGS: usize = 4;
/// `PACKET_OUTGOING` (`linux/if_packet.h`).
const OUTGOING: u16 = 4;
/// The device of cooked captures that stands for all.
const ANY_DEVICE: &str = "any";

/// A link layer that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Address family in 4 bytes, of either byte order: loopback of the BSDs.
    Loopback,
    /// Destination, source, `EtherType`.
    Ethernet,
    /// An IP packet of either version.
    Raw,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// Linux cooked, 16 bytes.
    Cooked,
    /// Linux cooked, second version, 20 bytes.
    Cooked2,
    /// A message of the kernel's packet log.
    Nflog,
}

impl Link {
    /// The link layer of this number.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::Raw,
            113 => Self::Cooked,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            239 => Self::Nflog,
            276 => Self::Cooked2,
            _ => return None,
        })
    }
}

/// The record of a frame. One that is too short for its link header has an empty payload.
pub(super) fn record<'a>(
    frame: &Frame<'a>,
    prefix: &'a [u8],
    devices: &'a mut DeviceNames,
) -> Record<'a> {
    let mut record = Record {
        group: 0,
        prefix,
        hook: None,
        direction: frame.direction,
        ether_type: None,
        mark: 0,
        in_device: "",
        out_device: "",
        hardware_address: &[],
        uid: None,
        time: frame.time,
        payload: &[],
        wire_length: 0,
    };
    let data = frame.data;
    let mut device = frame.device;
    let header = match frame.link {
        None => None,
        Some(Link::Nflog) => return nflog_record(frame, record, devices),
        Some(Link::Loopback) => loopback(data, &mut record),
        Some(Link::Ethernet) => ethernet(data, &mut record),
        Some(Link::Raw) => Some(0),
        Some(Link::Ipv4) => {
            record.ether_type = Some(IPV4);
            Some(0)
        }
        Some(Link::Ipv6) => {
            record.ether_type = Some(IPV6);
            Some(0)
        }
        Some(Link::Cooked) => {
            device = if device == ANY_DEVICE { "" } else { device };
            cooked(data, &mut record)
        }
        Some(Link::Cooked2) => {
            name_by_index(&mut devices.input, be32(data, 4).unwrap_or_default());
            device = &devices.input;
            cooked2(data, &mut record)
        }
    };
    match record.direction {
        Some(Direction::Out) => record.out_device = device,
        _ => record.in_device = device,
    }
    if let Some((header, payload)) = header.and_then(|at| Some((at, data.get(at..)?))) {
        record.payload = payload;
        let whole = usize::try_from(frame.original_length).unwrap_or(usize::MAX).max(data.len());
        record.wire_length = u32::try_from(whole - header).unwrap_or(u32::MAX);
    }
    record
}

/// Address family. This and the next three fill in what their header says and give its length, if
/// all of it is there.
fn loopback(data: &[u8], record: &mut Record<'_>) -> Option<usize> {
    let family = be32(data, 0)?;
    // `AF_INET` is 2 everywhere; `AF_INET6` is 10 in Linux, 24, 28 and 30 in the BSDs.
    record.ether_type = Some(match family.min(family.swap_bytes()) {
        2 => IPV4,
        10 | 24 | 28 | 30 => IPV6,
        _ => NOT_IP,
    });
    Some(4)
}

/// Destination, source, `EtherType`.
fn ethernet<'a>(data: &'a [u8], record: &mut Record<'a>) -> Option<usize> {
    record.hardware_address = data.get(6..12)?;
    untagged(data, be16(data, 12)?, 14, record)
}

/// Packet type, device type, address length, address (8), protocol.
fn cooked<'a>(data: &'a [u8], record: &mut Record<'a>) -> Option<usize> {
    let header = data.first_chunk::<16>()?;
    record.hardware_address = address(&data[6..14], be16(header, 4)?.into());
    record.direction = Some(direction(be16(header, 0)?));
    untagged(data, be16(header, 14)?, 16, record)
}

/// Protocol, reserved, device index (4), device type, packet type (1), address length (1),
/// address (8).
fn cooked2<'a>(data: &'a [u8], record: &mut Record<'a>) -> Option<usize> {
    let header = data.first_chunk::<20>()?;
    record.hardware_address = address(&data[12..20], header[11].into());
    record.direction = Some(direction(header[10].into()));
    untagged(data, be16(header, 0)?, 20, record)
}

fn address(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

fn direction(packet_type: u16) -> Direction {
    if packet_type == OUTGOING { Direction::Out } else { Direction::In }
}

/// Steps over VLAN tags: each is 2 bytes of its own and the next `EtherType`.
fn untagged(
    data: &[u8],
    mut ether_type: u16,
    mut header: usize,
    record: &mut Record<'_>,
) -> Option<usize> {
    for _ in 0..MAX_TAGS {
        if !VLAN_TAGS.contains(&ether_type) {
            break;
        }
        ether_type = be16(data, header + 2)?;
        header += 4;
    }
    record.ether_type = Some(ether_type);
    Some(header)
}
