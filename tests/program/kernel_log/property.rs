//! Random packets, written by a model of the kernel's writer, and damaged lines of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use nflog_exporter::{
    packet::{Addresses, Headers, Transport, protocol},
    source::log::packet_line::{self, LoggedPacket},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::model::{Ip, Line, Upper};

/// Parts of prefixes: also text of a line.
const PIECES: [&str; 14] = [
    "[UFW BLOCK] ",
    "FINAL_REJECT: ",
    "Shorewall:net2fw:DROP:",
    "IN=",
    "OUT=",
    " ",
    "IN=x OUT=y ",
    "MAC=ab",
    "a",
    "[",
    "] ",
    "PHYS",
    "12.5] ",
    "é",
];

fn prefix() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(select(&PIECES[..]), 0..8).prop_map(|pieces| pieces.concat()),
        "[ -;=?-~]{29}",
        "[a-zA-Z0-9 :_]{127}",
    ]
    .prop_filter("another envelope", |prefix| !prefix.contains("kernel: "))
    .prop_filter("another packet", |prefix| !prefix.contains("SRC="))
}

fn device() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.@_-]{0,14}"
}

fn devices() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        (device(), Just(String::new())),
        (Just(String::new()), device()),
        (device(), device()),
    ]
}

fn ip(v6: bool) -> impl Strategy<Value = Ip> {
    let v4 = any::<[u32; 2]>().prop_map(|[source, destination]| Addresses::V4 {
        source: Ipv4Addr::from_bits(source),
        destination: Ipv4Addr::from_bits(destination),
    });
    let v6 = if v6 {
        any::<[u128; 2]>()
            .prop_map(|[source, destination]| Addresses::V6 {
                source: Ipv6Addr::from_bits(source),
                destination: Ipv6Addr::from_bits(destination),
            })
            .boxed()
    } else {
        v4.boxed()
    };
    (v6, any::<(u16, u8, u8, u16, [bool; 3])>()).prop_map(
        |(addresses, (length, traffic_class, hop_limit, id, flags))| Ip {
            addresses,
            length,
            traffic_class,
            hop_limit,
            id,
            flags,
        },
    )
}

/// Protocols that the writer shows by number.
fn is_numbered(number: u8) -> bool {
    ![0, 1, 6, 17, 43, 44, 50, 51, 58, 60, 136].contains(&number)
}

fn upper(v6: bool, is_inner: bool) -> BoxedStrategy<Upper> {
    let icmp = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
    let short = vec![protocol::TCP, protocol::UDP, protocol::UDPLITE, icmp];
    let errors: [u8; 4] = if v6 { [1, 2, 3, 4] } else { [3, 4, 5, 11] };
    let tcp = any::<([u16; 2], u8, bool, [u32; 2], u16, u16)>().prop_map(
        |(ports, flags, has_ae, numbers, window, urgent)| Upper::Tcp {
            ports,
            flags,
            has_ae,
            numbers,
            window,
            urgent,
        },
    );
    let udp = any::<(bool, [u16; 2], u16)>().prop_map(|(lite, ports, length)| Upper::Udp {
        lite,
        ports,
        length,
    });
    let message = any::<(u8, u8, u16)>()
        .prop_filter("an error", move |(kind, ..)| is_inner || !errors.contains(kind))
        .prop_filter("a parameter", move |(kind, ..)| v6 || *kind != 12)
        .prop_map(|(kind, code, number)| Upper::Icmp { kind, code, number, inner: None });
    let short =
        (select(short), 0..8_u8).prop_map(|(protocol, bytes)| Upper::Short { protocol, bytes });
    let other = any::<u8>().prop_filter("has a name", |it| is_numbered(*it)).prop_map(Upper::Other);
    let leaf = prop_oneof![tcp, udp, message, short, other];
    if is_inner {
        return leaf.boxed();
    }
    let error = (select(errors.to_vec()).boxed(), any::<(u8, u16)>(), ip(v6), upper(v6, true))
        .prop_map(|(kind, (code, number), ip, upper)| Upper::Icmp {
            kind,
            code,
            number,
            inner: Some(Box::new((ip, upper))),
        });
    if v6 {
        prop_oneof![4 => leaf, 1 => error].boxed()
    } else {
        prop_oneof![8 => leaf, 2 => error, 1 => any::<u32>().prop_map(Upper::Esp)].boxed()
    }
}

fn line() -> impl Strategy<Value = Line> {
    any::<bool>().prop_flat_map(|v6| {
        let link = (option::of(any::<[[u8; 6]; 2]>()), option::of(0..4096_u16), any::<bool>());
        let options = (
            vec(any::<u8>(), 0..40),
            vec(any::<u8>(), 0..40),
            prop_oneof![4 => Just(0), 1 => 1..8192_u16],
            option::of(any::<[u32; 2]>()),
            prop_oneof![Just(0), any::<u32>()],
            any::<[bool; 2]>(),
        );
        let ports = [option::of(device()), option::of(device())];
        (prefix(), devices(), ports, link, ip(v6), upper(v6, false), options).prop_map(
            |(prefix, devices, ports, (mac, vlan, mac_decode), ip, upper, options)| Line {
                prefix,
                in_device: devices.0,
                out_device: devices.1,
                ports,
                mac,
                vlan,
                mac_decode,
                ip,
                upper,
                ip_options: options.0,
                tcp_options: options.1,
                fragment: options.2,
                owner: options.3,
                mark: options.4,
                sequence: options.5[0],
                is_ulogd: options.5[1],
            },
        )
    })
}

/// Whether each value of a packet that was read is that of the whole packet, or missing.
///
/// A protocol and a code can be the last text of a whole line, so a cut one can be the start of the right number.
fn agrees(read: &Headers, whole: &Headers) -> bool {
    let is_start = |read: u8, whole: u8| whole.to_string().starts_with(&read.to_string());
    let transport = match (read.transport, whole.transport) {
        (Transport::None, _) => true,
        (Transport::Icmp { kind, code }, Transport::Icmp { kind: other, code: whole }) => {
            kind == other && is_start(code, whole)
        }
        (Transport::Ports { .. }, whole) => read.transport.ports() == whole.ports(),
        (read, whole) => read == whole,
    };
    let protocol = match (read.protocol, whole.protocol) {
        (None, _) => true,
        // Of a fragment: the name is the last text of the line.
        (Some(protocol::UDP), Some(protocol::UDPLITE))
        | (Some(protocol::ICMP), Some(protocol::ICMPV6)) => whole.transport == Transport::None,
        (Some(read), Some(whole)) => is_start(read, whole),
        (Some(_), None) => false,
    };
    transport
        && protocol
        && read.addresses == whole.addresses
        && [0, whole.length].contains(&read.length)
        && [None, whole.ttl].contains(&read.ttl)
}

/// Whether a packet that was read from a part of a line is the line's packet, as far as it was read.
fn is_part(read: &LoggedPacket<'_>, line: &Line) -> bool {
    let whole = line.packet();
    let devices = |packet: &LoggedPacket<'_>| (packet.in_device.len(), packet.out_device.len());
    agrees(&read.headers, &whole.headers)
        && devices(read) == devices(&whole)
        && read.direction == whole.direction
        && read.hardware_address == whole.hardware_address
        && read
            .uid
            .is_none_or(|uid| whole.uid.unwrap_or(0).to_string().starts_with(&uid.to_string()))
        && format!("{:x}", whole.mark)
            .starts_with(format!("{:x}", read.mark).trim_start_matches('0'))
}

fn without_prefix(packet: LoggedPacket<'_>) -> LoggedPacket<'_> {
    LoggedPacket { prefix: b"", ..packet }
}

/// What a syslog daemon writes before a message.
const ENVELOPE: &str = "Dec  3 10:11:12 host kernel: [   12.345678] ";

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packet_that_the_kernel_writes_is_read_back(line in line()) {
        let text = line.written();
        prop_assert_eq!(packet_line::parse(&text), Ok(line.packet()), "{}", text.escape_ascii());
        let trimmed = text.trim_ascii_end();
        prop_assert_eq!(packet_line::parse(trimmed), Ok(line.packet()), "{}", trimmed.escape_ascii());
        for end in ["\r\n", "\0\0\0", "\n"] {
            let ended = [&text, end.as_bytes()].concat();
            prop_assert_eq!(packet_line::parse(&ended), Ok(line.packet()), "{}", ended.escape_ascii());
        }
    }

    #[test]
    fn a_cut_line_has_no_wrong_value(line in line()) {
        let text = line.written();
        for end in 0..text.len() {
            if let Ok(read) = packet_line::parse(&text[..end]) {
                prop_assert!(is_part(&read, &line), "{}: {read:?}", text[..end].escape_ascii());
                prop_assert_eq!(read.prefix, line.prefix.as_bytes());
            }
        }
    }

    #[test]
    fn a_whole_line_after_a_cut_one_is_read(first in line(), second in line(), at in any::<prop::sample::Index>()) {
        let first = first.written();
        let cut = &first[..at.index(first.len())];
        let text = [cut, &second.written()].concat();
        let read = packet_line::parse(&text).map(without_prefix);
        prop_assert_eq!(read, Ok(without_prefix(second.packet())), "{}", text.escape_ascii());
        let text = [cut, ENVELOPE.as_bytes(), &second.written()].concat();
        prop_assert_eq!(packet_line::parse(&text), Ok(second.packet()), "{}", text.escape_ascii());
    }

    #[test]
    fn a_cut_line_after_a_whole_one_does_not_change_it(
        first in line(), second in line(), at in any::<prop::sample::Index>(),
    ) {
        let text = second.written();
        let text = [&first.written(), ENVELOPE.as_bytes(), &text[..at.index(text.len())]].concat();
        let read = packet_line::parse(&text).unwrap();
        let is_first = read == first.packet();
        prop_assert!(is_first || is_part(&read, &second), "{}: {read:?}", text.escape_ascii());
    }

    #[test]
    fn a_line_without_its_middle_has_the_values_of_one_packet(
        first in line(), second in line(), at in any::<[prop::sample::Index; 2]>(),
    ) {
        let (head, tail) = (first.written(), second.written());
        let (head, tail) = (&head[..at[0].index(head.len())], &tail[at[1].index(tail.len())..]);
        let text = [head, ENVELOPE.as_bytes(), tail].concat();
        if let Ok(read) = packet_line::parse(&text) {
            prop_assert!(is_part(&read, &first) || is_part(&read, &second), "{}: {read:?}", text.escape_ascii());
        }
    }
}
