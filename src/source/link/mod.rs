//! Parses link layers, from the first byte of a frame to its IP packet, for NFLOG and captures.
//!
//! Layouts follow <https://www.tcpdump.org/linktypes.html>. Bytes are untrusted: parsers only advance, over a
//! bounded number of headers, and copy nothing.

mod bsd;
mod ether;
mod link_type;
mod link_type_names;
mod linux;
#[cfg(test)]
mod tests;
mod wlan;

pub(in crate::source) use ether::{egress, network_layer};
pub(in crate::source) use link_type::{LinkType, NamedLinkType};

use crate::packet::Direction;

/// The bytes end within a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Cut;

/// The IP packet of a frame cannot be located.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum LinkError {
    /// The frame ends within a header.
    Cut,
    /// The frame contains another one of an unsupported link type.
    LinkType(u32),
}

impl From<Cut> for LinkError {
    fn from(Cut: Cut) -> Self {
        Self::Cut
    }
}

/// The network-layer packet of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Inner<'a> {
    /// Its `EtherType`; `None` if only its version field is known.
    pub(in crate::source) ether_type: Option<u16>,
    /// Its bytes: the rest of the frame.
    pub(in crate::source) payload: &'a [u8],
}

impl<'a> Inner<'a> {
    fn of_type(ether_type: u16, payload: &'a [u8]) -> Self {
        Self { ether_type: Some(ether_type), payload }
    }

    /// A payload that is not an IP packet.
    fn not_ip(payload: &'a [u8]) -> Self {
        Self::of_type(NOT_IP, payload)
    }
}

/// An `EtherType` that is not assigned.
const NOT_IP: u16 = 0;

/// The packet of a frame, and the fields of the headers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Layer<'a> {
    /// The packet.
    pub(in crate::source) inner: Inner<'a>,
    /// Hardware address of the sender, at most 8 bytes; empty for none.
    pub(in crate::source) hardware_address: &'a [u8],
    /// Direction of the frame, if a header has it.
    pub(in crate::source) direction: Option<Direction>,
    /// The capturing device.
    pub(in crate::source) device: Device<'a>,
}

impl<'a> Layer<'a> {
    /// A layer whose headers have no further fields.
    fn of(inner: Inner<'a>) -> Self {
        Self { inner, hardware_address: &[], direction: None, device: Device::Unknown }
    }
}

/// The capturing device according to a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Device<'a> {
    /// Not in the header.
    Unknown,
    /// Its name.
    Name(&'a str),
    /// Its index on the capturing host.
    Index(u32),
}

impl<'a> Device<'a> {
    /// The name in a field of fixed length, up to its NUL.
    fn named(field: &'a [u8]) -> Self {
        let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
        match str::from_utf8(name) {
            Ok(name) if !name.is_empty() => Self::Name(name),
            _ => Self::Unknown,
        }
    }
}

/// Maximum nesting of headers that contain a frame of another link type. No tool nests them.
const MAX_WRAPPERS: usize = 4;

/// Locates the packet in a frame of this link type.
pub(in crate::source) fn decode(link: LinkType, data: &[u8]) -> Result<Layer<'_>, LinkError> {
    let mut outer = Layer::of(Inner::not_ip(data));
    let (mut link, mut data) = (link, data);
    for _ in 0..MAX_WRAPPERS {
        let wrapped = match link {
            LinkType::Pktap => bsd::pktap(data)?,
            LinkType::Ppi => wlan::ppi(data)?,
            _ => {
                let layer = decode_plain(link, data)?;
                return Ok(Layer {
                    direction: layer.direction.or(outer.direction),
                    device: match layer.device {
                        Device::Unknown => outer.device,
                        device => device,
                    },
                    ..layer
                });
            }
        };
        let Some(number) = wrapped.link else { return Ok(wrapped.layer) };
        link = LinkType::from_number(number).ok_or(LinkError::LinkType(number))?;
        data = wrapped.layer.inner.payload;
        outer = wrapped.layer;
    }
    Ok(outer)
}

/// A header that contains a frame and its link type.
struct Wrapped<'a> {
    /// The fields of the header; its payload is the frame.
    layer: Layer<'a>,
    /// Number of the link type; `None` if no frame follows.
    link: Option<u32>,
}

fn decode_plain(link: LinkType, data: &[u8]) -> Result<Layer<'_>, LinkError> {
    let layer = match link {
        LinkType::Loopback => bsd::loopback(data),
        LinkType::Ethernet => ether::ethernet(data, 0),
        LinkType::Raw => Ok(Layer::of(Inner { ether_type: None, payload: data })),
        LinkType::Ipv4 => Ok(Layer::of(Inner::of_type(ether::IPV4, data))),
        LinkType::Ipv6 => Ok(Layer::of(Inner::of_type(ether::IPV6, data))),
        LinkType::Ppp => ether::ppp(data).map(Layer::of),
        LinkType::PppHdlc => linux::ppp_or_cisco_hdlc(data),
        LinkType::PppEthernet => network_layer(ether::PPPOE_SESSION, data).map(Layer::of),
        LinkType::PppWithDirection => linux::ppp_with_direction(data),
        LinkType::PppPppd => linux::ppp_pppd(data),
        LinkType::CiscoHdlc => linux::cisco_hdlc(data),
        LinkType::Wlan => wlan::wlan(data, false),
        LinkType::Radiotap => wlan::radiotap(data),
        LinkType::Prism => wlan::prism(data),
        LinkType::Avs => wlan::avs(data),
        LinkType::Cooked => linux::cooked(data),
        LinkType::Cooked2 => linux::cooked2(data),
        LinkType::Enc => bsd::enc(data),
        LinkType::Pflog => bsd::pflog(data),
        LinkType::Ipnet => bsd::ipnet(data),
        LinkType::InfiniBand => linux::infiniband(data),
        LinkType::SwitchTag(length) => ether::ethernet(data, length.into()),
        LinkType::SwitchTagBefore(length) => {
            data.get(length.into()..).ok_or(Cut).and_then(|data| ether::ethernet(data, 0))
        }
        // NFLOG attributes are parsed by `pcap::nflog`.
        LinkType::Nflog | LinkType::Pktap | LinkType::Ppi => {
            return Err(LinkError::LinkType(link.number()));
        }
    };
    Ok(layer?)
}

/// The big-endian number at offset `at`.
fn be16(bytes: &[u8], at: usize) -> Result<u16, Cut> {
    chunk(bytes, at).map(u16::from_be_bytes)
}

/// The big-endian number at offset `at`.
fn be32(bytes: &[u8], at: usize) -> Result<u32, Cut> {
    chunk(bytes, at).map(u32::from_be_bytes)
}

/// The little-endian number at offset `at`.
fn le16(bytes: &[u8], at: usize) -> Result<u16, Cut> {
    chunk(bytes, at).map(u16::from_le_bytes)
}

/// The little-endian number at offset `at`.
fn le32(bytes: &[u8], at: usize) -> Result<u32, Cut> {
    chunk(bytes, at).map(u32::from_le_bytes)
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Cut> {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or(Cut)
}

/// The bytes after a header of this length.
fn after(bytes: &[u8], length: usize) -> Result<&[u8], Cut> {
    bytes.get(length..).ok_or(Cut)
}
