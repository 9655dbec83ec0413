//! What the lists show of floods: heavy values with their counts, and all packets in each list.
#![allow(
    clippy::cast_possible_truncation,
    reason = "random numbers are cut to the bits of a field"
)]

use std::collections::HashMap;

use super::*;
use crate::event::fixture::tcp;
use crate::recent::summary::SummaryLimits;

/// Milliseconds between two packets of a flood, and the seconds of the window.
const INTERVAL: u64 = 2;
const SECONDS: u64 = 600;

const HEAVY_NETWORK: u64 = 0xcb_0071;
const HEAVY_PORT: u16 = 4_444;

fn country_of(network: u64) -> &'static str {
    ["DE", "CN", "US", "BR", "IN", "FR", "GB", "JP", "RU", "ZA"][(mix(network) % 10) as usize]
}

/// A packet of one of so many sources.
fn of_sources(sources: u64) -> impl Fn(u64) -> Event {
    move |number| {
        let network = mix(number) % sources;
        tcp(country_of(network), u32::try_from(network << 8).unwrap(), 22)
    }
}

/// A packet of a network and to a port that are new nearly every time.
fn random(number: u64) -> Event {
    let random = mix(number);
    let event = tcp(country_of(random), (random >> 32) as u32, random as u16);
    Event { prefix: NameId::from_index(2 + (random >> 16) as u16 % 3), ..event }
}

/// The packets of the heavy network; its ports are random but for every second one.
fn heavy(number: u64) -> Event {
    let port = if number.is_multiple_of(2) { 8_443 } else { mix(number) as u16 };
    tcp("NL", (HEAVY_NETWORK << 8) as u32, port)
}

/// Ten minutes of a flood and of the heavy network, of whose packets there are so many in this millisecond of the
/// window.
struct Flood {
    recent: Recent,
    /// Packets of the heavy network.
    heavy: u64,
    /// All packets.
    all: u64,
}

impl Flood {
    fn run(flood: impl Fn(u64) -> Event, heavy_packets: impl Fn(u64) -> u64) -> Self {
        let mut this = Self { recent: Recent::new(WindowMode::Live), heavy: 0, all: 0 };
        for millisecond in 0..SECONDS * 1_000 {
            let mut events = Vec::new();
            if millisecond.is_multiple_of(INTERVAL) {
                this.all += 1;
                events.push(flood(this.all));
            }
            for _ in 0..heavy_packets(millisecond) {
                events.push(heavy(this.heavy));
                (this.heavy, this.all) = (this.heavy + 1, this.all + 1);
            }
            this.recent.push(&events, Duration::from_millis(millisecond));
        }
        this
    }

    fn facets(&self, filter: &Filter) -> Facets {
        facets(&self.recent.span(seconds(SECONDS - 1)), filter, 10)
    }

    /// The heavy network is listed with at least this part of its packets, in thousandths, and with `known` of the
    /// packets to its port; the lists add up.
    fn check(&self, counted: u64, known: u64) {
        check_bounds(&self.recent.span(seconds(SECONDS - 1)));
        assert!(self.heavy * 100 >= self.all, "{} of {}", self.heavy, self.all);
        let seen = self.facets(&Filter::default());
        assert_eq!(seen.total.packets, self.all);
        check_sums(&seen, &[seen.total.packets; 5]);
        let row = row(&seen, NETWORK, HEAVY_NETWORK).unwrap();
        let listed = row.count.packets;
        assert!(listed <= self.heavy && listed * 1000 >= self.heavy * counted, "{listed}");
        assert!(listed + self.all / SummaryLimits::WINDOW.remaining as u64 >= self.heavy);
        assert_eq!(row.timeline.as_ref().unwrap().iter().sum::<u64>(), listed);
        // `other` is last, though most packets are in it.
        let last = seen.lists[NETWORK].last().unwrap();
        assert_eq!(last.value, OTHER);
        assert_eq!(seen.lists[NETWORK][0].value, HEAVY_NETWORK);
        assert_eq!(seen.lists[NETWORK][0].country, Some(bits("NL")));

        let filtered = self.facets(&only(NETWORK, HEAVY_NETWORK));
        assert_eq!(filtered.total.packets, listed);
        check_sums(&filtered, &[listed, listed, listed, listed, self.all]);
        let port = packets(&filtered, PORT, 8_443);
        assert!(port * 2 <= listed + 1 && port * 2 * 1000 >= listed * known, "{port} of {listed}");
        let country = packets(&filtered, COUNTRY, bits("NL"));
        assert!(country <= listed && country * 1000 >= listed * known, "{country} of {listed}");
        assert_eq!(filtered.timeline.iter().sum::<u64>(), listed);
    }
}

/// 54 packets in the last three seconds of each slice: 1 % of all.
fn late(millisecond: u64) -> u64 {
    u64::from(millisecond % 10_000 >= 7_000 && (millisecond % 1_000).is_multiple_of(58))
}

#[test]
fn a_network_that_is_heavy_late_in_each_slice_is_listed_exactly() {
    Flood::run(of_sources(5_000), late).check(1000, 990);
    Flood::run(of_sources(100_000), late).check(1000, 990);
}

#[test]
fn a_heavy_network_is_listed_in_a_flood_of_random_networks_and_ports() {
    Flood::run(random, late).check(1000, 980);
}

#[test]
fn a_heavy_network_that_pauses_is_listed() {
    // Two seconds, at the end of every fifth slice.
    let pauses = |millisecond: u64| {
        u64::from(millisecond % 50_000 >= 48_000 && millisecond.is_multiple_of(4))
    };
    Flood::run(of_sources(100_000), pauses).check(995, 900);
}

/// Bursts that are followed by a removal of light values.
#[test]
fn a_network_heavy_once_in_ten_minutes_is_listed() {
    Flood::run(random, |millisecond| u64::from(millisecond == 304_321) * 3_100).check(1000, 950);
    Flood::run(random, |millisecond| u64::from((308_000..312_000).contains(&millisecond)))
        .check(995, 900);
}

#[test]
fn a_heavy_port_of_a_flood_is_listed_under_filters() {
    let port = |number: u64| {
        let event = random(number);
        let heavy = number.is_multiple_of(90);
        if heavy { tcp("BR", (mix(number) >> 32) as u32, HEAVY_PORT) } else { event }
    };
    let flood = Flood::run(port, |_| 0);
    let truth = flood.all / 90;
    let seen = flood.facets(&Filter::default());
    // Some random ones are to the same port.
    assert!(packets(&seen, PORT, HEAVY_PORT.into()) >= truth);
    let in_brazil = flood.facets(&only(COUNTRY, bits("BR")));
    assert!(packets(&in_brazil, PORT, HEAVY_PORT.into()) * 1000 >= truth * 980);
    let to_port = flood.facets(&only(PORT, HEAVY_PORT.into()));
    assert!(packets(&to_port, COUNTRY, bits("BR")) * 1000 >= truth * 980);
    let mut both = only(PORT, HEAVY_PORT.into());
    both.0[COUNTRY] = Some(bits("BR"));
    assert!(flood.facets(&both).total.packets * 1000 >= truth * 980);
}

#[test]
fn a_flood_folds_networks_and_ports_but_no_country() {
    let mut recent = Recent::new(WindowMode::Live);
    let countries: Vec<_> = CountryId::all().map(|id| id.info().code).collect();
    let packets: u32 = 300_000;
    let mut by_country = HashMap::<_, u64>::new();
    for number in 0..packets {
        let country = countries[number as usize % countries.len()];
        let port = u16::try_from(number.wrapping_mul(2_654_435_761) >> 16).unwrap();
        *by_country.entry(country).or_default() += 1;
        recent.push(&[tcp(country, number << 8, port)], seconds(1));
    }
    check_bounds(&recent.span(seconds(1)));
    let seen = all(&recent, 1);
    assert_eq!(seen.total.packets, u64::from(packets));
    assert_eq!(seen.lists[COUNTRY].len(), countries.len());
    for row in &seen.lists[COUNTRY] {
        assert_eq!(row.count.packets, by_country[Country::from_bits(row.value).code()]);
    }
    check_sums(&seen, &[u64::from(packets); 5]);
    assert!(seen.lists[NETWORK].iter().any(|row| row.value == OTHER));
}
