//! The ring and the window over streams of events.

mod flood;
mod properties;

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::{
    event::{MAX_PREFIXES, NameId, UsedNames, fixture::tcp},
    geoip::{Country, CountryId},
    metrics::OTHER,
    packet::Direction,
};

const COUNTRY: usize = 0;
const PORT: usize = 3;
const NETWORK: usize = 4;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn all(recent: &Recent, now: u64) -> Facets {
    facets(&recent.span(seconds(now)), &Filter::default(), 10)
}

/// Spreads a number over all bits.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

fn bits(country: &str) -> u64 {
    Country::from_code(country).unwrap().to_bits()
}

fn only(position: usize, value: u64) -> Filter {
    let mut filter = Filter::default();
    filter.0[position] = Some(value);
    filter
}

fn row(facets: &Facets, position: usize, value: u64) -> Option<&FacetRow> {
    facets.lists[position].iter().find(|row| row.value == value)
}

fn packets(facets: &Facets, position: usize, value: u64) -> u64 {
    row(facets, position, value).map_or(0, |row| row.count.packets)
}

/// All lists add up to these packets, and no value occurs twice.
#[track_caller]
fn check_sums(facets: &Facets, expected: &[u64; 5]) {
    let sums =
        facets.lists.each_ref().map(|rows| rows.iter().map(|row| row.count.packets).sum::<u64>());
    assert_eq!(sums, *expected);
    for rows in &facets.lists {
        let values: HashSet<_> = rows.iter().map(|row| row.value).collect();
        assert_eq!(values.len(), rows.len());
        assert!(rows.iter().all(|row| row.count.packets > 0));
        assert!(rows.iter().rev().skip(1).all(|row| row.value != OTHER));
    }
}

/// The slices are within the memory that ARCHITECTURE.md states.
#[track_caller]
fn check_bounds(span: &Span) {
    assert!(span.slices.len() <= SLICES);
    let mut bytes = 0;
    for (_, slice) in &span.slices {
        assert!(slice.cells().count() <= 3584);
        bytes += size_of_val(slice.cells.as_ref());
        for position in 0..Cell::DIMENSIONS.len() {
            assert!(
                slice.folded(position).len() <= super::summary::SummaryLimits::WINDOW.remaining
            );
            bytes += size_of_val(slice.folded(position));
        }
    }
    assert!(bytes <= 17_000_000, "{bytes}");
}

#[test]
fn the_ring_keeps_the_newest() {
    let mut recent = Recent::new(WindowMode::Live);
    let packets = RING_CAPACITY as u64 + 3000;
    for time in 0..packets {
        recent.push(&[Event { time, ..tcp("DE", 1, 22) }], seconds(1));
    }
    let observations = recent.observations();
    assert!((RING_CAPACITY..RING_CAPACITY + 1024).contains(&observations.len()));
    let times: Vec<_> = observations.newest_first().map(|observation| observation.time).collect();
    let expect: Vec<_> = (0..packets).rev().take(times.len()).collect();
    assert_eq!(times, expect);
}

#[test]
fn the_remote_end_is_the_destination_of_what_this_host_sent() {
    let mut sent = tcp("DE", 1, 22);
    assert_eq!(sent.remote(), Some([0, 0, 0, 1].into()));
    sent.direction = Some(Direction::Out);
    assert_eq!(sent.remote(), Some([192, 0, 2, 1].into()));
    sent.headers.addresses = None;
    assert_eq!(sent.remote(), None);
}

#[test]
fn the_live_window_moves_and_forgets() {
    let mut recent = Recent::new(WindowMode::Live);
    recent.push(&[tcp("DE", 1, 22), tcp("DE", 1, 22)], seconds(5));
    recent.push(&[tcp("CN", 2 << 8, 80)], seconds(604));
    let seen = all(&recent, 605);
    assert_eq!(seen.total, Count { packets: 1, bytes: 60 });
    assert_eq!(seen.timeline[59], 1);
    let seen = all(&recent, 609);
    assert_eq!((seen.timeline[59], seen.timeline.iter().sum::<u64>()), (1, 1));
    // Without new packets, the slice moves to the left and then out of the window.
    assert_eq!(all(&recent, 610).timeline[58], 1);
    assert_eq!(all(&recent, 604 + 600).total.packets, 0);

    let mut recent = Recent::new(WindowMode::Live);
    recent.push(&[tcp("DE", 1, 22)], seconds(5));
    recent.push(&[tcp("CN", 2 << 8, 80)], seconds(591));
    assert_eq!(all(&recent, 599).timeline[0], 1);
    assert_eq!(all(&recent, 600).total.packets, 1);
}

#[test]
fn a_capture_is_shown_whole() {
    let mut recent = Recent::new(WindowMode::Capture);
    let start = 1_700_000_000;
    let mut pushed = 0;
    for second in [0, 1, 59, 60, 61, 500, 86_400, 86_401, 7 * 86_400] {
        recent.push(&[tcp("DE", 1, 22)], seconds(start + second));
        pushed += 1;
        let seen = all(&recent, start + second);
        assert_eq!(seen.total.packets, pushed);
        assert_eq!(seen.timeline.iter().sum::<u64>(), pushed);
        assert!(recent.span(seconds(0)).slices.len() <= SLICES);
    }
    let span = recent.span(seconds(start));
    assert!(span.width.as_secs() * SLICES as u64 > 7 * 86_400);
    assert!(span.width.as_secs() * SLICES as u64 / 2 <= 7 * 86_400);
    // Long after the last packet, the counts are still there.
    assert_eq!(all(&recent, start + 365 * 86_400).total.packets, pushed);
}

/// Its batches are at most a second long, so each of them is in one slice.
#[test]
fn slices_of_a_capture_begin_at_whole_seconds() {
    let mut recent = Recent::new(WindowMode::Capture);
    for millis in [5_990, 6_010, 6_990, 8_500] {
        recent.push(&[tcp("DE", 1, 22)], Duration::from_millis(millis));
    }
    // It ends with its last packet.
    assert_eq!(all(&recent, 9).timeline, [1, 2, 0, 1]);
}

#[test]
fn a_filter_does_not_apply_to_its_own_list() {
    let mut recent = Recent::new(WindowMode::Live);
    let events = [
        tcp("DE", 1 << 8, 22),
        tcp("DE", 1 << 8, 80),
        tcp("CN", 2 << 8, 22),
        tcp("CN", 2 << 8, 22),
    ];
    recent.push(&events, seconds(1));
    let span = recent.span(seconds(1));
    let filter = |country: &str, port: Option<u64>| {
        let mut filter = Filter::default();
        filter.0[COUNTRY] = Some(Country::from_code(country).unwrap().to_bits());
        filter.0[PORT] = port;
        filter
    };
    let packets = |rows: &[FacetRow]| -> Vec<_> {
        rows.iter().map(|row| (row.value, row.count.packets)).collect()
    };
    let seen = facets(&span, &filter("DE", None), 10);
    assert_eq!(seen.total.packets, 2);
    assert_eq!(seen.lists[COUNTRY].len(), 2);
    assert_eq!(packets(&seen.lists[PORT]), [(22, 1), (80, 1)]);
    assert_eq!(packets(&seen.lists[NETWORK]), [(1, 2)]);
    assert_eq!(seen.lists[NETWORK][0].country, filter("DE", None).0[COUNTRY]);

    let seen = facets(&span, &filter("DE", Some(22)), 10);
    assert_eq!(seen.total.packets, 1);
    assert_eq!(packets(&seen.lists[PORT]), [(22, 1), (80, 1)]);
    assert_eq!(packets(&seen.lists[COUNTRY]).iter().map(|row| row.1).sum::<u64>(), 3);
    assert_eq!(packets(&seen.lists[NETWORK]), [(1, 1)]);
}

#[test]
fn the_rate_covers_the_last_whole_seconds() {
    let mut recent = Recent::new(WindowMode::Live);
    for second in 0..20 {
        recent.push(&[tcp("DE", 1, 22); 10], seconds(second));
    }
    let rate = |now| recent.span(seconds(now)).rate().0;
    assert!((rate(20) - 10.0).abs() < 1e-9);
    assert!((rate(22) - 6.0).abs() < 1e-9);
    assert!(rate(40) < 1e-9);
}

/// Packets of one prefix after the other, to the port of the same number, a second each.
fn of_many_prefixes(mode: WindowMode, prefixes: u16) -> Recent {
    let mut recent = Recent::new(mode);
    for number in 2..prefixes + 2 {
        let prefix = NameId::from_index(number);
        let event = Event { prefix, time: number.into(), ..tcp("DE", 1, number) };
        recent.push(&[event], seconds(number.into()));
    }
    recent
}

#[test]
fn the_newest_prefixes_are_kept_and_the_others_fold() {
    for mode in [WindowMode::Live, WindowMode::Capture] {
        let (all, most) = (4_000, MAX_PREFIXES / 4);
        let mut recent = of_many_prefixes(mode, all);
        let (window, ring) = (recent.span(seconds(4_001)), recent.observations());
        let mut used = UsedNames::default();
        let elsewhere = NameId::from_index(7);
        used.mark(elsewhere);
        recent.keep_names(&mut used);
        let kept = |number| used.contains(NameId::from_index(number));
        assert_eq!((2..all + 2).filter(|number| kept(*number)).count(), most + 1);
        assert!(kept(all + 1) && !kept(2) && kept(7));
        for observation in recent.observations().newest_first() {
            let number = u16::try_from(observation.time).unwrap();
            let expect = if kept(number) { number.into() } else { OTHER };
            assert_eq!(observation.cell.prefix(), expect, "{number}");
        }
        let after = recent.span(seconds(4_001));
        let total = |span| facets(span, &Filter::default(), 10).total;
        assert_eq!(total(&after), total(&window));
        for (cell, _) in after.slices.iter().flat_map(|(_, slice)| slice.cells()) {
            let of_port = cell.value(crate::metrics::Dimension::Port);
            let expect = if kept(u16::try_from(of_port).unwrap_or(0)) { of_port } else { OTHER };
            assert!(cell.prefix() == expect || of_port == OTHER, "{cell:?}");
        }
        // Earlier copies do not change.
        let oldest = ring.newest_first().last().unwrap();
        assert_eq!((oldest.time, oldest.cell.prefix()), (2, 2));
    }
}

#[test]
fn few_prefixes_are_all_kept() {
    let mut recent = of_many_prefixes(WindowMode::Capture, 1_000);
    let mut used = UsedNames::default();
    recent.keep_names(&mut used);
    assert!(recent.observations().newest_first().all(|it| it.cell.prefix() == it.time));
    assert!((2..1_002).all(|number| used.contains(NameId::from_index(number))));
    assert!(!used.contains(NameId::from_index(1_002)));
}
