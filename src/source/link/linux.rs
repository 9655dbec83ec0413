//! Link headers of Linux and of serial lines: cooked captures, PPP, Cisco HDLC, IP over `InfiniBand`.

use super::{Cut, Device, Layer, after, be16, be32, chunk, ether};
use crate::packet::Direction;

/// Cooked: packet type (2), device type (2), address length (2), address (8), protocol (2).
pub(super) fn cooked(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let payload = after(data, 16)?;
    let inner = ether::network_layer(be16(data, 14)?, payload)?;
    Ok(Layer {
        hardware_address: address(&data[6..14], be16(data, 4)?.into()),
        direction: Some(direction(be16(data, 0)?)),
        ..Layer::of(inner)
    })
}

/// Cooked, second version: protocol (2), reserved (2), device index (4), device type (2), packet type
/// (1), address length (1), address (8).
pub(super) fn cooked2(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let payload = after(data, 20)?;
    let inner = ether::network_layer(be16(data, 0)?, payload)?;
    Ok(Layer {
        hardware_address: address(&data[12..20], data[11].into()),
        direction: Some(direction(data[10].into())),
        device: Device::Index(be32(data, 4)?),
        ..Layer::of(inner)
    })
}

fn address(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// `PACKET_OUTGOING` (`linux/if_packet.h`) is outbound, all other types are inbound.
fn direction(packet_type: u16) -> Direction {
    if packet_type == 4 { Direction::Out } else { Direction::In }
}

/// Cisco HDLC: address (1), control (1), `EtherType` (2).
pub(super) fn cisco_hdlc(data: &[u8]) -> Result<Layer<'_>, Cut> {
    ether::network_layer(be16(data, 2)?, &data[4..]).map(Layer::of)
}

/// PPP in HDLC-like framing, or Cisco HDLC, which has other addresses (RFC 1547, section 4.3.1).
pub(super) fn ppp_or_cisco_hdlc(data: &[u8]) -> Result<Layer<'_>, Cut> {
    match chunk(data, 0)? {
        [0x0f | 0x8f] => cisco_hdlc(data),
        [_] => ether::ppp(data).map(Layer::of),
    }
}

/// PPP after a direction byte: 0 for received packets.
pub(super) fn ppp_with_direction(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let [flag] = chunk(data, 0)?;
    let direction = Some(if flag == 0 { Direction::In } else { Direction::Out });
    Ok(Layer { direction, ..Layer::of(ether::ppp(&data[1..])?) })
}

/// PPP of pppd: its address byte is 0 for received packets, 1 for sent ones.
pub(super) fn ppp_pppd(data: &[u8]) -> Result<Layer<'_>, Cut> {
    match chunk(data, 0)? {
        [flag @ (0 | 1), 0x03] => {
            let direction = Some(if flag == 0 { Direction::In } else { Direction::Out });
            Ok(Layer { direction, ..Layer::of(ether::ppp(&data[2..])?) })
        }
        _ => ether::ppp(data).map(Layer::of),
    }
}

/// IP over `InfiniBand`: routing header (40), `EtherType` (2), reserved (2); RFC 4391, section 6.
pub(super) fn infiniband(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let payload = after(data, 44)?;
    ether::network_layer(be16(data, 40)?, payload).map(Layer::of)
}
