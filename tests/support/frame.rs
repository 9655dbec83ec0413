//! Ethernet frames from the peer to the host.

use etherparse::PacketBuilder;

use super::netns::{HOST, HOST_MAC, HOST_V6, PEER_MAC};

const TTL: u8 = 64;

/// UDP over IPv4 from any address to the host.
pub fn udp(source: [u8; 4], source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    udp_to(HOST, source, source_port, port, payload)
}

/// UDP over IPv4 from any address to any address, routed by the host.
pub fn udp_to(to: [u8; 4], from: [u8; 4], source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(PEER_MAC, HOST_MAC).ipv4(from, to, TTL).udp(source_port, port);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// A broadcast frame of a station that is not the peer: any headers, the last of which identifies the packet after
/// them, and UDP over IPv4 from any port.
pub fn encapsulated(headers: &[u8], source_port: u16) -> Vec<u8> {
    let packet = udp([203, 0, 113, 5], source_port, 9, b"x").split_off(14);
    [&[0xff; 6][..], &STATION_MAC, headers, &packet].concat()
}

/// Hardware address of a station that is neither the host nor the peer.
pub const STATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];

/// UDP over IPv6 from any address to the host.
pub fn udp_v6(source: [u8; 16], source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC)
        .ipv6(source, HOST_V6, TTL)
        .udp(source_port, port);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// A TCP SYN over IPv4 from any address to the host.
pub fn syn(source: [u8; 4], source_port: u16, port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC)
        .ipv4(source, HOST, TTL)
        .tcp(source_port, port, 1, 64240)
        .syn();
    let mut frame = Vec::with_capacity(builder.size(0));
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// A TCP SYN over IPv6 from any address to the host.
pub fn syn_v6(source: [u8; 16], source_port: u16, port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC)
        .ipv6(source, HOST_V6, TTL)
        .tcp(source_port, port, 1, 64240)
        .syn();
    let mut frame = Vec::with_capacity(builder.size(0));
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// `count` UDP packets to a port, each from a different address of 203.0.113.0/24.
pub fn spoofed(count: u32, port: u16) -> impl Iterator<Item = Vec<u8>> + Send {
    (0..count).map(move |number| udp([203, 0, 113, number.to_be_bytes()[3]], 40_000, port, b"x"))
}

/// An ICMP echo request over IPv4 from any address to the host.
pub fn ping(source: [u8; 4]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC)
        .ipv4(source, HOST, TTL)
        .icmpv4_echo_request(1, 1);
    let mut frame = Vec::with_capacity(builder.size(0));
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// An ICMPv6 echo request from any address to the host.
pub fn ping_v6(source: [u8; 16]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(PEER_MAC, HOST_MAC)
        .ipv6(source, HOST_V6, TTL)
        .icmpv6_echo_request(1, 1);
    let mut frame = Vec::with_capacity(builder.size(0));
    builder.write(&mut frame, &[]).unwrap();
    frame
}
