//! Lines that this kernel writes for real packets, with every option of iptables and nft. Requires root.

use nflog_exporter::{
    packet::{self, DecodeIssue, Direction, Headers, Transport},
    source::log::{
        envelope,
        line_time::LineTime,
        packet_line::{self, LoggedPacket},
    },
};

use crate::support::{
    Wire,
    frame::{self, STATION_MAC},
    kernel_log::KernelLog,
    netns::{HOST, HOST_MAC, HOST_V6, PEER_V6},
};

const MARK: u32 = 0xfeed_0001;
const SOURCE: [u8; 4] = [203, 0, 113, 5];

/// The Internet checksum, RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// A frame of the station.
fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&HOST_MAC[..], &STATION_MAC, &ether_type.to_be_bytes(), payload].concat()
}

/// An IPv4 packet to the host. `fragment` is the field with flags and offset.
fn ipv4(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let length = u16::try_from(20 + options.len() + payload.len()).unwrap();
    let mut header = vec![0x40 | words, 0x28];
    header.extend(length.to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([61, protocol, 0, 0]);
    header.extend(SOURCE);
    header.extend(HOST);
    header.extend(options);
    let sum = checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    [&header[..], payload].concat()
}

/// An IPv6 packet to the host.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut header = vec![0x62, 0x81, 0x23, 0x45];
    header.extend(length.to_be_bytes());
    header.extend([next, 62]);
    header.extend(PEER_V6);
    header.extend(HOST_V6);
    [&header[..], payload].concat()
}

fn tcp(flags: u8, options: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let header = [0x9c, 0x40, 0, 22, 1, 2, 3, 4, 5, 6, 7, 8, words << 4, flags, 4, 0, 0, 0, 0, 7];
    [&header[..], options].concat()
}

fn udp() -> Vec<u8> {
    vec![0xff, 0xff, 0, 53, 0, 12, 0, 0, b'd', b'a', b't', b'a']
}

fn icmp(kind: u8, code: u8, rest: [u8; 4], inner: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &rest[..], inner].concat()
}

/// Packets of IPv4. All are different.
fn packets_v4() -> Vec<Vec<u8>> {
    let whole = |protocol, payload: &[u8]| ipv4(protocol, 0x4000, &[], payload);
    let inner = ipv4(17, 0, &[], &udp());
    let syn_options = [2, 4, 5, 0xb4, 1, 3, 3, 7];
    let mut packets: Vec<_> = (0..=255).map(|flags| whole(6, &tcp(flags, &[]))).collect();
    packets.extend([
        whole(6, &tcp(2, &syn_options)),
        whole(17, &udp()),
        whole(136, &udp()),
        whole(1, &icmp(8, 0, [0, 7, 0, 1], b"ping")),
        whole(1, &icmp(0, 0, [0, 7, 0, 1], b"pong")),
        whole(1, &icmp(3, 3, [0; 4], &inner)),
        whole(1, &icmp(3, 4, [0, 0, 5, 0x78], &ipv4(6, 0, &[], &tcp(2, &[])))),
        whole(1, &icmp(11, 0, [0; 4], &ipv4(1, 0, &[], &icmp(8, 0, [0, 1, 0, 2], &[])))),
        whole(1, &icmp(5, 1, [192, 0, 2, 254], &inner)),
        whole(1, &icmp(12, 0, [20, 0, 0, 0], &inner)),
        whole(1, &icmp(13, 0, [0; 4], &[0; 12])),
        whole(2, &[0x16, 0, 9, 0xff, 224, 0, 0, 251]),
        whole(47, &[0, 0, 8, 0]),
        whole(50, &[0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1]),
        whole(51, &[6, 4, 0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 1, 0, 0, 0, 0]),
        whole(255, b"raw"),
        // First and later fragments.
        ipv4(17, 0x2000, &[], &udp()),
        ipv4(17, 0x2003, &[], &[0xaa; 16]),
        ipv4(6, 0x0005, &[], &[0xbb; 9]),
        ipv4(1, 0x0006, &[], &[0xcc; 10]),
        // Router alert.
        ipv4(17, 0, &[0x94, 4, 0, 0], &udp()),
    ]);
    packets
}

/// Packets of IPv6. All are different.
fn packets_v6() -> Vec<Vec<u8>> {
    let inner = ipv6(17, &udp());
    let fragment = |next: u8, offset: u16, payload: &[u8]| {
        let header = [&[next, 0][..], &offset.to_be_bytes(), &[1, 2, 3, 4]].concat();
        ipv6(44, &[&header[..], payload].concat())
    };
    // A padding option.
    let hop_by_hop = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp()].concat();
    vec![
        ipv6(6, &tcp(0x12, &[])),
        ipv6(6, &tcp(0xc2, &[2, 4, 5, 0xb4])),
        ipv6(17, &udp()),
        ipv6(136, &udp()),
        ipv6(58, &icmp(128, 0, [0, 7, 0, 1], b"ping")),
        ipv6(58, &icmp(135, 0, [0; 4], &[0; 16])),
        ipv6(58, &icmp(1, 4, [0; 4], &inner)),
        ipv6(58, &icmp(2, 0, [0, 0, 5, 0], &ipv6(6, &tcp(2, &[])))),
        ipv6(58, &icmp(4, 1, [0, 0, 0, 6], &inner)),
        ipv6(89, &[3, 1, 0, 8]),
        ipv6(59, b""),
        fragment(17, 1, &udp()),
        fragment(17, 0x0100, &[0xaa; 8]),
        fragment(6, 0x0209, &[0xbb; 8]),
        ipv6(0, &hop_by_hop),
    ]
}

/// The packet that the rule of this prefix logs.
fn expected<'a>(prefix: &'a str, ether_type: u16, packet: &[u8]) -> LoggedPacket<'a> {
    let length = u32::try_from(packet.len()).unwrap();
    let headers = packet::decode(packet, Some(ether_type), length);
    LoggedPacket {
        prefix: prefix.as_bytes(),
        in_device: "wan0",
        out_device: "",
        direction: Some(Direction::In),
        ether_type: Some(ether_type),
        hardware_address: nflog_exporter::event::HardwareAddress::new(&STATION_MAC),
        mark: MARK,
        uid: None,
        headers,
    }
}

/// Checks that the rule of this prefix logged the packet, once.
fn check(records: &[Vec<u8>], prefix: &str, ether_type: u16, packet: &[u8]) {
    let expect = expected(prefix, ether_type, packet);
    let mut count = 0;
    for record in records {
        let envelope = envelope::parse(record);
        assert!(matches!(envelope.time, LineTime::SinceBoot(_)) && envelope.may_log_packets());
        let read = packet_line::parse(envelope.message).unwrap();
        if read.prefix == prefix.as_bytes() {
            assert_eq!(read, expect, "{}", record.escape_ascii());
            count += 1;
        }
    }
    assert_eq!(count, 1, "{prefix}: {records:?}");
}

/// Unique in the log of the kernel, and short enough for iptables.
fn tag(wire: &Wire) -> String {
    let mut parts = wire.host.name().split('-');
    let (process, number) = (parts.nth(1).unwrap(), parts.next().unwrap());
    format!("nfl{process}.{number}")
}

const IPTABLES: &str = "--log-level debug --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid --log-macdecode";

/// Adds a rule of iptables or ip6tables at the end of the chain of raw.
fn iptables(wire: &Wire, program: &str, prefix: &str, options: &str) {
    let rule = "-t raw -A PREROUTING -m mac --mac-source 02:00:00:00:00:0a -j LOG";
    let words = [rule, options].join(" ");
    let mut arguments: Vec<_> = words.split(' ').filter(|word| !word.is_empty()).collect();
    arguments.extend(["--log-prefix", prefix]);
    wire.host.exec(program, &arguments);
}

#[test]
fn lines_of_each_rule_are_the_packets_that_were_sent() {
    let wire = Wire::new();
    let tag = tag(&wire);
    let prefixes = ["plain", "all ", "xt", "xt all: ", "xt6", "xt6 [all] "];
    let [plain, all, xt, xt_all, v6, v6_all] = prefixes.map(|name| format!("{tag} {name}"));
    wire.host.nft(&format!(
        "table inet t {{
            chain first {{ type filter hook prerouting priority -350
                ether saddr 02:00:00:00:00:0a meta mark set {MARK:#x}
            }}
            chain second {{ type filter hook prerouting priority -340
                ether saddr 02:00:00:00:00:0a log prefix \"{plain}\"
                ether saddr 02:00:00:00:00:0a log prefix \"{all}\" level info flags all
            }}
        }}"
    ));
    iptables(&wire, "iptables", &xt, "");
    iptables(&wire, "iptables", &xt_all, IPTABLES);
    iptables(&wire, "ip6tables", &v6, "");
    iptables(&wire, "ip6tables", &v6_all, IPTABLES);
    let mut log = KernelLog::open();

    for (ether_type, packets, prefixes) in [
        (0x0800, packets_v4(), [&plain, &all, &xt, &xt_all]),
        (0x86dd, packets_v6(), [&plain, &all, &v6, &v6_all]),
    ] {
        for packet in &packets {
            wire.send([ethernet(ether_type, packet)]);
            let records = log.read(&tag, prefixes.len());
            for prefix in prefixes {
                check(&records, prefix, ether_type, packet);
            }
        }
    }
}

/// The kernel writes no ports of SCTP, and only how many bytes of a header there are if it is too short.
#[test]
fn lines_contain_what_the_kernel_reads_of_a_packet() {
    let wire = Wire::new();
    let prefix = format!("{} ", tag(&wire));
    wire.host.nft(&format!(
        "table inet t {{ chain second {{ type filter hook prerouting priority -340
            ether saddr 02:00:00:00:00:0a meta mark set {MARK:#x} log prefix \"{prefix}\" flags all
        }}; }}"
    ));
    let mut log = KernelLog::open();
    for (protocol, payload, issue) in [
        (132, vec![0x9c, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 0], None),
        (6, tcp(2, &[])[..8].to_vec(), Some(DecodeIssue::Truncated)),
        (17, udp()[..4].to_vec(), Some(DecodeIssue::Truncated)),
        (1, vec![8, 0, 0], Some(DecodeIssue::Truncated)),
    ] {
        let packet = ipv4(protocol, 0, &[], &payload);
        wire.send([ethernet(0x0800, &packet)]);
        let records = log.read(&prefix, 1);
        let read = packet_line::parse(envelope::parse(&records[0]).message).unwrap();
        let whole = expected(&prefix, 0x0800, &packet);
        let headers = Headers { transport: Transport::None, issue, ..whole.headers };
        // After a header that is too short, the kernel writes no mark.
        assert_eq!(read, LoggedPacket { headers, mark: read.mark, ..whole });
        assert!([MARK, 0].contains(&read.mark), "{read:?}");
    }
}

#[test]
fn lines_of_arp_and_of_other_families_are_read() {
    let wire = Wire::new();
    let tag = tag(&wire);
    wire.host.nft(&format!(
        "table arp a {{ chain in {{ type filter hook input priority 0
            arp saddr ether 02:00:00:00:00:0a log prefix \"{tag} arp \" flags all
            arp saddr ether 02:00:00:00:00:0a log prefix \"{tag} bare \"
        }}; }}
        table netdev n {{ chain in {{ type filter hook ingress device wan0 priority 0
            ether saddr 02:00:00:00:00:0a log prefix \"{tag} dev \" flags all
        }}; }}"
    ));
    let mut log = KernelLog::open();
    let headers = [0, 1, 8, 0, 6, 4, 0, 1];
    let arp = [&headers[..], &STATION_MAC, &SOURCE, &[0; 6], &HOST].concat();
    wire.send([ethernet(0x0806, &arp)]);
    for record in log.read(&tag, 3) {
        let read = packet_line::parse(envelope::parse(&record).message).unwrap();
        let prefix = std::str::from_utf8(read.prefix).unwrap().to_owned();
        assert!(prefix.starts_with(&tag));
        let expect = LoggedPacket { mark: 0, ..expected(&prefix, 0x0806, &arp) };
        assert_eq!(expect.headers, Headers::unread(DecodeIssue::NotIp, 28));
        assert_eq!(read, expect, "{}", record.escape_ascii());
    }

    // A VLAN tag, and a protocol that is not IP.
    let tagged = frame::encapsulated(&[0x81, 0, 0, 7, 8, 0], 4000);
    wire.send([tagged.clone(), ethernet(0x88cc, &[2, 7, 4])]);
    let records = log.read(&format!("{tag} dev "), 2);
    assert!(records[0].windows(18).any(|part| part == b"VPROTO=8100 VID=7 "), "{records:?}");
    let prefix = format!("{tag} dev ");
    let read = |record: &[u8]| {
        let read = packet_line::parse(envelope::parse(record).message).unwrap();
        assert_eq!((read.in_device, read.hardware_address.as_bytes()), ("wan0", &STATION_MAC[..]));
        (read.ether_type, read.headers)
    };
    let expect = expected(&prefix, 0x0800, &tagged[18..]);
    assert_eq!(read(&records[0]), (Some(0x0800), expect.headers));
    let unread = Headers::unread(DecodeIssue::NotIp, 0);
    assert_eq!(read(&records[1]), (Some(0x88cc), unread));
}

#[test]
fn lines_of_packets_that_this_host_sends_have_the_user() {
    let wire = Wire::new();
    let prefix = format!("{} out ", tag(&wire));
    wire.host.nft(&format!(
        "table inet t {{ chain out {{ type filter hook output priority 0
            udp dport 9 log prefix \"{prefix}\" flags skuid
        }}; }}"
    ));
    let mut log = KernelLog::open();
    let as_user = ["--reuid=12345", "--regid=12345", "--clear-groups", "bash", "-c"];
    wire.host.exec("setpriv", &[&as_user[..], &["echo >/dev/udp/198.51.100.2/9"]].concat());
    let records = log.read(&prefix, 1);
    let read = packet_line::parse(envelope::parse(&records[0]).message).unwrap();
    assert_eq!((read.in_device, read.out_device), ("", "wan0"));
    assert_eq!((read.direction, read.uid), (Some(Direction::Out), Some(12345)));
    assert_eq!(read.headers.transport.ports().unwrap().1, 9);
    assert_eq!(read.headers.length, 29);
}
