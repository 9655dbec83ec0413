//! Which packets count as a scan, and that a flood does not hide a scanner.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::event::{NameId, fixture};

const PREFIX: NameId = NameId::EMPTY;

#[test]
fn a_packet_of_a_known_source_needs_one_of_two_cache_lines() {
    assert_eq!((size_of::<Bucket>(), std::mem::offset_of!(Bucket, prefixes)), (128, 64));
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

fn figures(scans: &PortScans) -> (u32, f64) {
    let of = scans.figures([PREFIX].into_iter())[0];
    (of.sources, of.most_ports)
}

fn close(estimate: f64, truth: u16) {
    // Within four standard errors, or two for small numbers.
    let error = if truth > 1000 { 0.32 } else { 0.12 };
    let truth = f64::from(truth);
    assert!((estimate - truth).abs() <= (truth * error).max(2.0), "{estimate} for {truth}");
}

#[test]
fn the_estimate_holds_up_to_thousands_of_ports() {
    for count in [1, 2, 5, 15, 50, 200, 1000, 5000] {
        for seed in 0..5 {
            let mut scans = PortScans::new(seed);
            for port in 0..count {
                scans.record([(PREFIX, address(7), port)]);
                scans.record([(PREFIX, address(7), port)]);
            }
            close(figures(&scans).1, count);
        }
    }
    let mut scans = PortScans::new(0);
    (0..=u16::MAX).for_each(|port| scans.record([(PREFIX, Ipv6Addr::LOCALHOST.into(), port)]));
    assert_eq!(figures(&scans), (1, 7098.0));
}

#[test]
fn a_scanner_is_found_among_a_million_spoofed_sources() {
    for seed in 0..4 {
        let mut scans = PortScans::new(seed);
        for packet in 0..1_000_000_u32 {
            scans.record([(PREFIX, address(packet.wrapping_mul(0x9e37_79b9) | 1), 80)]);
            if packet % 10_000 == 5_000 {
                scans.record([(PREFIX, address(2), u16::try_from(packet / 10_000).unwrap())]);
            }
        }
        let (sources, most) = figures(&scans);
        assert!(sources == 1 && (16.0..=108.0).contains(&most), "{sources} {most} of seed {seed}");
        assert!(scans.displaced() > 900_000);
    }
}

#[test]
fn a_flood_does_not_evict_a_scanner() {
    let mut scans = PortScans::new(3);
    (0..100).for_each(|port| scans.record([(PREFIX, address(2), port)]));
    let before = figures(&scans);
    for minute in 0..5 {
        scans.advance(Duration::from_secs(60 * minute));
        let first = u32::try_from(minute).unwrap() * 200_000 + 10;
        (first..first + 200_000).for_each(|number| scans.record([(PREFIX, address(number), 80)]));
    }
    assert_eq!(figures(&scans), before);
}

#[test]
fn clients_of_a_service_are_no_scanners() {
    let mut scans = PortScans::new(0);
    for round in 0..5 {
        for client in 0..20_000 {
            scans.record([(PREFIX, address(client), 443)]);
            scans.record([(PREFIX, address(client), if round % 2 == 0 { 80 } else { 443 })]);
        }
    }
    let (sources, most) = figures(&scans);
    assert_eq!(sources, 0);
    assert!(most <= 2.0);
}

#[test]
fn a_port_expires_after_the_window_and_a_slow_scanner_does_not() {
    let mut scans = PortScans::new(1);
    (0..100).for_each(|port| scans.record([(PREFIX, address(7), port)]));
    scans.advance(Duration::from_secs(659));
    close(figures(&scans).1, 100);
    scans.advance(Duration::from_secs(660));
    assert_eq!(figures(&scans), (0, 0.0));

    // Three ports a minute, for an hour.
    for minute in 11..71_u16 {
        scans.advance(Duration::from_secs(u64::from(minute) * 60));
        for step in 0..3 {
            scans.record([(PREFIX, address(7), minute * 3 + step)]);
        }
    }
    let (sources, most) = figures(&scans);
    assert_eq!(sources, 1);
    close(most, 33);
    scans.advance(Duration::from_secs(86_400 * 365));
    assert_eq!(figures(&scans), (0, 0.0));
}

#[test]
fn each_prefix_is_counted_separately() {
    let mut scans = PortScans::new(1);
    (0..20).for_each(|port| scans.record([(NameId::OTHER, address(7), port)]));
    scans.record([(PREFIX, address(7), 1)]);
    let unseen = NameId::from_index(9);
    let figures = scans.figures([PREFIX, NameId::OTHER, unseen].into_iter());
    assert_eq!(figures.iter().map(|of| of.sources).collect::<Vec<_>>(), [0, 1, 0]);
    assert!((figures[2].most_ports).abs() < 0.1);
}

fn event(direction: Option<Direction>, protocol: u8, transport: Transport) -> Event {
    let mut event =
        Event { prefix: PREFIX, direction, ..fixture::tcp("unknown", [192, 0, 2, 7], 22) };
    event.headers.protocol = Some(protocol);
    event.headers.transport = transport;
    event
}

#[test]
fn replies_and_packets_of_this_host_are_no_scan() {
    let tcp = |flags| Transport::Tcp { source: 443, destination: 50_000, flags };
    let ports = |source, destination| Transport::Ports { source, destination };
    let check = |direction, protocol, transport, expect| {
        assert_eq!(port_reached(&event(direction, protocol, transport)), expect, "{transport:?}");
    };
    let (tcp_number, udp) = (protocol::TCP, protocol::UDP);
    // SYN; SYN with ECN; FIN; none; all but ACK and RST.
    for flags in [0x02, 0xc2, 0x01, 0x00, 0xeb] {
        check(Some(Direction::In), tcp_number, tcp(flags), Some(50_000));
        check(Some(Direction::Forward), tcp_number, tcp(flags), Some(50_000));
        check(None, tcp_number, tcp(flags), Some(50_000));
        check(Some(Direction::Out), tcp_number, tcp(flags), None);
    }
    // SYN ACK, ACK, RST, RST ACK.
    for flags in [0x12, 0x10, 0x04, 0x14] {
        check(Some(Direction::In), tcp_number, tcp(flags), None);
    }
    check(None, udp, ports(53, 50_000), None);
    check(None, udp, ports(53, 53), Some(53));
    check(None, udp, ports(50_000, 53), Some(53));
    check(None, udp, ports(1024, 1024), Some(1024));
    // The flags were not captured.
    check(None, tcp_number, ports(50_000, 22), None);
    check(None, protocol::ICMP, Transport::Icmp { kind: 8, code: 0 }, None);
    check(None, 47, Transport::None, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any packets, the port count of an active entry equals its used slots and is not zero.
    #[test]
    fn port_counts_match_the_slots(
        seed: u64,
        steps in prop::collection::vec((0..4_u64, 0..6_u32, 0..40_u16), 0..400),
    ) {
        let mut scans = PortScans::new(seed);
        let mut minute = 0;
        for (passed, source, port) in steps {
            // Mostly no time passes, and sometimes more than half a window.
            minute += [0, 0, 1, 7][usize::try_from(passed).unwrap()];
            scans.advance(Duration::from_secs(minute * 60));
            scans.record([(PREFIX, address(source), port)]);
            for (bucket, slots) in scans.buckets.iter().zip(scans.slots.chunks(WAYS)) {
                for way in (0..WAYS).filter(|&way| bucket.minutes[way] > 0) {
                    let used = slots[way].iter().filter(|slot| **slot > 0).count();
                    let used = if bucket.uses_slots[way] { used } else { 1 };
                    prop_assert!(used > 0 && used == usize::from(bucket.ports(way)));
                }
            }
        }
        prop_assert_eq!((scans.buckets.len(), scans.slots.len()), (BUCKETS, BUCKETS * WAYS));
    }
}
