//! The decoder: bytes to headers, best effort, layer by layer.

use etherparse::{
    EtherType, Ipv6ExtensionSlice, LaxIpSlice, LenSource,
    err::{ip::LaxHeaderSliceError, ipv6_exts::HeaderSliceError},
    ether_type,
};

use super::{Addresses, Flaw, Headers, Transport, protocol};

/// Offset of the byte that holds a TCP header's length in its upper half (RFC 9293).
const TCP_DATA_OFFSET: usize = 12;

/// Offset of a TCP header's flags.
const TCP_FLAGS: usize = 13;

/// Least length of a TCP header in 32-bit words.
const TCP_LEAST_WORDS: u8 = 5;

/// Reads what can be read of a packet from its IP header on.
///
/// `ether_type` is what the link layer called the payload, where it is known; else the version
/// nibble decides. `wire_length` is the payload's length before it was cut, and stands in where
/// the IP header tells no length.
#[must_use]
pub fn decode(payload: &[u8], ether_type: Option<u16>, wire_length: u32) -> Headers {
    let mut headers = Headers {
        addresses: None,
        protocol: None,
        length: wire_length,
        ttl: 0,
        transport: Transport::None,
        flaw: None,
    };
    let version = payload.first().map(|byte| byte >> 4);
    let known = ether_type.map(EtherType);
    match (known, version) {
        (Some(ether_type::IPV4), Some(4))
        | (Some(ether_type::IPV6), Some(6))
        | (None, Some(4 | 6)) => {}
        (None | Some(ether_type::IPV4 | ether_type::IPV6), None) => {
            headers.flaw = Some(Flaw::Truncated);
            return headers;
        }
        (Some(ether_type::IPV4 | ether_type::IPV6), _) => {
            headers.flaw = Some(Flaw::Malformed);
            return headers;
        }
        _ => {
            headers.flaw = Some(Flaw::NotIp);
            return headers;
        }
    }
    match LaxIpSlice::from_slice(payload) {
        Ok((slice, stop)) => {
            read_ip(&slice, &mut headers);
            match stop {
                None => read_transport(&slice, &mut headers),
                Some((HeaderSliceError::Len(_), _)) => {
                    headers.protocol = None;
                    headers.flaw = Some(short(&slice));
                }
                Some((HeaderSliceError::Content(_), _)) => {
                    headers.protocol = None;
                    headers.flaw = Some(Flaw::Malformed);
                }
            }
        }
        Err(LaxHeaderSliceError::Len(_)) => headers.flaw = Some(Flaw::Truncated),
        Err(LaxHeaderSliceError::Content(_)) => headers.flaw = Some(Flaw::Malformed),
    }
    headers
}

fn read_ip(slice: &LaxIpSlice<'_>, headers: &mut Headers) {
    match slice {
        LaxIpSlice::Ipv4(slice) => {
            let header = slice.header();
            headers.addresses = Some(Addresses::V4 {
                source: header.source_addr(),
                destination: header.destination_addr(),
            });
            headers.ttl = header.ttl();
            let total = u32::from(header.total_len());
            // A segment above 64 KiB that offloading has not cut yet says 0 (BIG TCP).
            if total != 0 {
                headers.length = total;
            }
            if total != 0 && usize::from(header.total_len()) < header.slice().len() {
                headers.flaw = Some(Flaw::Malformed);
            }
        }
        LaxIpSlice::Ipv6(slice) => {
            let header = slice.header();
            headers.addresses = Some(Addresses::V6 {
                source: header.source_addr(),
                destination: header.destination_addr(),
            });
            headers.ttl = header.hop_limit();
            let payload = u32::from(header.payload_length());
            let fixed = u32::try_from(header.slice().len()).unwrap_or(u32::MAX);
            // 0 is a jumbogram (RFC 2675), or a packet that is all header.
            headers.length = if payload == 0 { headers.length.max(fixed) } else { fixed + payload };
        }
    }
    headers.protocol = Some(slice.payload_ip_number().0);
}

fn read_transport(slice: &LaxIpSlice<'_>, headers: &mut Headers) {
    if is_later_fragment(slice) {
        return;
    }
    let bytes = slice.payload().payload;
    let least = match headers.protocol {
        Some(protocol::TCP) => 20,
        Some(protocol::UDP | protocol::UDPLITE | protocol::ICMP) => 8,
        Some(protocol::SCTP | protocol::DCCP) => 12,
        Some(protocol::ICMPV6) => 4,
        _ => return,
    };
    if bytes.len() < least {
        headers.flaw = headers.flaw.or(Some(short(slice)));
    }
    let &[first, second, ref rest @ ..] = bytes else { return };
    if matches!(headers.protocol, Some(protocol::ICMP | protocol::ICMPV6)) {
        headers.transport = Transport::Icmp { kind: first, code: second };
        return;
    }
    let &[third, fourth, ..] = rest else { return };
    let source = u16::from_be_bytes([first, second]);
    let destination = u16::from_be_bytes([third, fourth]);
    headers.transport = match (headers.protocol, bytes.get(TCP_FLAGS)) {
        (Some(protocol::TCP), Some(&flags)) => Transport::Tcp { source, destination, flags },
        _ => Transport::Ports { source, destination },
    };
    if headers.protocol == Some(protocol::TCP)
        && bytes.get(TCP_DATA_OFFSET).is_some_and(|byte| byte >> 4 < TCP_LEAST_WORDS)
    {
        headers.flaw = Some(Flaw::Malformed);
    }
}

/// Only a packet's first fragment carries its transport header.
fn is_later_fragment(slice: &LaxIpSlice<'_>) -> bool {
    match slice {
        LaxIpSlice::Ipv4(slice) => slice.header().fragments_offset().value() != 0,
        LaxIpSlice::Ipv6(slice) => {
            slice.is_payload_fragmented()
                && slice.extensions().clone().into_iter().any(|extension| match extension {
                    Ipv6ExtensionSlice::Fragment(fragment) => {
                        fragment.fragment_offset().value() != 0
                    }
                    _ => false,
                })
        }
    }
}

/// Headers that end too early: cut by the capture, or never there.
fn short(slice: &LaxIpSlice<'_>) -> Flaw {
    let payload = slice.payload();
    if payload.incomplete || payload.len_source == LenSource::Slice {
        Flaw::Truncated
    } else {
        Flaw::Malformed
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    const V4: ([u8; 4], [u8; 4]) = ([198, 51, 100, 7], [192, 0, 2, 1]);

    fn v6() -> ([u8; 16], [u8; 16]) {
        let mut source = [0; 16];
        let mut destination = [0; 16];
        source[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        destination[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        (source, destination)
    }

    fn built(
        builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = Vec::new();
        builder.write(&mut packet, payload).unwrap();
        packet
    }

    fn udp4() -> Vec<u8> {
        built(PacketBuilder::ipv4(V4.0, V4.1, 57).udp(4444, 53), b"hello")
    }

    fn tcp4() -> Vec<u8> {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(V4.0, V4.1, 57)
            .tcp(4444, 22, 1, 1024)
            .syn()
            .write(&mut packet, b"")
            .unwrap();
        packet
    }

    /// An IPv4 packet of any protocol.
    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, 57, protocol, 0, 0];
        packet.extend(V4.0);
        packet.extend(V4.1);
        packet.extend(payload);
        packet
    }

    /// An IPv6 packet with these next header and payload.
    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 57];
        packet.extend(v6().0);
        packet.extend(v6().1);
        packet.extend(payload);
        packet
    }

    fn read(packet: &[u8]) -> Headers {
        decode(packet, None, u32::try_from(packet.len()).unwrap())
    }

    #[track_caller]
    fn check(packet: &[u8], protocol: u8, transport: Transport, flaw: Option<Flaw>) {
        let headers = read(packet);
        assert_eq!(
            (headers.protocol, headers.transport, headers.flaw),
            (Some(protocol), transport, flaw)
        );
        assert!(headers.addresses.is_some());
        assert_eq!(headers.ttl, 57);
    }

    const PORTS: [u8; 12] = [0x11, 0x5c, 0, 53, 0, 0, 0, 0, 0, 0, 0, 0];
    const FROM_4444_TO_53: Transport = Transport::Ports { source: 4444, destination: 53 };

    #[test]
    fn transports() {
        use Transport::{Icmp, None as Nothing, Tcp};
        check(&udp4(), 17, FROM_4444_TO_53, None);
        check(&tcp4(), 6, Tcp { source: 4444, destination: 22, flags: 2 }, None);
        check(&ipv4(136, &PORTS), 136, FROM_4444_TO_53, None);
        check(&ipv4(132, &PORTS), 132, FROM_4444_TO_53, None);
        check(&ipv4(33, &PORTS), 33, FROM_4444_TO_53, None);
        check(&ipv4(1, &[8, 0, 0, 0, 0, 0, 0, 0]), 1, Icmp { kind: 8, code: 0 }, None);
        check(&ipv6(58, &[128, 3, 0, 0]), 58, Icmp { kind: 128, code: 3 }, None);
        check(&ipv4(47, &[0; 4]), 47, Nothing, None);
        check(&ipv4(50, &[1; 40]), 50, Nothing, None);
        check(&ipv4(4, &udp4()), 4, Nothing, None);
        check(&ipv4(253, b""), 253, Nothing, None);
        check(&ipv6(59, b""), 59, Nothing, None);
    }

    #[test]
    fn ipv6_extension_headers_are_walked() {
        // Hop-by-hop, destination options, routing (type 0, no segments), then UDP.
        let mut chain = vec![60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0];
        chain.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        chain.extend(PORTS);
        check(&ipv6(0, &chain), 17, FROM_4444_TO_53, None);
        let cut = &ipv6(0, &chain)[..52];
        let headers = read(cut);
        assert_eq!((headers.protocol, headers.flaw), (None, Some(Flaw::Truncated)));
        assert!(headers.addresses.is_some());
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        let mut first = ipv4(17, &PORTS);
        first[6] = 0x20; // more fragments
        check(&first, 17, FROM_4444_TO_53, None);
        let mut later = ipv4(17, &PORTS);
        later[7] = 1; // offset 8
        check(&later, 17, Transport::None, None);

        let mut first = vec![17, 0, 0, 1, 0, 0, 0, 9];
        first.extend(PORTS);
        check(&ipv6(44, &first), 17, FROM_4444_TO_53, None);
        let mut later = vec![17, 0, 0, 8, 0, 0, 0, 9];
        later.extend(PORTS);
        check(&ipv6(44, &later), 17, Transport::None, None);
    }

    #[test]
    fn truncation_is_a_value() {
        let tcp = tcp4();
        let ports = Transport::Ports { source: 4444, destination: 22 };
        let flags = Transport::Tcp { source: 4444, destination: 22, flags: 2 };
        check(&tcp[..40], 6, flags, None);
        check(&tcp[..34], 6, flags, Some(Flaw::Truncated));
        check(&tcp[..33], 6, ports, Some(Flaw::Truncated));
        check(&tcp[..24], 6, ports, Some(Flaw::Truncated));
        check(&tcp[..23], 6, Transport::None, Some(Flaw::Truncated));
        check(&tcp[..20], 6, Transport::None, Some(Flaw::Truncated));
        for cut in [&tcp[..19], &tcp[..1], &[], &ipv6(6, b"")[..39]] {
            let headers = read(cut);
            assert_eq!((headers.addresses, headers.flaw), (None, Some(Flaw::Truncated)));
        }
    }

    #[test]
    fn contradictions_are_malformed() {
        // The IP length leaves four bytes for TCP; nothing was cut.
        check(
            &ipv4(6, &PORTS[..4]),
            6,
            Transport::Ports { source: 4444, destination: 53 },
            Some(Flaw::Malformed),
        );
        let mut short_offset = tcp4();
        short_offset[32] = 0x40;
        let flags = Transport::Tcp { source: 4444, destination: 22, flags: 2 };
        check(&short_offset, 6, flags, Some(Flaw::Malformed));
        let mut total = tcp4();
        total[3] = 19;
        check(&total, 6, flags, Some(Flaw::Malformed));
        let mut words = tcp4();
        words[0] = 0x44;
        assert_eq!(read(&words).flaw, Some(Flaw::Malformed));
        assert_eq!(decode(&tcp4(), Some(0x86dd), 40).flaw, Some(Flaw::Malformed));
    }

    #[test]
    fn what_is_not_ip_says_so() {
        const ARP: u16 = 0x0806;
        assert_eq!(decode(&[0; 28], Some(ARP), 28).flaw, Some(Flaw::NotIp));
        assert_eq!(decode(&[0x45; 28], Some(ARP), 28).flaw, Some(Flaw::NotIp));
        assert_eq!(decode(&[], Some(ARP), 0).flaw, Some(Flaw::NotIp));
        assert_eq!(read(&[0; 28]).flaw, Some(Flaw::NotIp));
    }

    #[test]
    fn bytes_are_the_ip_total_length() {
        let mut cut = udp4();
        cut[2..4].copy_from_slice(&1500_u16.to_be_bytes());
        assert_eq!(read(&cut[..28]).length, 1500);
        let mut padded = udp4();
        padded.resize(60, 0);
        assert_eq!(read(&padded).length, 33);
        assert_eq!(read(&ipv6(17, &PORTS)).length, 52);
        // Above 64 KiB the field is 0, and the source's word counts.
        let mut big = udp4();
        big[2..4].fill(0);
        assert_eq!(decode(&big, None, 90_000).length, 90_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in any::<u16>()) {
            let length = u32::try_from(bytes.len()).unwrap();
            let _ = decode(&bytes, None, length);
            let _ = decode(&bytes, Some(kind), length);
        }

        #[test]
        fn a_cut_packet_never_tells_other_ports(cut in 0..45_usize) {
            let mut packet = tcp4();
            packet.extend([0; 5]);
            packet.truncate(cut);
            let ports = read(&packet).transport.ports();
            prop_assert!(ports.is_none() || ports == Some((4444, 22)));
        }
    }
}
