//! The keys of ulogd's packets in their order, as its plugins GPRINT and JSON print them.
//!
//! GPRINT prints the keys of the stack `NFLOG, BASE, IFINDEX, IP2STR, GPRINT`, JSON those of
//! `NFLOG, BASE, IFINDEX, IP2STR, HWHDR, JSON`, which ulogd's own example has.

use std::{
    borrow::Cow,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    ip::{IcmpFields, IpHeader, TcpFields, TransportFields},
    packet::UlogdPacket,
    print::{address_text, reversed},
};

/// `ARPHRD_ETHER`, `linux/if_arp.h`.
const ETHERNET: u16 = 1;

/// One key with its value.
struct Key<'a> {
    name: &'static str,
    value: KeyValue<'a>,
}

enum KeyValue<'a> {
    Number(u64),
    Text(Cow<'a, str>),
    /// Only GPRINT prints it.
    Address(Ipv4Addr),
}

/// Appends the line of GPRINT.
pub(in crate::output) fn gprint(packet: &UlogdPacket<'_>, bytes: &mut Vec<u8>) {
    for (index, Key { name, value }) in keys(packet).iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to memory does not fail.
        let _ = match value {
            KeyValue::Number(number) => write!(bytes, "{separator}{name}={number}"),
            KeyValue::Text(text) => write!(bytes, "{separator}{name}={text}"),
            KeyValue::Address(address) => write!(bytes, "{separator}{name}={address}"),
        };
    }
}

/// Appends the object of JSON.
pub(in crate::output) fn ulogd_json(packet: &UlogdPacket<'_>, time: &str, bytes: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(bytes, "{{\"timestamp\": \"{time}\", \"dvc\": \"Netfilter\"");
    let mut names: Vec<&str> = Vec::new();
    for Key { name, value } in keys(packet).into_iter().chain(hardware_keys(packet)) {
        let name = cim_name(name);
        // A second value replaces the first, which is the same.
        if names.contains(&name) || matches!(value, KeyValue::Address(_)) {
            continue;
        }
        names.push(name);
        let _ = write!(bytes, ", \"{name}\": ");
        let _ = match value {
            KeyValue::Number(number) => write!(bytes, "{number}"),
            KeyValue::Text(text) => serde_json::to_writer(&mut *bytes, &text).map_err(Into::into),
            KeyValue::Address(_) => Ok(()),
        };
    }
    bytes.push(b'}');
}

/// The name in Splunk's Common Information Model, if ulogd has one.
fn cim_name(name: &'static str) -> &'static str {
    match name {
        "ip.saddr.str" => "src_ip",
        "ip.daddr.str" => "dest_ip",
        "tcp.sport" | "udp.sport" | "sctp.sport" => "src_port",
        "tcp.dport" | "udp.dport" | "sctp.dport" => "dest_port",
        name => name,
    }
}

/// Collects keys in their order.
#[derive(Default)]
struct Keys<'a>(Vec<Key<'a>>);

impl<'a> Keys<'a> {
    fn number(&mut self, name: &'static str, number: impl Into<u64>) {
        self.0.push(Key { name, value: KeyValue::Number(number.into()) });
    }

    fn optional(&mut self, name: &'static str, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    fn text(&mut self, name: &'static str, text: impl Into<Cow<'a, str>>) {
        self.0.push(Key { name, value: KeyValue::Text(text.into()) });
    }

    fn address(&mut self, name: &'static str, address: Ipv4Addr) {
        self.0.push(Key { name, value: KeyValue::Address(address) });
    }
}

/// The keys of NFLOG, BASE, IFINDEX and IP2STR.
fn keys<'a>(packet: &'a UlogdPacket<'_>) -> Vec<Key<'a>> {
    let mut keys = Keys::default();
    nflog_keys(&mut keys, packet);
    ip_keys(&mut keys, packet);
    match &packet.ip.transport {
        TransportFields::Tcp(tcp) => tcp_keys(&mut keys, tcp),
        TransportFields::Udp { source, destination, length, checksum } => {
            keys.number("udp.sport", *source);
            keys.number("udp.dport", *destination);
            keys.number("udp.len", *length);
            keys.number("udp.csum", *checksum);
        }
        TransportFields::Icmp(icmp) => icmp_keys(&mut keys, icmp),
        TransportFields::Icmpv6(icmp) => {
            keys.number("icmpv6.type", icmp.kind);
            keys.number("icmpv6.code", icmp.code);
            let echo = icmp.echo(&[128, 129]);
            keys.optional("icmpv6.echoid", echo.map(|(id, _)| id));
            keys.optional("icmpv6.echoseq", echo.map(|(_, sequence)| sequence));
            keys.number("icmpv6.csum", icmp.checksum);
        }
        TransportFields::None | TransportFields::Sctp { .. } => {}
    }
    keys.number("oob.protocol", packet.packet.ether_type.unwrap_or_default());
    if let TransportFields::Sctp { source, destination, checksum } = packet.ip.transport {
        keys.number("sctp.sport", source);
        keys.number("sctp.dport", destination);
        keys.number("sctp.csum", checksum);
    }
    keys.text("oob.in", &*packet.in_device);
    keys.text("oob.out", &*packet.out_device);
    for (name, address) in
        [("ip.saddr.str", packet.ip.source), ("ip.daddr.str", packet.ip.destination)]
    {
        if let Some(address) = address {
            keys.text(name, address_text(address));
        }
    }
    keys.0
}

fn nflog_keys<'a>(keys: &mut Keys<'a>, packet: &'a UlogdPacket<'_>) {
    let UlogdPacket { time, packet, hardware_header, prefix, .. } = packet;
    let set = |index: u32| Some(index).filter(|index| *index > 0);
    let header = Some(hardware_header).filter(|header| !header.is_empty());
    keys.number("raw.pktlen", packet.payload.len() as u64);
    keys.number("raw.pktcount", 1_u8);
    keys.text("oob.prefix", prefix);
    keys.number("oob.time.sec", time / 1_000_000);
    keys.number("oob.time.usec", time % 1_000_000);
    keys.number("oob.mark", packet.mark);
    keys.optional("oob.ifindex_in", set(packet.in_index));
    keys.optional("oob.ifindex_out", set(packet.out_index));
    keys.optional("oob.hook", packet.hook_number);
    keys.optional("raw.mac_len", header.map(|header| header.len() as u64));
    keys.number("oob.family", packet.family);
    keys.number("oob.protocol", packet.ether_type.unwrap_or_default());
    keys.optional("oob.uid", packet.uid);
    keys.optional("oob.gid", packet.gid);
    keys.number("raw.label", 0_u8);
    keys.optional("raw.type", packet.hardware_type.filter(|_| header.is_some()));
    let address = packet.hardware_address;
    keys.optional("raw.mac.addrlen", (!address.is_empty()).then_some(address.len() as u64));
}

fn ip_keys(keys: &mut Keys<'_>, packet: &UlogdPacket<'_>) {
    let ip = &packet.ip;
    for (name, address) in [("ip.saddr", ip.source), ("ip.daddr", ip.destination)] {
        match address {
            Some(IpAddr::V4(address)) => keys.address(name, address),
            // ulogd prints the first four bytes.
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.octets();
                keys.address(name, Ipv4Addr::new(a, b, c, d));
            }
            None => {}
        }
    }
    keys.optional("ip.protocol", ip.protocol);
    match &ip.header {
        IpHeader::V4(Some(fields)) => {
            keys.number("ip.tos", fields.tos);
            keys.number("ip.ttl", fields.ttl);
            keys.number("ip.totlen", fields.total_length);
            keys.number("ip.ihl", fields.header_words);
            keys.number("ip.csum", fields.checksum);
            keys.number("ip.id", fields.id);
            keys.number("ip.fragoff", fields.fragment);
        }
        IpHeader::V6(Some(fields)) => {
            keys.number("ip6.payloadlen", fields.payload_length);
            keys.number("ip6.priority", fields.traffic_class);
            keys.number("ip6.flowlabel", fields.flow_label);
            keys.number("ip6.hoplimit", fields.hop_limit);
            keys.optional("ip6.nexthdr", fields.next_header);
            keys.optional("ip6.fragoff", fields.fragment.map(|(offset, _)| offset));
            keys.optional("ip6.fragid", fields.fragment.map(|(_, id)| id));
        }
        IpHeader::None | IpHeader::V4(None) | IpHeader::V6(None) => {}
    }
}

fn tcp_keys(keys: &mut Keys<'_>, tcp: &TcpFields) {
    let flag = |bit: u8| u8::from(tcp.flags & bit != 0);
    keys.number("tcp.sport", tcp.source);
    keys.number("tcp.dport", tcp.destination);
    keys.number("tcp.seq", tcp.sequence);
    keys.number("tcp.ackseq", tcp.acknowledgement);
    keys.number("tcp.window", tcp.window);
    // ulogd swaps the bytes of these two numbers, of which one remains.
    keys.number("tcp.offset", 0_u8);
    keys.number("tcp.reserved", 0_u8);
    keys.number("tcp.urg", flag(0x20));
    keys.optional("tcp.urgp", Some(tcp.urgent).filter(|_| flag(0x20) == 1));
    keys.number("tcp.ack", flag(0x10));
    keys.number("tcp.psh", flag(0x08));
    keys.number("tcp.rst", flag(0x04));
    keys.number("tcp.syn", flag(0x02));
    keys.number("tcp.fin", flag(0x01));
    keys.number("tcp.res1", tcp.reserved.0);
    keys.number("tcp.res2", tcp.reserved.1);
    keys.number("tcp.csum", tcp.checksum);
}

fn icmp_keys(keys: &mut Keys<'_>, icmp: &IcmpFields) {
    keys.number("icmp.type", icmp.kind);
    keys.number("icmp.code", icmp.code);
    let echo = icmp.echo(&[0, 8]);
    keys.optional("icmp.echoid", echo.map(|(id, _)| id));
    keys.optional("icmp.echoseq", echo.map(|(_, sequence)| sequence));
    if let Some(gateway) = icmp.gateway() {
        keys.address("icmp.gateway", reversed(gateway));
    }
    // Fragmentation needed, RFC 1191.
    let [_, _, m0, m1] = icmp.rest;
    let mtu = (icmp.kind == 3 && icmp.code == 4).then(|| u16::from_be_bytes([m0, m1]));
    keys.optional("icmp.fragmtu", mtu);
    keys.number("icmp.csum", icmp.checksum);
}

/// The keys of HWHDR.
fn hardware_keys<'a>(packet: &UlogdPacket<'_>) -> Vec<Key<'a>> {
    let mut keys = Keys::default();
    let header = packet.hardware_header;
    if header.is_empty() {
        return keys.0;
    }
    let is_ethernet = packet.packet.hardware_type == Some(ETHERNET);
    let address = packet.packet.hardware_address;
    let source = match header.get(6..12).filter(|_| is_ethernet && address.is_empty()) {
        Some(source) => source,
        None => address,
    };
    if !source.is_empty() {
        keys.text("mac.saddr.str", colons(source));
    }
    if let Some(destination) = header.get(..6).filter(|_| is_ethernet) {
        keys.text("mac.daddr.str", colons(destination));
    }
    keys.text("mac.str", colons(header));
    keys.0
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
