//! Headers of every link type, and the fields that are read from them.

use super::{
    DecodeIssue, Direction, Owned, check, packet,
    write::{Order, interface, option, pcap_file, section, simple},
};

/// The record of a frame of a pcap file, without fields of its link header.
fn plain() -> Owned {
    Owned {
        prefix: "given".into(),
        time: Some(1_000_005),
        payload: packet(),
        wire_length: 48,
        ..Owned::default()
    }
}

/// Checks a frame of this link type: its header, then [`packet`].
#[track_caller]
fn check_link(link: u32, header: &[u8], expect: &Owned) {
    check(&pcap_file(link, &[&[header, &packet()].concat()]), std::slice::from_ref(expect));
}

/// Checks that a header truncated at any byte yields a record with an empty payload.
#[track_caller]
fn check_short(link: u32, header: &[u8]) {
    for length in 0..header.len() {
        let (records, error) = super::read(&pcap_file(link, &[&header[..length]]));
        assert_eq!((records.len(), error.as_str()), (1, ""), "{length}");
        assert!(records[0].payload.is_empty() && records[0].wire_length == 0, "{length}");
        assert_eq!(records[0].ether_type, None, "{length}");
    }
}

const ADDRESSES: [u8; 12] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3];

#[test]
fn ethernet() {
    let owned =
        Owned { ether_type: Some(0x0800), hardware_address: vec![2, 2, 2, 2, 2, 3], ..plain() };
    let tags: [&[u8]; 5] = [
        &[],
        &[0x81, 0x00, 0, 5],
        &[0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6],
        &[0x91, 0x00, 0, 1, 0x81, 0x00, 0, 2, 0x81, 0x00, 0, 3],
        &[0x81, 0x00, 0, 1, 0x81, 0x00, 0, 2, 0x81, 0x00, 0, 3, 0x81, 0x00, 0, 4],
    ];
    for tags in tags {
        let header = [&ADDRESSES[..], tags, &[8, 0]].concat();
        check_link(1, &header, &owned);
        check_short(1, &header);
    }
}

/// Parses hexadecimal digits, with spaces between them.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Checks a frame of this link type, with its header in hexadecimal, and the header truncated at any byte.
#[track_caller]
fn check_header(link: u32, header: &str, expect: &Owned) {
    check_link(link, &hex(header), expect);
    check_short(link, &hex(header));
}

/// The record of an IPv4 packet, without other fields of its link header.
fn ipv4() -> Owned {
    Owned { ether_type: Some(0x0800), ..plain() }
}

/// The same with the source address of [`ADDRESSES`].
fn from_ethernet() -> Owned {
    Owned { hardware_address: vec![2, 2, 2, 2, 2, 3], ..ipv4() }
}

const ETHERNET: &str = "010101010101 020202020203";

/// tshark and tcpdump decode each of these headers in the same way.
#[test]
fn headers_between_ethernet_and_ip() {
    for headers in [
        // Tags of every kind, and six tags.
        "9100 0001 9200 0002 9300 0003 88a8 0004 8100 0005 0800",
        "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 8100 0006 0800",
        // PPPoE without and with tags, and with a compressed protocol field.
        "8864 1100 0001 0032 0021",
        "8100 0007 8864 1100 0001 0032 0021",
        "88a8 0007 8100 0008 8864 1100 0001 0032 0021",
        "8864 1100 0001 0032 21",
        // LLC after a length: SNAP, a bridge tunnel, the SAP of IP; also after a tag and before one.
        "0038 aaaa03 000000 0800",
        "0038 aaaa03 0000f8 0800",
        "0033 060603",
        "8100 0007 0038 aaaa03 000000 0800",
        "0042 aaaa03 000000 8100 0007 0800",
    ] {
        check_header(1, &format!("{ETHERNET} {headers}"), &from_ethernet());
    }
    // After the last label, only the version field identifies the packet.
    let by_version = Owned { ether_type: None, ..from_ethernet() };
    for headers in [
        "8847 00010140",
        "8848 00010140",
        "8847 00010040 00020040 00030140",
        "8100 0007 8847 00010140",
        "8864 1100 0001 0036 0281 00010040 00020140",
    ] {
        check_header(1, &format!("{ETHERNET} {headers}"), &by_version);
    }
}

#[test]
fn headers_without_an_ip_packet() {
    for headers in [
        // ARP, PPPoE discovery, LCP, IPX and STP after LLC, SNAP of another organisation.
        "0806",
        "8863 1109 0000 0004 0101",
        "8864 1100 0001 0006 c021",
        "0040 ffff",
        "0040 424203",
        "0040 aaaa03 00000c 2000",
        // Neither a length nor an EtherType.
        "05dd",
    ] {
        let header = hex(&format!("{ETHERNET} {headers}"));
        let (records, error) = super::read(&pcap_file(1, &[&[header, packet()].concat()]));
        assert_eq!((records[0].ether_type, error.as_str()), (Some(0), ""), "{headers}");
    }
}

/// The number of headers that are parsed is limited.
#[test]
fn deep_stacks_of_headers_are_not_parsed() {
    for (header, count) in [([0x81, 0, 0, 1], 32), ([0, 1, 0, 0x40], 31)] {
        let first: &[u8] = if count == 31 { &[0x88, 0x47] } else { &[] };
        let end: &[u8] = if count == 31 { &[0, 1, 1, 0x40] } else { &[8, 0] };
        for (more, ether_type) in [(-1, None), (0, Some(0)), (16_000, Some(0))] {
            let headers = header.repeat(usize::try_from(count + more).unwrap());
            let frame = [&ADDRESSES[..], first, &headers, end, &packet()].concat();
            let (records, _) = super::read(&pcap_file(1, &[&frame]));
            let expect = ether_type.or((count == 32).then_some(0x0800));
            assert_eq!(records[0].ether_type, expect, "{count} + {more}");
        }
    }
}

#[test]
fn serial_lines() {
    for header in ["ff03 0021", "0021", "21", "ff03 21"] {
        check_link(9, &hex(header), &ipv4());
    }
    let ipv6 = Owned { ether_type: Some(0x86dd), ..plain() };
    check_header(9, "ff03 0057", &ipv6);
    check_header(50, "ff03 0021", &ipv4());
    for address in ["0f", "8f"] {
        check_header(50, &format!("{address}00 0800"), &ipv4());
        check_header(104, &format!("{address}00 0800"), &ipv4());
    }
    check_header(104, "0f00 86dd", &ipv6);
    check_header(51, "1100 0001 0032 0021", &ipv4());
    let inbound = Owned { direction: Some(Direction::In), ..ipv4() };
    let outbound = Owned { direction: Some(Direction::Out), ..ipv4() };
    check_link(166, &hex("0003 0021"), &inbound);
    check_link(166, &hex("0103 0021"), &outbound);
    check_link(166, &hex("ff03 0021"), &ipv4());
    check_header(204, "00 ff03 0021", &inbound);
    check_header(204, "01 0021", &outbound);
}

const LLC: &str = "aaaa03 000000 0800";
const FROM_ACCESS_POINT: &str = "0802 0000 020000000001 020000000002 020000000003 0000";

/// The record of an 802.11 frame from the address with this last byte.
fn from_station(last: u8) -> Owned {
    Owned { hardware_address: vec![2, 0, 0, 0, 0, last], ..ipv4() }
}

#[test]
fn wireless() {
    let frame = format!("{FROM_ACCESS_POINT} {LLC}");
    check_header(105, &frame, &from_station(3));
    for (header, sender) in [
        // Between stations, to the access point, between access points.
        ("0800 0000 020000000001 020000000002 020000000003 0000", 2),
        ("0801 0000 020000000001 020000000002 020000000003 0000", 2),
        ("0803 0000 020000000001 020000000002 020000000003 0000 020000000004", 4),
        // With quality of service, and high throughput control.
        ("8802 0000 020000000001 020000000002 020000000003 0000 0000", 3),
        ("8882 0000 020000000001 020000000002 020000000003 0000 0000 00000000", 3),
        ("8803 0000 020000000001 020000000002 020000000003 0000 020000000004 0000", 4),
        // The first packet of an aggregate has its own addresses.
        (
            "8802 0000 020000000001 020000000002 020000000003 0000 8000 020000000005 020000000006 0038",
            6,
        ),
    ] {
        check_header(105, &format!("{header} {LLC}"), &from_station(sender));
    }
    check_header(119, &format!("{} {frame}", "44".repeat(144)), &from_station(3));
    for link in [119, 163] {
        let avs = format!("80211001 00000040 {}", "00".repeat(56));
        check_header(link, &format!("{avs} {frame}"), &from_station(3));
    }
    check_header(127, &format!("0000 0800 00000000 {frame}"), &from_station(3));
    // The body is padded, according to a field at a variable offset.
    let padded = "8802 0000 020000000001 020000000002 020000000003 0000 0000 0000";
    for radiotap in ["0000 1100 03000000 0000000000000000 20", "0000 0d00 020000a0 00000020 20"] {
        check_header(127, &format!("{radiotap} {padded} {LLC}"), &from_station(3));
    }
    check_header(192, &format!("0000 0c00 69000000 63000000 {frame}"), &from_station(3));
}

#[test]
fn wireless_frames_without_a_readable_packet() {
    for frame in [
        // A beacon, an acknowledgement, a null frame, an encrypted one, a later fragment.
        "8000 0000 ffffffffffff 020000000002 020000000002 0000",
        "d400 0000 020000000001",
        "4802 0000 020000000001 020000000002 020000000003 0000",
        "0842 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 0800",
        "0802 0000 020000000001 020000000002 020000000003 0100 aaaa03 000000 0800",
    ] {
        let (records, error) = super::read(&pcap_file(105, &[&hex(frame)]));
        assert_eq!((records[0].ether_type, error.as_str()), (Some(0), ""), "{frame}");
    }
}

#[test]
fn systems_other_than_linux() {
    for family in ["02000000", "00000002"] {
        check_header(109, &format!("{family} 00000000 00000000"), &ipv4());
    }
    let device = |name: &str| Owned { in_device: name.into(), ..ipv4() };
    // The headers of NetBSD, FreeBSD and OpenBSD: 61, 69 and 100 bytes, padded.
    for (length, padded) in [("3d", 64), ("45", 72), ("64", 100)] {
        for (way, direction) in [("00", None), ("01", Some(Direction::In))] {
            let name = "656d3000".to_owned() + &"00".repeat(12);
            let rest = "00".repeat(padded - 61);
            let header = format!("{length} 02 00 01 {name} {} {way} {rest}", "00".repeat(40));
            check_header(117, &header, &Owned { direction, ..device("em0") });
        }
    }
    let pktap = |link: &str, flags: &str| {
        let name = "656e3000".to_owned() + &"00".repeat(20);
        format!("6c000000 01000000 {link}000000 {name} {flags}000000 {}", "00".repeat(68))
    };
    let outbound =
        Owned { direction: Some(Direction::Out), out_device: "en0".into(), ..from_ethernet() };
    check_header(258, &format!("{} {ETHERNET} 0800", pktap("01", "02")), &outbound);
    let raw = Owned { ether_type: None, direction: Some(Direction::In), ..device("en0") };
    check_header(258, &pktap("0c", "01"), &raw);
    // Solaris.
    let header = "01 02 0000 00000030 00000003 00000000 00000000 00000000";
    check_header(226, header, &device("if3"));
    check_header(
        226,
        &header.replacen("02", "1a", 1),
        &Owned { ether_type: Some(0x86dd), ..device("if3") },
    );
}

/// A header of Apple that describes a process, without a frame.
#[test]
fn a_header_without_a_frame() {
    let header = format!("6c000000 00000000 01000000 {}", "00".repeat(96));
    let (records, error) = super::read(&pcap_file(258, &[&hex(&header)]));
    assert_eq!((records[0].ether_type, error.as_str()), (Some(0), ""));
}

#[test]
fn nested_headers() {
    let ppi = "0000 0800 01000000";
    check_header(192, &format!("{ppi} {ETHERNET} 0800"), &from_ethernet());
    // A header that contains itself again and again.
    let frame = hex(&"0000 0800 c0000000".repeat(1000));
    let (records, error) = super::read(&pcap_file(192, &[&frame]));
    assert_eq!((records[0].ether_type, error.as_str()), (Some(0), ""));
    // A header with a frame of an unsupported link type, and one with a message of the packet log.
    for link in ["bd", "ef"] {
        let (records, error) =
            super::read(&pcap_file(192, &[&hex(&format!("0000 0800 {link}000000 00"))]));
        assert_eq!(records[0].issue, Some(DecodeIssue::LinkType));
        assert!(error.contains("(1 frame is counted as undecoded)"), "{error}");
    }
}

#[test]
fn switches_and_infiniband() {
    check_header(281, &format!("{ETHERNET} 00000001 0800"), &from_ethernet());
    check_header(282, &format!("00000001 {ETHERNET} 0800"), &from_ethernet());
    check_header(284, &format!("{ETHERNET} c0080001 0800"), &from_ethernet());
    check_header(285, &format!("{ETHERNET} dada 0000 c0080001 8100 0007 0800"), &from_ethernet());
    check_header(242, &format!("{} 0800 0000", "00".repeat(40)), &ipv4());
}

#[test]
fn cooked_captures_with_headers_before_ip() {
    let inbound = Owned { direction: Some(Direction::In), ..from_ethernet() };
    for headers in [
        "8864 1100 0001 0032 0021",
        "8100 0007 8864 1100 0001 0032 0021",
        "0004 aaaa03 000000 0800",
    ] {
        check_header(113, &format!("0000 0001 0006 020202020203 0000 {headers}"), &inbound);
    }
    let header = "0004 0000 00000003 0001 00 06 020202020203 0000 aaaa03 000000 0800";
    check_header(276, header, &Owned { in_device: "if3".into(), ..inbound });
}

/// For any bytes, the payload of a record is the end of its frame.
mod any_bytes {
    use proptest::prelude::*;

    use super::pcap_file;
    use crate::source::link::LinkType;

    /// Every link type except NFLOG, whose payload is an attribute.
    fn links() -> Vec<u32> {
        let all = LinkType::all().filter(|(_, link)| *link != LinkType::Nflog);
        all.map(|(number, _)| number).collect()
    }

    proptest! {
        #[test]
        fn give_one_record(
            link in prop::sample::select(links()),
            begin in prop::sample::select(vec!["", "8864", "8847", "aaaa03000000", "88020000"]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let frame = [super::hex(begin), bytes].concat();
            let (records, _) = super::super::read(&pcap_file(link, &[&frame]));
            prop_assert_eq!(records.len(), 1);
            prop_assert!(frame.ends_with(&records[0].payload));
        }

        /// The packet is found after any stack of headers.
        #[test]
        fn of_any_stack(
            tags in prop::collection::vec((0..5_usize, any::<u16>()), 0..30),
            llc in any::<bool>(),
        ) {
            let tags = tags.iter().flat_map(|(kind, value)| {
                let kind = [0x8100_u16, 0x88a8, 0x9100, 0x9200, 0x9300][*kind];
                [kind.to_be_bytes(), value.to_be_bytes()].concat()
            });
            let tags: Vec<u8> = tags.collect();
            let llc = super::hex(if llc { "0038 aaaa03 000000" } else { "" });
            let header = [&super::ADDRESSES[..], &tags, &llc, &[8, 0]].concat();
            super::check_link(1, &header, &super::from_ethernet());
        }
    }
}

#[test]
fn raw() {
    for link in [12, 14, 101] {
        check_link(link, &[], &plain());
    }
    check_link(228, &[], &Owned { ether_type: Some(0x0800), ..plain() });
    check_link(229, &[], &Owned { ether_type: Some(0x86dd), ..plain() });
}

#[test]
fn loopback() {
    for link in [0, 108] {
        for (family, ether_type) in
            [(2_u32, 0x0800), (10, 0x86dd), (24, 0x86dd), (28, 0x86dd), (30, 0x86dd), (7, 0)]
        {
            let expect = Owned { ether_type: Some(ether_type), ..plain() };
            check_link(link, &family.to_be_bytes(), &expect);
            check_link(link, &family.to_le_bytes(), &expect);
        }
        check_short(link, &2_u32.to_be_bytes());
    }
}

/// A cooked header.
fn cooked(packet_type: u8, tags: &[u8]) -> Vec<u8> {
    let header = [0, packet_type, 0, 1, 0, 6, 2, 2, 2, 2, 2, 3, 0, 0];
    [&header[..], tags, &[8, 0]].concat()
}

#[test]
fn linux_cooked() {
    let owned =
        Owned { ether_type: Some(0x0800), hardware_address: vec![2, 2, 2, 2, 2, 3], ..plain() };
    for (packet_type, direction) in [(0, Direction::In), (1, Direction::In), (4, Direction::Out)] {
        let expect = Owned { direction: Some(direction), ..owned.clone() };
        check_link(113, &cooked(packet_type, &[]), &expect);
        check_link(113, &cooked(packet_type, &[0x81, 0, 0, 9]), &expect);
    }
    check_short(113, &cooked(0, &[0x81, 0, 0, 9]));
}

#[test]
fn linux_cooked_2() {
    let header =
        |packet_type| [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, packet_type, 6, 2, 2, 2, 2, 2, 3, 0, 0];
    let owned =
        Owned { ether_type: Some(0x0800), hardware_address: vec![2, 2, 2, 2, 2, 3], ..plain() };
    let inbound =
        Owned { direction: Some(Direction::In), in_device: "if3".into(), ..owned.clone() };
    check_link(276, &header(0), &inbound);
    let outbound = Owned { direction: Some(Direction::Out), out_device: "if3".into(), ..owned };
    check_link(276, &header(4), &outbound);
    check_short(276, &header(0));
}

#[test]
fn device_of_a_cooked_capture() {
    for (name, expect) in [("any", ""), ("ppp0", "ppp0")] {
        let order = Order::Little;
        let name = option(order, 2, name.as_bytes());
        let data = [cooked(0, &[]), packet()].concat();
        let file =
            [section(order), interface(order, 113, 0, &[name]), simple(order, 64, &data)].concat();
        let (records, error) = super::read(&file);
        assert_eq!((records[0].in_device.as_str(), error.as_str()), (expect, ""));
    }
}

#[test]
fn length_on_the_wire() {
    let mut file = super::write::pcap(Order::Little, super::write::MICROSECONDS, 1);
    let data = [&ADDRESSES[..], &[8, 0], &packet()].concat();
    file.extend(super::write::pcap_frame(Order::Little, 5, &data, 1000));
    let (records, _) = super::read(&file);
    assert_eq!((records[0].payload.len(), records[0].wire_length), (48, 1048));
}
