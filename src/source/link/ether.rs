//! Ethernet, and the headers between it and an IP packet: tags, PPPoE, PPP, MPLS, LLC.

use super::{Cut, Inner, Layer, be16, be32};

/// `EtherType` of IPv4 (`ETH_P_IP`, `linux/if_ether.h`, as all of these).
pub(super) const IPV4: u16 = 0x0800;
/// `ETH_P_IPV6`
pub(super) const IPV6: u16 = 0x86dd;
/// `ETH_P_8021Q`, `ETH_P_8021AD`, `ETH_P_QINQ1` to `3`: a tag of 4 bytes, its `EtherType` included.
const TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
/// `ETH_P_PPP_SES`
pub(super) const PPPOE_SESSION: u16 = 0x8864;
/// `ETH_P_MPLS_UC`, `ETH_P_MPLS_MC`
const MPLS: [u16; 2] = [0x8847, 0x8848];
/// Maximum value that is a length, followed by LLC (IEEE 802.3). The kernel's `ETH_P_802_2`, its type of such
/// frames, is in that range.
const MAX_LENGTH: u16 = 1500;

/// Maximum number of headers between the link header and the IP header. The kernel's flow dissector stops
/// after 15 (`MAX_FLOW_DISSECT_HDRS`), and counts a stack of MPLS labels as one.
const MAX_HEADERS: usize = 32;

/// The header at the next byte.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The header of this `EtherType`.
    Type(u16),
    /// LLC, IEEE 802.2.
    Llc,
    /// The protocol field of PPP, RFC 1661.
    Ppp,
    /// An entry of a label stack, RFC 3032.
    Label,
}

impl Next {
    /// The header after a field that is an `EtherType` or a length.
    fn announced(type_or_length: u16) -> Self {
        if type_or_length <= MAX_LENGTH { Self::Llc } else { Self::Type(type_or_length) }
    }
}

/// Parses from the header that `type_or_length` describes to the IP header.
///
/// # Errors
/// [`Cut`]: the bytes end within a header.
#[inline]
pub(in crate::source) fn network_layer(
    type_or_length: u16,
    bytes: &[u8],
) -> Result<Inner<'_>, Cut> {
    // The most frequent case: no header in between.
    if type_or_length == IPV4 || type_or_length == IPV6 {
        return Ok(Inner::of_type(type_or_length, bytes));
    }
    walk(Next::announced(type_or_length), bytes)
}

/// Parses from LLC to the IP header.
pub(super) fn llc(bytes: &[u8]) -> Result<Inner<'_>, Cut> {
    walk(Next::Llc, bytes)
}

/// Parses from PPP to the IP header. Address and control field are optional (RFC 1662).
pub(super) fn ppp(bytes: &[u8]) -> Result<Inner<'_>, Cut> {
    match bytes {
        [0xff] => Err(Cut),
        [0xff, 0x03, bytes @ ..] => walk(Next::Ppp, bytes),
        _ => walk(Next::Ppp, bytes),
    }
}

fn walk(mut next: Next, mut bytes: &[u8]) -> Result<Inner<'_>, Cut> {
    for _ in 0..MAX_HEADERS {
        let header = match next {
            Next::Type(kind @ (IPV4 | IPV6)) => return Ok(Inner::of_type(kind, bytes)),
            Next::Type(kind) if TAGS.contains(&kind) => {
                next = Next::announced(be16(bytes, 2)?);
                4
            }
            // RFC 2516: version and type (1), code (1), session (2), length (2).
            Next::Type(PPPOE_SESSION) => {
                next = Next::Ppp;
                6
            }
            Next::Type(kind) if MPLS.contains(&kind) => {
                next = Next::Label;
                0
            }
            Next::Type(_) => return Ok(Inner::not_ip(bytes)),
            Next::Llc => {
                let (after, header) = after_llc(bytes)?;
                next = after;
                header
            }
            Next::Ppp => {
                let (after, header) = after_ppp(bytes)?;
                next = after;
                header
            }
            // Label (20 bits), traffic class (3), bottom of the stack (1), time to live (8).
            Next::Label if be32(bytes, 0)? & 0x100 == 0 => 4,
            // The type of the payload is unknown: an IP packet has its version in the first bits, a pseudowire
            // another number (RFC 4928).
            Next::Label => return Ok(Inner { ether_type: None, payload: &bytes[4..] }),
        };
        bytes = bytes.get(header..).ok_or(Cut)?;
    }
    Ok(Inner::not_ip(bytes))
}

/// The header after LLC, and the length of LLC.
fn after_llc(bytes: &[u8]) -> Result<(Next, usize), Cut> {
    match *bytes {
        // SNAP with the code of Ethernet (RFC 1042) or of a bridge tunnel (IEEE 802.1H).
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low, ..] => {
            Ok((Next::Type(u16::from_be_bytes([high, low])), 8))
        }
        [0xaa, 0xaa, 0x03, _, _, _, _, _, ..] => Ok((NOT_IP, 0)),
        // The SAP of IP itself.
        [0x06, 0x06, 0x03, ..] => Ok((Next::Type(IPV4), 3)),
        [0xaa, 0xaa, 0x03, ..] | [] | [_] | [_, _] => Err(Cut),
        _ => Ok((NOT_IP, 0)),
    }
}

/// The header after the protocol field of PPP, and the length of the field: 1 byte if compressed (RFC 1661).
fn after_ppp(bytes: &[u8]) -> Result<(Next, usize), Cut> {
    let (protocol, length) = match *bytes {
        [low, ..] if low & 1 == 1 => (u16::from(low), 1),
        _ => (be16(bytes, 0)?, 2),
    };
    let next = match protocol {
        0x0021 => Next::Type(IPV4),
        0x0057 => Next::Type(IPV6),
        // RFC 3032, section 4.3.
        0x0281 | 0x0283 => Next::Label,
        _ => NOT_IP,
    };
    Ok((next, length))
}

/// A payload that is not an IP packet.
const NOT_IP: Next = Next::Type(u16::MAX);

/// An Ethernet header: destination (6), source (6), a switch tag of `tag` bytes, type or length (2).
pub(super) fn ethernet(data: &[u8], tag: usize) -> Result<Layer<'_>, Cut> {
    let hardware_address = data.get(6..12).ok_or(Cut)?;
    let type_or_length = be16(data, 12 + tag)?;
    let inner = network_layer(type_or_length, &data[14 + tag..])?;
    Ok(Layer { hardware_address, ..Layer::of(inner) })
}

/// A frame logged on egress, of which the kernel reports only the type. It has an Ethernet header if the type
/// in that header is the same and an IP packet follows; frames of tunnel devices have none.
///
/// # Errors
/// [`Cut`]: the bytes end within a header.
pub(in crate::source) fn egress(type_or_length: u16, bytes: &[u8]) -> Result<Inner<'_>, Cut> {
    let bare = || network_layer(type_or_length, bytes);
    if be16(bytes, 12) != Ok(type_or_length) || is_ipv4(type_or_length, bytes) {
        return bare();
    }
    match network_layer(type_or_length, &bytes[14..]) {
        Ok(inner) if !is_plausible(&inner) => bare(),
        reached => reached,
    }
}

/// Whether the version field agrees with the `EtherType`; true if either is unknown.
fn is_plausible(inner: &Inner<'_>) -> bool {
    match (inner.ether_type, inner.payload.first().map(|byte| byte >> 4)) {
        (Some(IPV4), Some(version)) => version == 4,
        (Some(IPV6), Some(version)) => version == 6,
        _ => true,
    }
}

/// Whether the bytes are an IPv4 header with a valid checksum: a source address in 8.0.0.0/16 has the offset
/// and value of the type field of an Ethernet header.
fn is_ipv4(ether_type: u16, bytes: &[u8]) -> bool {
    let Some(&first) = bytes.first().filter(|first| ether_type == IPV4 && **first >> 4 == 4) else {
        return false;
    };
    let Some(header) = bytes.get(..usize::from(first & 0x0f) * 4) else { return false };
    let words =
        header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    header.len() >= 20 && (sum & 0xffff) + (sum >> 16) == 0xffff
}
