//! Decodes single packets, and arbitrary bytes.

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

fn built(builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>, payload: &[u8]) -> Vec<u8> {
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
fn check(packet: &[u8], protocol: u8, transport: Transport, issue: Option<DecodeIssue>) {
    let headers = read(packet);
    assert_eq!(
        (headers.protocol, headers.transport, headers.issue),
        (Some(protocol), transport, issue)
    );
    assert!(headers.addresses.is_some());
    assert_eq!(headers.ttl, Some(57));
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
fn ipv6_extension_headers_are_skipped() {
    // Hop-by-hop, destination options, routing (type 0, no segments), then UDP.
    let mut chain = vec![60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0];
    chain.extend([17, 0, 0, 0, 0, 0, 0, 0]);
    chain.extend(PORTS);
    check(&ipv6(0, &chain), 17, FROM_4444_TO_53, None);
    // A second hop-by-hop header is malformed, but the headers after it are still read.
    let mut twice = vec![0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
    twice.extend(PORTS);
    check(&ipv6(0, &twice), 17, FROM_4444_TO_53, Some(DecodeIssue::Malformed));
    // A long chain of extensions ends with the packet.
    let long_chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(1000);
    let headers = read(&ipv6(60, &long_chain));
    assert_eq!((headers.protocol, headers.issue), (None, Some(DecodeIssue::Malformed)));
    let cut = &ipv6(0, &chain)[..52];
    let headers = read(cut);
    assert_eq!((headers.protocol, headers.issue), (None, Some(DecodeIssue::Truncated)));
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
fn a_later_fragment_holds_no_headers() {
    // The bytes that look like a header for tcp/22 are payload.
    let mut later = vec![60, 0, 0, 8, 0, 0, 0, 9];
    later.extend([6, 0, 1, 4, 0, 0, 0, 0]);
    later.extend(&tcp4()[20..]);
    let headers = read(&ipv6(44, &later));
    assert_eq!((headers.protocol, headers.transport, headers.issue), (None, Transport::None, None));
    let mut ah = ipv4(51, &[6, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ah[7] = 1;
    check(&ah, 51, Transport::None, None);
}

/// The kernel's firewalls match protocol 51 too.
#[test]
fn an_authentication_header_is_the_protocol() {
    let mut ah = vec![6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    ah.extend([0; 12]);
    ah.extend(&tcp4()[20..]);
    check(&ipv4(51, &ah), 51, Transport::None, None);
    check(&ipv6(51, &ah), 51, Transport::None, None);
}

#[test]
fn addresses_are_read_if_only_options_are_truncated() {
    let mut packet = ipv4(6, &[&[1; 40][..], &tcp4()[20..]].concat());
    packet[0] = 0x4f;
    check(&packet[..40], 6, Transport::None, Some(DecodeIssue::Truncated));
    check(&packet[..20], 6, Transport::None, Some(DecodeIssue::Truncated));
    assert_eq!(read(&packet[..20]).length, 80);
    check(&packet, 6, Transport::Tcp { source: 4444, destination: 22, flags: 2 }, None);
}

#[test]
fn a_truncated_packet_keeps_the_fields_that_were_captured() {
    let tcp = tcp4();
    let ports = Transport::Ports { source: 4444, destination: 22 };
    let flags = Transport::Tcp { source: 4444, destination: 22, flags: 2 };
    check(&tcp[..40], 6, flags, None);
    check(&tcp[..34], 6, flags, Some(DecodeIssue::Truncated));
    check(&tcp[..33], 6, ports, Some(DecodeIssue::Truncated));
    check(&tcp[..24], 6, ports, Some(DecodeIssue::Truncated));
    check(&tcp[..23], 6, Transport::None, Some(DecodeIssue::Truncated));
    check(&tcp[..20], 6, Transport::None, Some(DecodeIssue::Truncated));
    for cut in [&tcp[..19], &tcp[..1], &[], &ipv6(6, b"")[..39]] {
        let headers = read(cut);
        assert_eq!((headers.addresses, headers.issue), (None, Some(DecodeIssue::Truncated)));
    }
}

#[test]
fn contradicting_lengths_are_malformed() {
    // The IP length leaves four bytes for TCP, and nothing is truncated.
    check(
        &ipv4(6, &PORTS[..4]),
        6,
        Transport::Ports { source: 4444, destination: 53 },
        Some(DecodeIssue::Malformed),
    );
    let mut short_offset = tcp4();
    short_offset[32] = 0x40;
    let flags = Transport::Tcp { source: 4444, destination: 22, flags: 2 };
    check(&short_offset, 6, flags, Some(DecodeIssue::Malformed));
    let mut total = tcp4();
    total[3] = 19;
    check(&total, 6, flags, Some(DecodeIssue::Malformed));
    let mut words = tcp4();
    words[0] = 0x44;
    assert_eq!(read(&words).issue, Some(DecodeIssue::Malformed));
    assert_eq!(decode(&tcp4(), Some(0x86dd), 40).issue, Some(DecodeIssue::Malformed));
}

#[test]
fn other_protocols_are_not_ip() {
    const ARP: u16 = 0x0806;
    assert_eq!(decode(&[0; 28], Some(ARP), 28).issue, Some(DecodeIssue::NotIp));
    assert_eq!(decode(&[0x45; 28], Some(ARP), 28).issue, Some(DecodeIssue::NotIp));
    assert_eq!(decode(&[], Some(ARP), 0).issue, Some(DecodeIssue::NotIp));
    assert_eq!(read(&[0; 28]).issue, Some(DecodeIssue::NotIp));
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
    // Above 64 KiB the field is 0, and the source's length is used.
    let mut big = udp4();
    big[2..4].fill(0);
    assert_eq!(decode(&big, None, 90_000).length, 90_000);
    // Bytes after an empty payload are padding; above 64 KiB the packet is a jumbogram.
    let mut empty = ipv6(59, b"");
    empty.extend([0; 6]);
    assert_eq!(read(&empty).length, 40);
    let mut jumbo = ipv6(17, b"");
    jumbo.extend(PORTS);
    let headers = decode(&jumbo, None, 65_576);
    assert_eq!((headers.length, headers.transport), (65_576, FROM_4444_TO_53));
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in any::<u16>()) {
        let length = u32::try_from(bytes.len()).unwrap();
        let _ = decode(&bytes, None, length);
        let _ = decode(&bytes, Some(kind), length);
    }

    #[test]
    fn a_truncated_packet_never_has_wrong_ports(cut in 0..45_usize) {
        let mut packet = tcp4();
        packet.extend([0; 5]);
        packet.truncate(cut);
        let ports = read(&packet).transport.ports();
        prop_assert!(ports.is_none() || ports == Some((4444, 22)));
    }
}
