//! Recorded, constructed and hostile datagrams.

use proptest::prelude::*;

use super::*;

/// Recorded from a little-endian kernel 6.18: a UDP packet of 203.0.113.7 to port 53.
const ONE: &[u8] = include_bytes!("../../../../tests/data/nflog/1-packet.bin");
/// The same with 100 packets: UDP and TCP, IPv4 and IPv6.
const HUNDRED: &[u8] = include_bytes!("../../../../tests/data/nflog/100-packets.bin");

fn packets(datagram: &[u8]) -> (Vec<Packet<'_>>, WalkSummary) {
    let mut packets = Vec::new();
    let summary = walk(datagram, |packet| packets.push(Packet { message: &[], ..*packet }));
    (packets, summary)
}

#[test]
#[cfg_attr(target_endian = "big", ignore = "recorded on a little-endian host")]
fn a_recorded_packet() {
    let (packets, summary) = packets(ONE);
    assert_eq!(summary, WalkSummary { packets: 1, ..WalkSummary::default() });
    let expect = Packet {
        family: 2,
        group: 7,
        ether_type: Some(0x0800),
        hook_number: Some(0),
        prefix: b"drop-wan",
        in_index: packets[0].in_index,
        hardware_address: &[2, 0, 0, 0, 0, 2],
        hardware_type: Some(1),
        hardware_header_length: 14,
        sequence: Some(0),
        time: packets[0].time,
        payload: packets[0].payload,
        ..Packet::default()
    };
    assert_eq!(packets[0], expect);
    assert_eq!(packets[0].payload.len(), 20 + 8 + 5);
    assert!(packets[0].payload.ends_with(b"hello"));
}

#[test]
#[cfg_attr(target_endian = "big", ignore = "recorded on a little-endian host")]
fn a_recorded_batch() {
    let (packets, summary) = packets(HUNDRED);
    assert_eq!(summary, WalkSummary { packets: 100, ..WalkSummary::default() });
    let sequences: Vec<_> = packets.iter().map(|packet| packet.sequence).collect();
    assert_eq!(sequences, (0..100).map(Some).collect::<Vec<_>>());
    let udp = packets.iter().filter(|packet| packet.prefix == b"drop-wan").count();
    assert_eq!(udp, 25);
    let v6 = packets.iter().filter(|packet| packet.ether_type == Some(0x86dd)).count();
    assert_eq!(v6, 25);
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A record of a capture file of link type NFLOG, which is also a message's body.
fn record(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0x12, 0x34];
    bytes.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
    bytes
}

#[test]
fn every_attribute() {
    let bytes = record(
        2,
        &[
            (PACKET_HEADER, &[0x08, 0x00, 3, 0]),
            (MARK, &[0, 0, 1, 0]),
            (TIMESTAMP, &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]),
            (IN_INDEX, &[0, 0, 0, 1]),
            (OUT_INDEX, &[0, 0, 0, 2]),
            (PHYSICAL_IN_INDEX, &[0, 0, 0, 3]),
            (PHYSICAL_OUT_INDEX, &[0, 0, 0, 4]),
            (HARDWARE_ADDRESS, &[0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0]),
            (PREFIX, b"a \"b\"\0"),
            (UID, &[0, 0, 0, 5]),
            (GID, &[0, 0, 0, 6]),
            (SEQUENCE, &[0, 0, 0, 7]),
            (CONNECTION, &attribute(18, &[1, 2])),
            (CONNECTION_INFO, &[0, 0, 0, 3]),
            (HARDWARE_TYPE, &[0, 1]),
            (HARDWARE_LENGTH, &[0, 14]),
            (99, &[1, 2, 3]),
            (PAYLOAD, &[0x45, 0, 0]),
        ],
    );
    let expect = Packet {
        family: 2,
        group: 0x1234,
        ether_type: Some(0x0800),
        hook_number: Some(3),
        prefix: b"a \"b\"",
        mark: 256,
        in_index: 1,
        out_index: 2,
        physical_in_index: 3,
        physical_out_index: 4,
        hardware_address: &[1, 2, 3, 4, 5, 6],
        hardware_type: Some(1),
        hardware_header_length: 14,
        uid: Some(5),
        gid: Some(6),
        connection_info: Some(3),
        connection_zone: Some(0x0102),
        time: Some(2_000_007),
        sequence: Some(7),
        payload: &[0x45, 0, 0],
        message: &[],
    };
    assert_eq!(Packet::read(&bytes), Ok(expect));
}

#[test]
fn invalid_values() {
    let check = |kind, value: &[u8], expect: Result<Packet<'_>, Malformed>| {
        let bytes = record(2, &[(kind, value)]);
        let expect = expect.map(|packet| Packet { family: 2, group: 0x1234, ..packet });
        assert_eq!(Packet::read(&bytes), expect, "attribute {kind}: {value:?}");
    };
    let nothing = Packet::default();
    check(PACKET_HEADER, &[8, 0, 3], Err(Malformed));
    check(MARK, &[1, 2], Err(Malformed));
    check(TIMESTAMP, &[0; 15], Err(Malformed));
    check(TIMESTAMP, &[0xff; 16], Ok(nothing));
    check(HARDWARE_ADDRESS, &[0, 6, 0], Err(Malformed));
    check(HARDWARE_ADDRESS, &[0, 6, 0, 0, 1, 2, 3], Err(Malformed));
    check(HARDWARE_ADDRESS, &[0, 0, 0, 0], Ok(nothing));
    check(PREFIX, b"", Ok(nothing));
    check(PREFIX, b"\0hidden\0", Ok(nothing));
    check(PREFIX, b"open", Ok(Packet { prefix: b"open", ..nothing }));
    check(CONNECTION_INFO, &[0, 0, 2], Err(Malformed));
    check(PACKET_HEADER, &[0, 0, 9, 0], Ok(Packet { hook_number: Some(9), ..nothing }));
    // An InfiniBand address has 20 bytes, the structure holds 8.
    let address = [0, 20, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    check(HARDWARE_ADDRESS, &address, Ok(Packet { hardware_address: &address[4..], ..nothing }));
    assert_eq!(Packet::read(&[2, 0, 0]), Err(Malformed));
}

/// Attributes of a connection never make a packet malformed.
#[test]
fn zones_of_connections() {
    let check = |value: &[u8], expect| {
        let bytes = record(2, &[(CONNECTION, value)]);
        let packet = Packet::read(&bytes).unwrap();
        let connection = Connection { state: None, zone: expect };
        assert_eq!(packet.connection(), Some(connection), "{value:?}");
    };
    let nest = |kind: u16, inner: &[u8]| attribute(kind | 0x8000, inner);
    let zone = attribute(18, &[0, 7]);
    check(&[], 0);
    check(&zone, 7);
    check(&[nest(1, &attribute(3, &[0, 8])), zone.clone()].concat(), 7);
    check(&[nest(1, &attribute(3, &[0, 8])), nest(2, &attribute(3, &[0, 9]))].concat(), 8);
    check(&nest(2, &[attribute(1, &[0; 8]), attribute(3, &[0, 9])].concat()), 9);
    check(&attribute(18, &[7]), 0);
    check(&nest(1, &attribute(3, &[7])), 0);
    check(&[&[200, 0, 18, 0][..], &zone].concat(), 0);
    assert_eq!(Packet::default().connection(), None);
}

#[test]
fn states_of_connections() {
    use ConnectionState as State;
    let states = [
        (0, Some(State::Established)),
        (1, Some(State::Related)),
        (2, Some(State::New)),
        (3, Some(State::Established)),
        (4, Some(State::Related)),
        (5, Some(State::New)),
        (6, None),
        (7, Some(State::Untracked)),
        (u32::MAX, None),
    ];
    for (info, state) in states {
        let packet = Packet { connection_info: Some(info), ..Packet::default() };
        assert_eq!(packet.connection(), Some(Connection { state, zone: 0 }), "{info}");
    }
}

#[test]
fn hooks_and_directions() {
    let check = |family, hook, in_index, expect| {
        let packet = Packet { family, hook_number: Some(hook), in_index, ..Packet::default() };
        let record = packet.record("", "");
        assert_eq!(record.hook.zip(record.direction), expect, "family {family}, hook {hook}");
    };
    for family in [1, 2, 7, 10] {
        check(family, 0, 1, Some((Hook::Prerouting, Direction::In)));
        check(family, 1, 1, Some((Hook::Input, Direction::In)));
        check(family, 2, 1, Some((Hook::Forward, Direction::Forward)));
        check(family, 3, 0, Some((Hook::Output, Direction::Out)));
        check(family, 4, 0, Some((Hook::Postrouting, Direction::Out)));
        check(family, 4, 1, Some((Hook::Postrouting, Direction::Forward)));
        let ingress = (family != FAMILY_BRIDGE).then_some((Hook::Ingress, Direction::In));
        check(family, 5, 1, ingress);
        check(family, 6, 1, None);
    }
    check(FAMILY_NETDEV, 0, 1, Some((Hook::Ingress, Direction::In)));
    check(FAMILY_NETDEV, 1, 0, Some((Hook::Egress, Direction::Out)));
    check(FAMILY_NETDEV, 2, 0, None);
    check(FAMILY_ARP, 0, 1, Some((Hook::Input, Direction::In)));
    check(FAMILY_ARP, 1, 0, Some((Hook::Output, Direction::Out)));
    check(FAMILY_ARP, 2, 1, Some((Hook::Forward, Direction::Forward)));
    assert_eq!(Packet::default().hook(), None);
}

#[test]
fn the_network_layer_on_egress() {
    let check = |hook_number, ether_type, payload: &[u8], expect: &[u8]| {
        let packet = Packet {
            family: FAMILY_NETDEV,
            hook_number: Some(hook_number),
            ether_type: Some(ether_type),
            payload,
            ..Packet::default()
        };
        assert_eq!(packet.record("", "").payload, expect);
        assert_eq!(packet.record("", "").wire_length as usize, expect.len());
    };
    let ethernet = |kind: u16, inner: &[u8]| [&[2; 12], &kind.to_be_bytes()[..], inner].concat();
    check(1, 0x0800, &ethernet(0x0800, &[0x45, 0]), &[0x45, 0]);
    check(1, 0x86dd, &ethernet(0x86dd, &[0x60, 0]), &[0x60, 0]);
    check(1, 0x0800, &ethernet(0x0800, &[]), &[]);
    // A tunnel's device has no Ethernet header.
    check(1, 0x0800, &[0x45; 20], &[0x45; 20]);
    check(1, 0x86dd, &ethernet(0x0800, &[0x45]), &ethernet(0x0800, &[0x45]));
    // On ingress the payload starts at the IP header.
    check(0, 0x0800, &ethernet(0x0800, &[0x45]), &ethernet(0x0800, &[0x45]));
}

#[test]
fn a_bridge_port_replaces_a_missing_bridge() {
    let check = |in_index, physical_in_index, expect| {
        let packet = Packet { in_index, physical_in_index, ..Packet::default() };
        assert_eq!(packet.device_indexes().0, expect);
    };
    check(3, 7, 3);
    check(0, 7, 7);
    check(0, 0, 0);
}

proptest! {
    /// No input makes the walk panic, loop, or return more packets than fit.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let (packets, summary) = packets(&bytes);
        prop_assert_eq!(packets.len(), summary.packets as usize);
        // A message with its `struct nfgenmsg` takes 20 bytes.
        prop_assert!(packets.len() <= bytes.len() / 20);
        let _ = Packet::read(&bytes);
    }

    /// The same for a recorded datagram with a few bytes changed and its end truncated.
    #[test]
    fn a_damaged_batch(
        damage in proptest::collection::vec((0..HUNDRED.len(), any::<u8>()), 1..40),
        length in 0..=HUNDRED.len(),
    ) {
        let mut bytes = HUNDRED.to_vec();
        for (offset, byte) in damage {
bytes[offset] = byte;
        }
        bytes.truncate(length);
        let (packets, summary) = packets(&bytes);
        prop_assert_eq!(packets.len(), summary.packets as usize);
        prop_assert!(packets.len() <= bytes.len() / 20);
        for packet in packets {
            let _ = packet.record("", "");
        }
    }

    /// What a walk has seen before changes nothing: damaged datagrams after the recorded one have the packets that
    /// reading each message alone gives.
    #[test]
    fn messages_like_earlier_ones(
        damage in proptest::collection::vec((0..HUNDRED.len(), any::<u8>()), 1..200),
        length in HUNDRED.len() / 2..=HUNDRED.len(),
    ) {
        let mut bytes = HUNDRED.to_vec();
        for (offset, byte) in damage {
            bytes[offset] = byte;
        }
        bytes.truncate(length);
        let mut walk = Walk::default();
        walk.datagram(HUNDRED, |_| ());
        for _ in 0..2 {
            let mut found = Vec::new();
            let summary = walk.datagram(&bytes, |packet| found.push(*packet));
            let mut malformed = 0;
            let mut expect = Vec::new();
            for message in netlink::messages(&bytes) {
                match message.map(|message| (message.kind, message.body, Packet::read(message.body))) {
                    Ok((PACKET, message, Ok(packet))) => expect.push(Packet { message, ..packet }),
                    Ok((PACKET, _, Err(_))) | Err(_) => malformed += 1,
                    Ok(_) => {}
                }
            }
            prop_assert_eq!((&found, summary.malformed), (&expect, malformed));
        }
    }
}

/// Every attribute with other values, of which those that differ from packet to packet are read again.
#[test]
fn values_of_a_known_layout() {
    let message = |number: u8, group: u8| {
        let one = [0, 0, 0, number];
        record(
            2,
            &[
                (PACKET_HEADER, &[0x08, 0x00, 3, 0]),
                (PREFIX, b"a rule\0"),
                (IN_INDEX, &[0, 0, 0, group]),
                (MARK, &one),
                (HARDWARE_ADDRESS, &[0, 6, 0, 0, number, 2, 3, 4, 5, 6, 0, 0]),
                (HARDWARE_TYPE, &[0, 1]),
                (HARDWARE_HEADER, &[number; 14]),
                (HARDWARE_LENGTH, &[0, 14]),
                (TIMESTAMP, &[0, 0, 0, 0, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 7]),
                (UID, &one),
                (GID, &one),
                (SEQUENCE, &one),
                (CONNECTION, &attribute(18, &[0, number])),
                (CONNECTION_INFO, &one),
                (99, &one),
                (PAYLOAD, &vec![0x45; usize::from(number)]),
            ],
        )
    };
    let mut layouts = Layouts::default();
    for (number, group) in [(1, 1), (2, 1), (3, 2), (40, 1), (5, 1)] {
        let message = message(number, group);
        assert_eq!(layouts.has(&message), number != 1 && group == 1);
        let mut packet = Packet::default();
        layouts.read(&message, &mut packet).unwrap();
        assert_eq!(packet, Packet::read(&message).unwrap());
        assert_eq!((packet.mark, packet.in_index), (number.into(), group.into()));
        assert_eq!(packet.payload.len(), usize::from(number));
    }
}

/// Attributes after the payload belong to their message alone. The kernel sends none.
#[test]
fn values_after_the_payload() {
    const HEADER: (u16, &[u8]) = (PACKET_HEADER, &[0x08, 0x00, 3, 0]);
    const FIRST: (u16, &[u8]) = (PREFIX, b"first rule\0");
    const DATA: (u16, &[u8]) = (PAYLOAD, &[0x45; 40]);
    let after: [&[(u16, &[u8])]; 4] =
        [&[(UID, &[0, 0, 0, 5])], &[], &[(PREFIX, b"second\0"), (UID, &[0, 0, 0, 6])], &[]];
    for first in 0..after.len() {
        let mut layouts = Layouts::default();
        for attributes in [after[first]].iter().chain(&after) {
            let message = record(2, &[&[HEADER, FIRST, DATA][..], attributes].concat());
            let mut packet = Packet::default();
            layouts.read(&message, &mut packet).unwrap();
            assert_eq!(packet, Packet::read(&message).unwrap());
            assert!(layouts.has(&message));
        }
    }
}
