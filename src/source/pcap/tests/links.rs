//! Every link type: what stands before the packet, and what it tells.

use super::{
    Direction, Owned, check, packet,
    write::{Order, interface, option, pcap_file, section, simple},
};

/// What a frame of pcap file gives, but for the link's own facts.
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

/// Checks that each cut of the header gives a record with an empty payload.
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

#[test]
fn ethernet_with_a_deeper_stack_is_not_ip() {
    let five = [0x81, 0, 0, 1].repeat(5);
    let (records, _) = super::read(&pcap_file(1, &[&[&ADDRESSES[..], &five, &[8, 0]].concat()]));
    assert_eq!(records[0].ether_type, Some(0x8100));
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
    let came_in =
        Owned { direction: Some(Direction::In), in_device: "if3".into(), ..owned.clone() };
    check_link(276, &header(0), &came_in);
    let went_out = Owned { direction: Some(Direction::Out), out_device: "if3".into(), ..owned };
    check_link(276, &header(4), &went_out);
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
