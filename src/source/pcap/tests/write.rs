//! Writes captures byte by byte, in either byte order.

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

pub(super) const ORDERS: [Order; 2] = [Order::Little, Order::Big];

impl Order {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u64(self, value: u64) -> [u8; 8] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// Magic numbers of pcap.
pub(super) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(super) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(super) const MODIFIED: u32 = 0xa1b2_cd34;

/// A pcap file's header.
pub(super) fn pcap(order: Order, magic: u32, link: u32) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    file.extend([0; 8]);
    file.extend(order.u32(262_144));
    file.extend(order.u32(link));
    file
}

/// A frame of a pcap file at 1 s and `fraction`, which was longer by `more` bytes on the wire.
pub(super) fn pcap_frame(order: Order, fraction: u32, data: &[u8], more: u32) -> Vec<u8> {
    let mut frame = order.u32(1).to_vec();
    frame.extend(order.u32(fraction));
    frame.extend(order.u32(length(data)));
    frame.extend(order.u32(length(data) + more));
    frame.extend(data);
    frame
}

/// A whole pcap file, little-endian, microseconds.
pub(super) fn pcap_file(link: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut file = pcap(Order::Little, MICROSECONDS, link);
    for data in frames {
        file.extend(pcap_frame(Order::Little, 5, data, 0));
    }
    file
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Any pcapng block.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let body = padded(body);
    let mut block = order.u32(kind).to_vec();
    block.extend(order.u32(length(&body) + 12));
    block.extend(&body);
    block.extend(order.u32(length(&body) + 12));
    block
}

/// A pcapng option.
pub(super) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = order.u16(code).to_vec();
    option.extend(order.u16(u16::try_from(value.len()).unwrap()));
    option.extend(padded(value));
    option
}

/// A section header.
pub(super) fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface description.
pub(super) fn interface(order: Order, link: u16, snap_length: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let mut body = order.u16(link).to_vec();
    body.extend([0; 2]);
    body.extend(order.u32(snap_length));
    body.extend(options.concat());
    block(order, 1, &body)
}

/// An enhanced packet block.
pub(super) fn enhanced(
    order: Order,
    interface: u32,
    ticks: u64,
    data: &[u8],
    options: &[Vec<u8>],
) -> Vec<u8> {
    let mut body = order.u32(interface).to_vec();
    body.extend(order.u32(u32::try_from(ticks >> 32).unwrap()));
    body.extend(order.u32(u32::try_from(ticks & 0xffff_ffff).unwrap()));
    body.extend(order.u32(length(data)));
    body.extend(order.u32(length(data)));
    body.extend(padded(data));
    body.extend(options.concat());
    block(order, 6, &body)
}

/// A simple packet block.
pub(super) fn simple(order: Order, original: u32, data: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(original)[..], data].concat())
}

/// An NFLOG attribute.
pub(super) fn attribute(order: Order, kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = order.u16(u16::try_from(value.len() + 4).unwrap()).to_vec();
    attribute.extend(order.u16(kind));
    attribute.extend(padded(value));
    attribute
}
