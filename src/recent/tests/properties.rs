//! All lists add up and are within the error, of any stream and under any filter.
#![allow(
    clippy::cast_possible_truncation,
    reason = "random numbers are cut to the bits of a field"
)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::event::fixture::tcp;
use crate::recent::summary::SummaryLimits;

/// A stream: how many packets, from a skewed number of networks and ports, and from which seed.
fn streams() -> impl Strategy<Value = Vec<(u64, u32, u32, u64)>> {
    prop::collection::vec((1..9_000_u64, 1..17_u32, 1..17_u32, any::<u64>()), 1..5)
}

/// The packets of one stream, which all countries and some prefixes send.
fn events((count, networks, ports, seed): (u64, u32, u32, u64)) -> impl Iterator<Item = Event> {
    let country = |random: u64| CountryId::all().nth((random % 240) as usize).unwrap().info().code;
    let skewed =
        move |random: u64, bits: u32| random % (1 << (1 + (random >> 40) % u64::from(bits)));
    (0..count).map(move |number| {
        let random = mix(seed ^ number);
        let network = skewed(mix(random), networks);
        let port = skewed(mix(random ^ 1), ports);
        let event = tcp(country(network), (network << 8) as u32, port as u16);
        Event { prefix: NameId::from_index(2 + (random % 7) as u16), ..event }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn lists_add_up_and_counts_are_within_the_error(
        streams in streams(),
        is_capture in any::<bool>(),
        evicts in any::<bool>(),
        batch in 1..300_usize,
    ) {
        let mode = if is_capture { WindowMode::Capture } else { WindowMode::Live };
        let mut recent = Recent::new(mode);
        let mut truth: [HashMap<u64, u64>; 5] = Default::default();
        let mut all = 0;
        for (second, stream) in (0..).step_by(9).zip(streams) {
            // A capture's slices double at the end.
            let now = if is_capture { second * 7 } else { second };
            let events: Vec<_> = events(stream).collect();
            for event in &events {
                for (truth, value) in truth.iter_mut().zip(Cell::of(event).values()) {
                    *truth.entry(value).or_default() += 1;
                }
                all += 1;
            }
            // Batches within which a slice becomes full, too.
            for batch in events.chunks(batch) {
                recent.push(batch, seconds(now));
            }
        }
        if evicts {
            let mut used = UsedNames::default();
            recent.keep_names(&mut used);
        }
        let span = recent.span(seconds(40));
        check_bounds(&span);
        let seen = facets(&span, &Filter::default(), 10);
        check_sums(&seen, &[all; 5]);
        prop_assert_eq!(seen.total.packets, all);
        for (position, truth) in truth.iter().enumerate() {
            for (value, packets) in truth {
                let listed = row(&seen, position, *value).map_or(0, |row| row.count.packets);
                prop_assert!(listed <= *packets);
                prop_assert!(listed + all / SummaryLimits::WINDOW.remaining as u64 >= *packets, "{listed} of {packets}");
                prop_assert!(position != COUNTRY || listed == *packets);
            }
        }
        check_filters(&span, &seen);
    }
}

/// What filters on the first rows show adds up, and is what the rows show.
fn check_filters(span: &Span, seen: &Facets) {
    let all = seen.total.packets;
    for (position, rows) in seen.lists.iter().enumerate() {
        for row in rows.iter().filter(|row| row.value != OTHER).take(3) {
            let filter = only(position, row.value);
            let filtered = facets(span, &filter, 10);
            assert_eq!(filtered.total, row.count);
            let mut sums = [row.count.packets; 5];
            sums[position] = all;
            check_sums(&filtered, &sums);
            // A second value: the total is that of its row.
            let second = (position + 1) % 5;
            for other in filtered.lists[second].iter().filter(|row| row.value != OTHER).take(2) {
                let mut both = filter;
                both.0[second] = Some(other.value);
                let both = facets(span, &both, 10);
                assert_eq!(both.total, other.count);
                let mut sums = [other.count.packets; 5];
                sums[second] = row.count.packets;
                sums[position] = seen_under(span, second, other.value);
                check_sums(&both, &sums);
            }
        }
    }
}

fn seen_under(span: &Span, position: usize, value: u64) -> u64 {
    facets(span, &only(position, value), 0).total.packets
}
