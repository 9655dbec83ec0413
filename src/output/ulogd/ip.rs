//! Reads IP and transport headers as ulogd does: a header that was not captured in full has no field, fields of IPv4 packets
//! are read in every fragment, and of IPv6 only in the first one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::protocol;

const NO_NEXT_HEADER: u8 = 59;

/// The fields of a packet. A field that ulogd does not set is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct IpFields {
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    /// The key `ip.protocol`: of IPv6, the last header of a packet that is whole, or of its first fragment.
    pub(super) protocol: Option<u8>,
    pub(super) header: IpHeader,
    pub(super) transport: TransportFields,
}

/// The fields of one version.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum IpHeader {
    /// Neither version.
    #[default]
    None,
    /// IPv4; `None` if the packet ends with its header or before.
    V4(Option<V4Fields>),
    /// IPv6; `None` if its header is not whole.
    V6(Option<V6Fields>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct V4Fields {
    pub(super) tos: u8,
    pub(super) ttl: u8,
    pub(super) total_length: u16,
    pub(super) header_words: u8,
    pub(super) checksum: u16,
    pub(super) id: u16,
    /// Flags and offset, RFC 791.
    pub(super) fragment: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct V6Fields {
    pub(super) payload_length: u16,
    pub(super) traffic_class: u8,
    pub(super) flow_label: u32,
    pub(super) hop_limit: u8,
    /// The last header that was found; `None` if the extension headers are not whole.
    pub(super) next_header: Option<u8>,
    /// Offset in bytes, and identification.
    pub(super) fragment: Option<(u16, u32)>,
}

/// The fields of a transport header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum TransportFields {
    /// Another protocol, or a header that is not whole.
    #[default]
    None,
    Tcp(TcpFields),
    Udp {
        source: u16,
        destination: u16,
        length: u16,
        checksum: u16,
    },
    Sctp {
        source: u16,
        destination: u16,
        checksum: u32,
    },
    Icmp(IcmpFields),
    Icmpv6(IcmpFields),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct TcpFields {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) window: u16,
    /// The reserved bits: four, and the two that ECN uses.
    pub(super) reserved: (u8, u8),
    pub(super) flags: u8,
    pub(super) checksum: u16,
    pub(super) urgent: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct IcmpFields {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The four bytes after the checksum.
    pub(super) rest: [u8; 4],
    /// In this host's byte order, unlike the other numbers.
    pub(super) checksum: u16,
}

/// Reads a packet of an IP version.
pub(super) fn read_ip(version: u8, bytes: &[u8]) -> IpFields {
    match version {
        4 => read_v4(bytes),
        _ => read_v6(bytes),
    }
}

fn read_v4(bytes: &[u8]) -> IpFields {
    let nothing = IpFields { header: IpHeader::V4(None), ..IpFields::default() };
    let Some(header) = bytes.first_chunk::<20>() else { return nothing };
    let words = header[0] & 0xf;
    let Some(rest) = bytes.get(usize::from(words) * 4..).filter(|rest| !rest.is_empty()) else {
        return nothing;
    };
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    IpFields {
        source: Some(address(12).into()),
        destination: Some(address(16).into()),
        protocol: Some(header[9]),
        header: IpHeader::V4(Some(V4Fields {
            tos: header[1],
            ttl: header[8],
            total_length: number(2),
            header_words: words,
            checksum: number(10),
            id: number(4),
            fragment: number(6),
        })),
        transport: match header[9] {
            protocol::ICMP => icmp(rest).map_or(TransportFields::None, TransportFields::Icmp),
            protocol::SCTP => sctp(rest),
            other => tcp_or_udp(other, rest),
        },
    }
}

fn read_v6(bytes: &[u8]) -> IpFields {
    let Some((header, mut rest)) = bytes.split_first_chunk::<40>() else {
        return IpFields { header: IpHeader::V6(None), ..IpFields::default() };
    };
    let address = |at: usize| {
        let bytes: [u8; 16] = header[at..].first_chunk().copied().unwrap_or_default();
        Some(IpAddr::from(Ipv6Addr::from(bytes)))
    };
    let flow = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let mut fields = V6Fields {
        payload_length: u16::from_be_bytes([header[4], header[5]]),
        traffic_class: u8::try_from(flow >> 20 & 0xff).unwrap_or_default(),
        flow_label: flow & 0xf_ffff,
        hop_limit: header[7],
        next_header: None,
        fragment: None,
    };
    let mut next = header[6];
    let mut protocol = None;
    let mut transport = TransportFields::None;
    if skip_extensions(&mut next, &mut rest, &mut fields.fragment) {
        fields.next_header = Some(next);
        let is_later = fields.fragment.is_some_and(|(offset, _)| offset != 0);
        if !is_later && next != protocol::ESP {
            protocol = Some(next);
            transport = match next {
                protocol::ICMPV6 => {
                    icmp(rest).map_or(TransportFields::None, TransportFields::Icmpv6)
                }
                other => tcp_or_udp(other, rest),
            };
        }
    }
    let header = IpHeader::V6(Some(fields));
    IpFields { source: address(8), destination: address(24), protocol, header, transport }
}

/// Moves behind the extension headers. Returns false if they are not whole.
fn skip_extensions(next: &mut u8, rest: &mut &[u8], fragment: &mut Option<(u16, u32)>) -> bool {
    while *next != NO_NEXT_HEADER {
        let is_later = fragment.is_some_and(|(offset, _)| offset != 0);
        let units = |more: usize, size: usize| Some((usize::from(*rest.get(1)?) + more) * size);
        let length = match *next {
            protocol::FRAGMENT => rest.get(1).map(|_| 8),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS
                if !is_later =>
            {
                units(1, 8)
            }
            protocol::AH | protocol::ESP if !is_later => units(2, 4),
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::AH
            | protocol::ESP => return rest.len() >= 2,
            _ => return true,
        };
        let Some((extension, after)) = length.and_then(|length| rest.split_at_checked(length))
        else {
            return false;
        };
        match *next {
            protocol::ESP => return true,
            protocol::FRAGMENT => {
                let offset = u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8;
                let id = [extension[4], extension[5], extension[6], extension[7]];
                *fragment = Some((offset, u32::from_be_bytes(id)));
            }
            _ => {}
        }
        (*next, *rest) = (extension[0], after);
    }
    true
}

fn tcp_or_udp(number: u8, bytes: &[u8]) -> TransportFields {
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    match number {
        protocol::TCP if bytes.len() >= 20 => TransportFields::Tcp(TcpFields {
            source: word(0),
            destination: word(2),
            sequence: long(4),
            acknowledgement: long(8),
            window: word(14),
            reserved: (bytes[12] & 0xf, bytes[13] >> 6),
            flags: bytes[13],
            checksum: word(16),
            urgent: word(18),
        }),
        protocol::UDP if bytes.len() >= 8 => TransportFields::Udp {
            source: word(0),
            destination: word(2),
            length: word(4),
            checksum: word(6),
        },
        _ => TransportFields::None,
    }
}

fn sctp(bytes: &[u8]) -> TransportFields {
    let Some(header) = bytes.first_chunk::<12>() else { return TransportFields::None };
    TransportFields::Sctp {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
        checksum: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
    }
}

fn icmp(bytes: &[u8]) -> Option<IcmpFields> {
    let header = bytes.first_chunk::<8>()?;
    Some(IcmpFields {
        kind: header[0],
        code: header[1],
        rest: [header[4], header[5], header[6], header[7]],
        checksum: u16::from_ne_bytes([header[2], header[3]]),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), version in 0..8_u8) {
            read_ip(version, &bytes);
        }

        #[test]
        fn no_extension_headers_cause_a_panic(
            first in prop::sample::select(vec![0_u8, 43, 44, 50, 51, 60, 59, 6]),
            bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 43, 44, 50, 51, 60, 6]), 0..80),
        ) {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, first, 64];
            packet.extend([0; 32]);
            packet.extend(bytes);
            read_ip(6, &packet);
        }
    }

    #[test]
    fn a_packet_that_ends_with_its_ip_header_has_no_fields() {
        let mut bytes = [0; 21];
        bytes[0] = 0x45;
        assert_eq!(read_ip(4, &bytes[..20]).header, IpHeader::V4(None));
        assert_eq!(read_ip(4, &bytes).protocol, Some(0));
        assert_eq!(read_ip(6, &bytes).header, IpHeader::V6(None));
    }

    #[test]
    fn an_extension_header_after_a_later_fragment_needs_two_bytes() {
        let next = |rest: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol::FRAGMENT, 64];
            packet.extend([0; 32]);
            packet.extend([protocol::AH, 0, 0x50, 0x20, 0, 0, 0, 1]);
            packet.extend(rest);
            match read_ip(6, &packet).header {
                IpHeader::V6(Some(fields)) => fields.next_header,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([next(&[0]), next(&[0, 0])], [None, Some(protocol::AH)]);
    }
}
