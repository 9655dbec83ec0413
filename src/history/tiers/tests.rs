//! The tiers over many slices, with restarts and steps of the clock.

use proptest::prelude::*;

use super::*;
use crate::{
    event::NameField,
    geoip::Country,
    metrics::OTHER,
    recent::{Cell, Count},
};

/// 2026-12-04 00:00:00 UTC.
const START: u64 = 1_796_342_400;

fn country(code: &str) -> u64 {
    Country::from_code(code).unwrap().to_bits()
}

/// A slice with packets of one country and port.
fn slice(country: u64, port: u64, packets: u64) -> Slice {
    let cell = Cell::new([country, 6, OTHER, port, port << 8]);
    Slice::new(vec![(cell, Count { packets, bytes: 60 * packets })], Default::default())
}

/// The start and the end of a range at `now`.
fn bounds(range: Range, now: u64) -> (u64, u64) {
    let part = range.part_seconds();
    let end = (now / part + 1) * part;
    (end.saturating_sub(range.seconds()), end)
}

/// The packets of each part of a range that ends at `now`.
fn packets(tiers: &Tiers, range: Range, now: u64) -> Vec<u64> {
    let (start, end) = bounds(range, now);
    let mut packets = vec![0; usize::try_from(range.parts()).unwrap()];
    for (part, bytes) in tiers.parts(range, start, end) {
        let slice = decode(&bytes, &mut Interner::new(Names::default())).unwrap();
        let all: u64 = slice.cells().map(|(_, count)| count.packets).sum();
        packets[usize::try_from(part).unwrap()] += all;
    }
    packets
}

/// The clock of packets that were received at a time of the host's clock, which is right.
fn clock(time: u64) -> Duration {
    Duration::from_secs(time - START)
}

/// What a restart finds in the files.
fn restarted(tiers: &Tiers) -> Tiers {
    Tiers::of(std::array::from_fn(|tier| tiers.slices(tier).cloned().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For any gaps between slices, also of days, any number of restarts, and any moment: each part of each range has the
    /// packets of its time.
    #[test]
    fn every_range_has_the_packets_of_its_time(
        steps in prop::collection::vec((1..40_u64, 0..5_u32, 1..1000_u64, 0..8_u8), 1..120),
        later in 0..30_u64,
    ) {
        let mut tiers = Tiers::default();
        let mut all = Vec::new();
        let mut time = START;
        for (step, scale, packets, restart) in steps {
            time += step * 10 * 6_u64.pow(scale);
            tiers.push(time, clock(time), &slice(country("DE"), packets % 50, packets), &Names::default());
            all.push((time, packets));
            if restart == 0 {
                tiers = restarted(&tiers);
            }
        }
        let now = time + later;
        tiers.sum_up(now.saturating_sub(10), clock(now.saturating_sub(10)));
        for range in Range::ALL {
            let (start, _) = bounds(range, now);
            let mut expect = vec![0; usize::try_from(range.parts()).unwrap()];
            for (time, packets) in &all {
                if *time >= start {
                    expect[usize::try_from((time - start) / range.part_seconds()).unwrap()] += packets;
                }
            }
            prop_assert_eq!(self::packets(&tiers, range, now), expect, "{:?}", range);
        }
    }
}

/// A slice that began before the end of a minute can be over after it.
#[test]
fn a_slice_across_the_end_of_a_minute_is_counted() {
    let mut tiers = Tiers::default();
    tiers.push(START + 47, clock(START + 47), &slice(0, 22, 1), &Names::default());
    // 60 s and 62 s: the slice of 57 s is not over.
    tiers.sum_up(START + 52, clock(START + 52));
    tiers.push(START + 57, clock(START + 57), &slice(0, 22, 10), &Names::default());
    tiers.sum_up(START + 120, clock(START + 120));
    for range in Range::ALL {
        assert_eq!(packets(&tiers, range, START + 130).iter().sum::<u64>(), 11, "{range:?}");
    }
}

/// Also after a quiet time, in which only the clock went on.
#[test]
fn after_a_small_step_back_of_the_clock_nothing_is_lost() {
    let mut tiers = Tiers::default();
    let names = Names::default();
    let mut clock = Duration::ZERO;
    let mut push = |tiers: &mut Tiers, time: u64| {
        clock += Duration::from_secs(10);
        tiers.push(time, clock, &slice(0, 22, 1), &names);
    };
    for time in [START + 600, START + 610, START + 20, START + 30] {
        push(&mut tiers, time);
    }
    tiers.sum_up(START + 1200, Duration::from_secs(600));
    push(&mut tiers, START + 900);
    push(&mut tiers, START + 1199);
    for range in Range::ALL.into_iter().skip(1) {
        assert_eq!(packets(&tiers, range, START + 1220).iter().sum::<u64>(), 6, "{range:?}");
    }
}

#[test]
fn a_large_step_of_the_clock_is_believed_after_ten_minutes() {
    let names = Names::default();
    for wrong in [100, START - 2_000_000, START + 90 * 86_400, u64::from(u32::MAX)] {
        let mut tiers = Tiers::default();
        for hour in 0..48 {
            tiers.push(START + hour * 3600, clock(START + hour * 3600), &slice(0, 22, 1), &names);
        }
        let end = START + 47 * 3600;
        let mut later = clock(end);
        let mut push = |tiers: &mut Tiers, time: u64| {
            later += Duration::from_secs(10);
            tiers.sum_up(time, later);
            tiers.push(time, later, &slice(0, 22, 10), &names);
        };
        // A start with a wrong clock, which is set after some minutes.
        (0..50).for_each(|step| push(&mut tiers, wrong + 10 * step));
        assert_eq!(packets(&tiers, Range::Week, end + 10).iter().sum::<u64>(), 48 + 500);
        push(&mut tiers, end + 510);
        assert_eq!(packets(&tiers, Range::Week, end + 510).iter().sum::<u64>(), 48 + 510);
        // A clock that stays so.
        let mut push_at = |tiers: &mut Tiers, from, count: u64| {
            (0..count).for_each(|step| push(tiers, from + 10 * step));
            from + 10 * count
        };
        let now = push_at(&mut tiers, wrong, 120);
        let found = packets(&tiers, Range::Hour, now).iter().sum::<u64>();
        assert!((590..=610).contains(&found), "{wrong}: {found}");
        let slices = (0..TIERS).flat_map(|tier| tiers.slices(tier));
        assert_eq!(tiers.size(), slices.map(|slice| slice.bytes.len()).sum::<usize>());
    }
}

#[test]
fn slices_of_a_file_with_impossible_numbers_are_left_out() {
    let of = |number| Numbered { number, bytes: Arc::new([0; 8]) };
    let numbers = [START / 10, START / 10 + 1, u64::MAX, u64::MAX - 1, 1 << 60];
    let slices = std::array::from_fn(|_| numbers.map(of).to_vec());
    let mut tiers = Tiers::of(slices);
    assert_eq!(tiers.slices(0).count(), 2);
    tiers.push(START + 20, Duration::ZERO, &slice(0, 22, 1), &Names::default());
    assert_eq!(tiers.slices(0).count(), 3);
}

/// Every slice is full: it has all countries, and networks, ports, prefixes and protocols of its own.
#[test]
fn full_slices_of_all_tiers_fit_the_memory_and_keep_countries() {
    // Unknown, private, and the rows of the country table.
    const COUNTRIES: u64 = 250;
    const CELLS: u64 = 4000;
    let packets = |number: u64| 10_000_000 + number;
    let mut tiers = Tiers::default();
    let mut interner = Interner::new(Names::default());
    let prefixes: Vec<u64> = (0..300)
        .map(|number| interner.intern(NameField::Prefix, format!("rule {number}").as_bytes()))
        .map(|prefix| prefix.index().into())
        .collect();
    let hours = 60;
    for hour in 0..hours {
        let cells = (0..CELLS).map(|number| {
            let prefix = prefixes[usize::try_from(number).unwrap() % prefixes.len()];
            let network = (1 << 56) | ((hour * 100_000 + number) << 8);
            let port = (hour * 7919 + number) % 65_536;
            let cell = Cell::new([number % COUNTRIES, number % 256, prefix, port, network]);
            (cell, Count { packets: packets(number), bytes: 600_000_000 })
        });
        let full = Slice::new(cells.collect(), Default::default());
        let time = START + hour * 3600;
        tiers.push(time, clock(time), &full, &interner.names());
    }
    let largest = (0..TIERS).flat_map(|tier| tiers.slices(tier)).map(|it| it.bytes.len()).max();
    // With as many slices in each tier as it can have.
    let most = largest.unwrap() * usize::try_from(SLICES.iter().sum::<u64>()).unwrap();
    assert!(most <= MAX_SIZE, "{most}");
    assert_eq!(tiers.removed(), 0);

    let now = START + hours * 3600;
    let (start, end) = bounds(Range::Month, now);
    let parts = tiers.parts(Range::Month, start, end);
    let mut interner = Interner::new(Names::default());
    let all = sum(parts.iter().map(|(_, bytes)| bytes), &mut interner);
    for country in 0..COUNTRIES {
        let of_country = (0..CELLS).filter(|number| number % COUNTRIES == country);
        let expect = hours * of_country.map(packets).sum::<u64>();
        let found = all.cells().filter(|(cell, _)| cell.values()[0] == country);
        assert_eq!(found.map(|(_, count)| count.packets).sum::<u64>(), expect, "{country}");
    }
}

#[test]
fn the_oldest_slices_of_the_largest_tier_make_room() {
    let mut tiers = Tiers::default();
    let large: Arc<[u8]> = vec![0; MAX_SIZE / 10].into();
    for number in 0..20 {
        tiers.add(3, Numbered { number, bytes: Arc::clone(&large) });
        tiers.limit_size();
        assert!(tiers.size() <= MAX_SIZE);
    }
    let numbers: Vec<_> = tiers.slices(3).map(|slice| slice.number).collect();
    assert_eq!((numbers, tiers.removed()), ((10..20).collect(), 10));
}
