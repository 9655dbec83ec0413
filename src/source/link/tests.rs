//! Names and numbers of link types, and frames logged on egress. Each link type is tested with the captures.

use etherparse::PacketBuilder;

use super::{link_type_names::NAMES, *};

#[test]
fn names_and_numbers() {
    assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
    for (number, link) in LinkType::all() {
        assert_eq!(LinkType::from_number(number), Some(link));
        assert_eq!(LinkType::from_number(link.number()), Some(link));
        // Two numbers of raw IP are system-specific, not in the registry.
        let name = NamedLinkType(number).to_string();
        assert_eq!(name.contains('('), ![12, 14].contains(&number), "{name}");
    }
    assert_eq!(NamedLinkType(189).to_string(), "189 (USB_LINUX)");
    assert_eq!(NamedLinkType(65_535).to_string(), "65535");
}

fn ipv4(source: [u8; 4]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(source, [198, 51, 100, 2], 64).udp(1234, 53);
    builder.write(&mut packet, &[7; 20]).unwrap();
    packet
}

/// Checks the packet of a frame logged on egress with this `EtherType`.
#[track_caller]
fn check(ether_type: u16, frame: &[u8], expect: (Option<u16>, &[u8])) {
    let inner = egress(ether_type, frame).unwrap();
    assert_eq!((inner.ether_type, inner.payload), expect);
}

/// Tries every third octet: it has the offset of an IP header's version.
#[test]
fn frames_with_and_without_ethernet_on_egress() {
    for octet in 0..=255 {
        // The source address has the offset of the Ethernet type.
        let tunnelled = ipv4([8, 0, octet, 7]);
        check(0x0800, &tunnelled, (Some(0x0800), &tunnelled));
        for first in [0x02, 0x45, 0x4f] {
            let framed = [&[first, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &tunnelled].concat();
            check(0x0800, &framed, (Some(0x0800), &tunnelled));
        }
    }
}

#[test]
fn headers_on_egress() {
    let packet = ipv4([203, 0, 113, 5]);
    let address = [2; 12];
    let tagged = [&address[..], &[0x81, 0, 0, 7, 8, 0], &packet].concat();
    check(0x8100, &tagged, (Some(0x0800), &packet));
    let session = [&address[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 50, 0, 0x21], &packet].concat();
    check(0x8864, &session, (Some(0x0800), &packet));
    let labelled = [&address[..], &[0x88, 0x47, 0, 0, 0x11, 0x40], &packet].concat();
    check(0x8847, &labelled, (None, &packet));
    let snap = [&address[..], &[0, 56, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &packet].concat();
    check(56, &snap, (Some(0x0800), &packet));
    // An MPLS tunnel has no Ethernet header.
    let bare = [&[0, 0, 0x11, 0x40][..], &packet].concat();
    check(0x8847, &bare, (None, &packet));
    // Truncated within a header.
    assert_eq!(egress(0x8100, &tagged[..15]), Err(Cut));
    assert_eq!(egress(0x8100, &tagged[..3]), Err(Cut));
}
