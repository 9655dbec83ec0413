//! Link headers of the BSDs, macOS and Solaris: loopback, enc, pflog, pktap, ipnet.

use super::{
    Cut, Device, Inner, Layer, NOT_IP, Wrapped, after, be32, chunk,
    ether::{IPV4, IPV6},
    le32,
};
use crate::packet::Direction;

/// Loopback: address family (4), in the byte order of the host.
pub(super) fn loopback(data: &[u8]) -> Result<Layer<'_>, Cut> {
    Ok(family(be32(data, 0)?, after(data, 4)?))
}

/// IPsec before or after its encapsulation: address family (4), SPI (4), flags (4).
pub(super) fn enc(data: &[u8]) -> Result<Layer<'_>, Cut> {
    Ok(family(be32(data, 0)?, after(data, 12)?))
}

/// The packet of an address family in either byte order.
fn family(family: u32, payload: &[u8]) -> Layer<'_> {
    let kind = match family.min(family.swap_bytes()) {
        AF_INET => IPV4,
        10 | 24 | 26 | 28 | 30 => IPV6,
        _ => NOT_IP,
    };
    Layer::of(Inner::of_type(kind, payload))
}

/// `AF_INET` everywhere. `AF_INET6` is 10 in Linux, 26 in Solaris, 24, 28 and 30 in the BSDs.
const AF_INET: u32 = 2;

/// The packet log of pf: `struct pfloghdr` of `net/if_pflog.h`.
pub(super) fn pflog(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let [length, address_family, _action, _reason] = chunk(data, 0)?;
    // On some systems the length excludes the padding.
    let payload = after(data, usize::from(length).next_multiple_of(4))?;
    let header = &data[..usize::from(length)];
    let device = header.get(PFLOG_DEVICE..PFLOG_DEVICE + 16).map_or(Device::Unknown, Device::named);
    let direction = match header.get(PFLOG_DIRECTION) {
        Some(1) => Some(Direction::In),
        Some(2) => Some(Direction::Out),
        _ => None,
    };
    Ok(Layer { direction, device, ..family(address_family.into(), payload) })
}

/// Offset of the device's name.
const PFLOG_DEVICE: usize = 4;
/// Offset of the direction.
const PFLOG_DIRECTION: usize = 60;

/// Apple's header with process information, little-endian: `struct pktap_header` of `net/pktap.h`.
pub(super) fn pktap(data: &[u8]) -> Result<Wrapped<'_>, Cut> {
    let length = usize::try_from(le32(data, 0)?).map_err(|_| Cut)?;
    let device = Device::named(data.get(12..36).ok_or(Cut)?);
    // `PTH_FLAG_DIR_IN`, `PTH_FLAG_DIR_OUT`
    let direction = match le32(data, 36)? & 0b11 {
        0b01 => Some(Direction::In),
        0b10 => Some(Direction::Out),
        _ => None,
    };
    let payload = after(data, length.max(PKTAP_MIN))?;
    // `PTH_TYPE_PACKET`: a frame follows.
    let link = (le32(data, 4)? == 1).then_some(le32(data, 8)?);
    let layer = Layer { direction, device, ..Layer::of(Inner::not_ip(payload)) };
    Ok(Wrapped { layer, link })
}

/// Length of the fields that are read.
const PKTAP_MIN: usize = 40;

/// Solaris: version (1), address family (1), hook (2), length (4), interface (4), group's interface
/// (4), zones of source and destination (8).
pub(super) fn ipnet(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let payload = after(data, 24)?;
    let device = Device::Index(be32(data, 8)?);
    Ok(Layer { device, ..family(data[1].into(), payload) })
}
