//! The link type NFLOG: the attributes and their fields.

use super::{
    Connection, Direction, Hook, Owned, check, packet, read,
    write::{MICROSECONDS, ORDERS, Order, attribute, pcap, pcap_file, pcap_frame},
};
use crate::event::ConnectionState;

const NFLOG: u32 = 239;
const INET: u8 = 2;

/// `struct nfgenmsg` for group 5.
fn header(family: u8) -> Vec<u8> {
    vec![family, 0, 0, 5]
}

/// The attributes of a connection in zone 9, which is the zone of its original direction only.
fn connection(order: Order) -> Vec<u8> {
    let zone = attribute(order, 3, &9_u16.to_be_bytes());
    [attribute(order, 3, &[0, 0, 0, 8]), attribute(order, 1 | 0x8000, &zone)].concat()
}

/// All attributes, as the kernel writes them for a forwarded packet.
fn full(order: Order) -> Vec<u8> {
    let time = [1_700_000_000_u64.to_be_bytes(), 42_u64.to_be_bytes()].concat();
    let hardware = [0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0];
    [
        header(INET),
        attribute(order, 1, &[0x08, 0x00, 2, 0]),
        attribute(order, 10, b"drop web \0"),
        attribute(order, 4, &3_u32.to_be_bytes()),
        attribute(order, 5, &4_u32.to_be_bytes()),
        attribute(order, 2, &0xab_u32.to_be_bytes()),
        attribute(order, 8, &hardware),
        attribute(order, 3, &time),
        attribute(order, 11, &1000_u32.to_be_bytes()),
        attribute(order, 14, &1000_u32.to_be_bytes()),
        attribute(order, 0x8012, &connection(order)),
        attribute(order, 19, &4_u32.to_be_bytes()),
        // The flag bits of a type are ignored.
        attribute(order, 9 | 0x8000, &packet()),
    ]
    .concat()
}

#[test]
fn all_attributes() {
    let expect = Owned {
        group: 5,
        prefix: "drop web ".into(),
        hook: Some(Hook::Forward),
        direction: Some(Direction::Forward),
        ether_type: Some(0x0800),
        issue: None,
        mark: 0xab,
        in_device: "if3".into(),
        out_device: "if4".into(),
        hardware_address: vec![1, 2, 3, 4, 5, 6],
        uid: Some(1000),
        connection: Some(Connection { state: Some(ConnectionState::Related), zone: 9 }),
        time: Some(1_700_000_000_000_042),
        payload: packet(),
        wire_length: 48,
    };
    for order in ORDERS {
        let frame = pcap_frame(order, 5, &full(order), 0);
        check(&[pcap(order, MICROSECONDS, NFLOG), frame].concat(), std::slice::from_ref(&expect));
    }
}

#[test]
fn no_attributes() {
    let expect = Owned {
        group: 5,
        prefix: "given".into(),
        time: Some(1_000_005),
        payload: packet(),
        wire_length: 48,
        ..Owned::default()
    };
    let order = Order::Little;
    let bare = [header(INET), attribute(order, 9, &packet())].concat();
    check(&pcap_file(NFLOG, &[&bare]), std::slice::from_ref(&expect));
    let unnamed = [header(INET), attribute(order, 10, b"\0"), attribute(order, 9, &packet())];
    check(&pcap_file(NFLOG, &[&unnamed.concat()]), &[expect]);
}

#[test]
fn fields_do_not_leak_into_the_next_frame() {
    let order = Order::Little;
    let bare = [header(INET), attribute(order, 9, &packet())].concat();
    let (records, _) = read(&pcap_file(NFLOG, &[&full(order), &bare]));
    assert_eq!((records[1].in_device.as_str(), records[1].out_device.as_str()), ("", ""));
    assert_eq!((records[1].mark, records[1].prefix.as_str()), (0, "given"));
}

#[test]
fn hooks_and_directions() {
    use {Direction as D, Hook as H};
    for (family, number, inbound, expect) in [
        (2, 0, true, Some((H::Prerouting, D::In))),
        (2, 1, true, Some((H::Input, D::In))),
        (10, 2, true, Some((H::Forward, D::Forward))),
        (10, 3, false, Some((H::Output, D::Out))),
        (2, 4, false, Some((H::Postrouting, D::Out))),
        (2, 4, true, Some((H::Postrouting, D::Forward))),
        (1, 5, true, Some((H::Ingress, D::In))),
        (2, 6, true, None),
        (3, 1, false, Some((H::Output, D::Out))),
        (5, 0, true, Some((H::Ingress, D::In))),
        (5, 1, false, Some((H::Egress, D::Out))),
        (7, 5, true, None),
    ] {
        let order = Order::Little;
        let device = u32::from(inbound).to_be_bytes();
        let frame =
            [header(family), attribute(order, 1, &[8, 0, number, 0]), attribute(order, 4, &device)];
        let (records, _) = read(&pcap_file(NFLOG, &[&frame.concat()]));
        let found = records[0].hook.zip(records[0].direction);
        assert_eq!(found, expect, "{family} {number}");
    }
}

#[test]
fn a_truncated_frame_has_the_attributes_before_its_end() {
    let frame = full(Order::Little);
    for length in 0..frame.len() {
        let (records, error) = read(&pcap_file(NFLOG, &[&frame[..length]]));
        assert_eq!((records.len(), error.as_str()), (1, ""));
        assert!(packet().starts_with(&records[0].payload));
    }
    // The payload is last, and its attribute has the original length.
    let (records, _) = read(&pcap_file(NFLOG, &[&frame[..frame.len() - 8]]));
    assert_eq!((records[0].payload.len(), records[0].wire_length), (40, 48));
}

#[test]
fn an_attribute_with_an_invalid_length_is_the_last() {
    let order = Order::Little;
    for length in [0_u16, 1, 3] {
        let bad = [&order.u16(length)[..], &order.u16(9)].concat();
        let frame = [header(INET), attribute(order, 2, &[0, 0, 0, 7]), bad].concat();
        let (records, _) = read(&pcap_file(NFLOG, &[&frame]));
        assert_eq!(records[0].mark, 7);
        assert!(records[0].payload.is_empty());
    }
}

/// The attribute names the outermost header, in the family netdev also on egress.
#[test]
fn headers_before_ip() {
    let session = [&[0x11, 0, 0, 1, 0, 50, 0, 0x21][..], &packet()].concat();
    let framed = [&[2; 12][..], &[0x88, 0x64], &session].concat();
    let order = Order::Little;
    for (family, hook, payload) in [(7, 0, &session), (5, 0, &session), (5, 1, &framed)] {
        let whole = [
            header(family),
            attribute(order, 1, &[0x88, 0x64, hook, 0]),
            attribute(order, 9, payload),
        ]
        .concat();
        for missing in [0, 8] {
            let (records, _) = read(&pcap_file(NFLOG, &[&whole[..whole.len() - missing]]));
            assert_eq!(records[0].ether_type, Some(0x0800));
            assert!(packet().starts_with(&records[0].payload));
            // The attribute has the original length.
            assert_eq!(records[0].wire_length, 48);
        }
    }
}
