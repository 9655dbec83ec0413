//! The text of ulogd's plugin PRINTPKT, which LOGEMU and SYSLOG write: that of the kernel's LOG target, nearly.

use std::{
    fmt::{self, Write},
    net::{IpAddr, Ipv4Addr},
};

use super::{
    ip::{IcmpFields, IpHeader, TransportFields, V4Fields, V6Fields},
    packet::{BRIDGE, UlogdPacket},
};
use crate::packet::protocol;

/// Bits of the type of service, `netinet/ip.h`.
const TOS: u8 = 0x1e;
const PRECEDENCE: u8 = 0xe0;

/// The flags of TCP in the order of their texts.
const TCP_FLAGS: [(u8, &str); 6] = [
    (0x20, "URG "),
    (0x10, "ACK "),
    (0x08, "PSH "),
    (0x04, "RST "),
    (0x02, "SYN "),
    (0x01, "FIN "),
];

/// Appends the text of a packet, which ends with a space.
pub(in crate::output) fn logemu(packet: &UlogdPacket<'_>, bytes: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write_packet(&mut AsText(bytes), packet);
}

/// Formats into bytes.
struct AsText<'a>(&'a mut Vec<u8>);

impl Write for AsText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn write_packet(text: &mut impl Write, packet: &UlogdPacket<'_>) -> fmt::Result {
    let UlogdPacket { prefix, in_device, out_device, ip, .. } = packet;
    write!(text, "{prefix} IN={in_device} OUT={out_device} MAC=")?;
    for (index, byte) in packet.hardware_header.iter().enumerate() {
        write!(text, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
    }
    text.write_char(' ')?;
    match &ip.header {
        IpHeader::V4(fields) => {
            write_addresses(text, packet)?;
            write_v4(text, packet, fields.as_ref())?;
        }
        IpHeader::V6(fields) => {
            write_addresses(text, packet)?;
            write_v6(text, packet, fields.as_ref())?;
        }
        IpHeader::None if packet.packet.family == BRIDGE => {
            write!(text, "PROTO={} ", packet.packet.ether_type.unwrap_or_default())?;
        }
        IpHeader::None => {}
    }
    let packet = &packet.packet;
    if let Some(uid) = packet.uid {
        write!(text, "UID={uid} ")?;
    }
    if let Some(gid) = packet.gid {
        write!(text, "GID={gid} ")?;
    }
    write!(text, "MARK=0x{:x} ", packet.mark)
}

fn write_addresses(text: &mut impl Write, packet: &UlogdPacket<'_>) -> fmt::Result {
    if let Some(source) = packet.ip.source {
        write!(text, "SRC={} ", address_text(source))?;
    }
    if let Some(destination) = packet.ip.destination {
        write!(text, "DST={} ", address_text(destination))?;
    }
    Ok(())
}

fn write_v4(
    text: &mut impl Write,
    packet: &UlogdPacket<'_>,
    fields: Option<&V4Fields>,
) -> fmt::Result {
    let none = V4Fields {
        tos: 0,
        ttl: 0,
        total_length: 0,
        header_words: 0,
        checksum: 0,
        id: 0,
        fragment: 0,
    };
    let V4Fields { tos, ttl, total_length, id, fragment, .. } = fields.unwrap_or(&none);
    let (service, precedence) = (tos & TOS, tos & PRECEDENCE);
    write!(
        text,
        "LEN={total_length} TOS={service:02X} PREC=0x{precedence:02X} TTL={ttl} ID={id} "
    )?;
    for (bit, name) in [(0x8000, "CE "), (0x4000, "DF "), (0x2000, "MF ")] {
        if fragment & bit != 0 {
            text.write_str(name)?;
        }
    }
    if fragment & 0x1fff != 0 {
        write!(text, "FRAG:{} ", fragment & 0x1fff)?;
    }
    match packet.ip.protocol.unwrap_or_default() {
        protocol::ICMP => match &packet.ip.transport {
            TransportFields::Icmp(icmp) => write_icmp(text, icmp),
            _ => text.write_str("PROTO=ICMP INCOMPLETE"),
        },
        number if is_common(number) => write_transport(text, number, &packet.ip.transport),
        number => write!(text, "PROTO={number} "),
    }
}

fn write_v6(
    text: &mut impl Write,
    packet: &UlogdPacket<'_>,
    fields: Option<&V6Fields>,
) -> fmt::Result {
    if let Some(fields) = fields {
        let length = u32::from(fields.payload_length) + 40;
        let V6Fields { traffic_class, hop_limit, flow_label, .. } = fields;
        write!(text, "LEN={length} TC={traffic_class} HOPLIMIT={hop_limit} FLOWLBL={flow_label} ")?;
        if let Some((offset, id)) = fields.fragment {
            write!(text, "FRAG: {offset} ID: {id:08x} ")?;
        }
    }
    match fields.and_then(|fields| fields.next_header).unwrap_or_default() {
        protocol::ICMPV6 => match &packet.ip.transport {
            TransportFields::Icmpv6(icmp) => write_icmpv6(text, icmp),
            _ => text.write_str("PROTO=ICMPv6 INCOMPLETE"),
        },
        // ulogd prints the other protocol.
        protocol::ESP => write_transport(text, protocol::AH, &packet.ip.transport),
        number if is_common(number) => write_transport(text, number, &packet.ip.transport),
        number => write!(text, "PROTO={number} "),
    }
}

/// Whether both versions print the protocol alike.
fn is_common(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ESP | protocol::AH)
}

fn write_transport(text: &mut impl Write, number: u8, fields: &TransportFields) -> fmt::Result {
    let name = match number {
        protocol::TCP => "TCP",
        protocol::UDP => "UDP",
        protocol::SCTP => "SCTP",
        protocol::ESP => "ESP",
        _ => "AH",
    };
    write!(text, "PROTO={name} ")?;
    match fields {
        TransportFields::Tcp(tcp) => {
            write!(text, "SPT={} DPT={} ", tcp.source, tcp.destination)?;
            write!(text, "SEQ={} ACK={} ", tcp.sequence, tcp.acknowledgement)?;
            write!(text, "WINDOW={} ", tcp.window)?;
            for (bit, name) in TCP_FLAGS {
                if tcp.flags & bit != 0 {
                    text.write_str(name)?;
                }
            }
            let urgent = if tcp.flags & 0x20 == 0 { 0 } else { tcp.urgent };
            write!(text, "URGP={urgent} ")
        }
        TransportFields::Udp { source, destination, length, .. } => {
            write!(text, "SPT={source} DPT={destination} LEN={length} ")
        }
        TransportFields::Sctp { source, destination, .. } => {
            write!(text, "SPT={source} DPT={destination} ")
        }
        // ulogd never reads the SPI of AH and ESP. It prints no space here.
        _ => text.write_str("INCOMPLETE"),
    }
}

/// ulogd decides by the code, and not by the type, which other fields it prints; those that the type does not have are 0.
fn write_icmp(text: &mut impl Write, icmp: &IcmpFields) -> fmt::Result {
    let IcmpFields { kind, code, .. } = icmp;
    write!(text, "PROTO=ICMP TYPE={kind} CODE={code} ")?;
    let gateway = icmp.gateway().unwrap_or_default();
    match code {
        0 | 8 => {
            let (id, sequence) = icmp.echo(&[0, 8]).unwrap_or_default();
            write!(text, "ID={id} SEQ={sequence} ")
        }
        12 => write!(text, "PARAMETER={} ", gateway[0]),
        5 => write!(text, "GATEWAY={} ", reversed(gateway)),
        _ => Ok(()),
    }
}

fn write_icmpv6(text: &mut impl Write, icmp: &IcmpFields) -> fmt::Result {
    write!(text, "PROTO=ICMPv6 TYPE={} CODE={} ", icmp.kind, icmp.code)?;
    match icmp.echo(&[128, 129]) {
        Some((id, sequence)) => write!(text, "ID={id} SEQ={sequence} "),
        None => Ok(()),
    }
}

impl IcmpFields {
    /// Identifier and sequence number, of these types.
    pub(super) fn echo(&self, kinds: &[u8]) -> Option<(u16, u16)> {
        let [i0, i1, s0, s1] = self.rest;
        kinds
            .contains(&self.kind)
            .then_some((u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1])))
    }

    /// The gateway of a redirect, or the pointer of a parameter problem.
    pub(super) fn gateway(&self) -> Option<[u8; 4]> {
        matches!(self.kind, 5 | 12).then_some(self.rest)
    }
}

/// An address as `inet_ntop` of the C library writes it: one of the first 2^32 of IPv6 has the form of RFC 4291, 2.5.5.1.
pub(super) fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V6(address) if (1 << 16..1 << 32).contains(&address.to_bits()) => {
            let [.., a, b, c, d] = address.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        address => address.to_string(),
    }
}

/// An address as ulogd prints a number in this host's byte order.
pub(super) fn reversed(address: [u8; 4]) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be_bytes(address).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_c_library() {
        for text in [
            "10.1.1.1",
            "::",
            "::1",
            "::ffff",
            "::10.1.1.1",
            "::0.1.0.2",
            "::1:0:0",
            "::ffff:10.1.1.1",
        ] {
            assert_eq!(address_text(text.parse().unwrap()), text);
        }
    }
}
