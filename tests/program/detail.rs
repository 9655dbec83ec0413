//! How much detail the default families show of generated traffic, against the best choice of keys after the fact.
//!
//! `cargo test --test program detail -- --nocapture` prints the figures of ARCHITECTURE.md.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures of a report"
)]

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::Ipv4Addr,
    time::Duration,
};

use nflog_exporter::{
    event::{Event, fixture},
    geoip::{GeoIp, Locator},
    metrics::{Aggregate, Dimension, FamilyConfig, FamilyConfigs, FamilySnapshot, Key},
    packet::{Transport, protocol},
};

use crate::support::background_noise::{Packet, merge, noise, port_scan, spoofed_flood, talker};

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3600.0;
const TALKER_PORT: u16 = 61_234;

struct Trace {
    name: &'static str,
    packets: Vec<Packet>,
    scrape_interval: f64,
    /// When the talker starts.
    talker: f64,
}

impl Trace {
    /// Noise, with a talker of 1 % of the packets in the last part.
    fn new(name: &'static str, rate: f64, days: f64, seed: u64, attacks: bool) -> Self {
        let end = days * DAY;
        let noise = noise(rate, days, seed);
        let rate = noise.len() as f64 / end;
        let start = 0.7 * end;
        let mut parts = vec![noise, talker(start, end, 0.0101 * rate, TALKER_PORT)];
        if attacks {
            parts.push(port_scan(0.3 * end, seed));
            parts.push(spoofed_flood(0.6 * end, seed));
        }
        Self {
            name,
            packets: merge(parts),
            scrape_interval: (end / 500.0).max(30.0),
            talker: start,
        }
    }
}

/// What a family showed of a trace.
struct Figures {
    family: String,
    packets: u64,
    /// Part of the packets that have the exact value, by label.
    exact: Vec<(Dimension, f64)>,
    /// Part of the packets with one of the best keys, as many as the family has places for full keys.
    hindsight: f64,
    births_per_hour: usize,
    series_per_hour: usize,
    rare_series: usize,
    /// Packets of the talker, and seconds, before it has its series.
    talker: Option<(u64, f64)>,
    demand: f64,
}

impl Figures {
    /// Part of the packets that have all labels.
    fn full(&self) -> f64 {
        self.exact.last().unwrap().1
    }

    fn ratio(&self) -> f64 {
        self.full() / self.hindsight
    }
}

fn event(packet: &Packet, locator: &mut Locator) -> Event {
    let mut event = fixture::tcp("unknown", packet.source, packet.port);
    event.headers.protocol = Some(packet.protocol);
    event.headers.transport = Transport::Ports { source: 40_000, destination: packet.port };
    event.place = locator.locate(packet.source.into());
    event
}

/// Sends a trace through an aggregate of these families, which is scraped regularly.
fn measure(trace: &Trace, plans: &[FamilyConfig]) -> Vec<Figures> {
    let mut locator = GeoIp::open(&[]).unwrap().locator();
    let mut aggregate = Aggregate::new(plans, &[1], 1, Duration::ZERO);
    let mut observers: Vec<_> = plans.iter().map(Observer::new).collect();
    let mut next_scrape = 0.0;
    for packet in &trace.packets {
        while packet.time >= next_scrape {
            let now = Duration::from_secs_f64(next_scrape);
            let snapshot = aggregate.snapshot(now);
            aggregate.delivered(snapshot.generation, now);
            for (observer, family) in observers.iter_mut().zip(&snapshot.families) {
                observer.scrape(next_scrape, family);
            }
            next_scrape += trace.scrape_interval;
        }
        let event = event(packet, &mut locator);
        let is_talker = packet.time >= trace.talker && packet.port == TALKER_PORT;
        for observer in &mut observers {
            observer.receive(packet.time, &event, is_talker);
        }
        aggregate.record(&[event], Duration::from_secs_f64(packet.time));
    }
    let families = aggregate.snapshot(Duration::from_secs_f64(next_scrape)).families;
    let figures = observers.into_iter().zip(&families);
    figures.map(|(observer, family)| observer.figures(family)).collect()
}

/// The number of keys without folded labels that the family has places for.
fn full_places(plan: &FamilyConfig) -> usize {
    let mut aggregate = Aggregate::new(std::slice::from_ref(plan), &[1], 1, Duration::ZERO);
    let mut locator = GeoIp::open(&[]).unwrap().locator();
    // Several packets for each key, because the last places require them.
    for number in (0..20_000_u32).flat_map(|number| [number; 4]) {
        let packet = Packet {
            time: 0.0,
            source: Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b9)),
            protocol: protocol::TCP,
            port: (number >> 1) as u16,
        };
        aggregate.record(&[event(&packet, &mut locator)], Duration::ZERO);
    }
    let family = aggregate.snapshot(Duration::ZERO).families.remove(0);
    family.series.iter().filter(|series| series.key.rung(plan.labels.len()) == 0).count()
}

/// What a Prometheus sees of one family, and what the packets were.
struct Observer {
    plan: FamilyConfig,
    packets: u64,
    keys: HashMap<Key, u64>,
    living: HashMap<Key, u64>,
    last_seen: HashMap<Key, f64>,
    births: VecDeque<f64>,
    births_per_hour: usize,
    series_per_hour: usize,
    /// The packets of each series when the last day began.
    day_start: HashMap<Key, u64>,
    next_day: f64,
    rare_series: usize,
    /// The talker's key, its packets, and the time of its first one.
    talker: Option<(Key, u64, f64)>,
    talker_shown: Option<(u64, f64)>,
}

impl Observer {
    fn new(plan: &FamilyConfig) -> Self {
        Self {
            plan: plan.clone(),
            packets: 0,
            keys: HashMap::new(),
            living: HashMap::new(),
            last_seen: HashMap::new(),
            births: VecDeque::new(),
            births_per_hour: 0,
            series_per_hour: 0,
            day_start: HashMap::new(),
            next_day: DAY,
            rare_series: 0,
            talker: None,
            talker_shown: None,
        }
    }

    fn receive(&mut self, now: f64, event: &Event, is_talker: bool) {
        let key = Key::of(&self.plan.labels, event);
        self.packets += 1;
        *self.keys.entry(key).or_default() += 1;
        if is_talker {
            self.talker.get_or_insert((key, 0, now)).1 += 1;
        }
    }

    fn scrape(&mut self, now: f64, family: &FamilySnapshot) {
        let series: HashMap<_, _> =
            family.series.iter().map(|series| (series.key, series.packets)).collect();
        // New series of the first fill are free. The traces fill the families in half of their time.
        let births = series.keys().filter(|key| !self.living.contains_key(*key)).count();
        self.births.extend(std::iter::repeat_n(now, births));
        self.last_seen.extend(series.keys().map(|key| (*key, now)));
        while self.births.front().is_some_and(|birth| birth + HOUR <= now) {
            self.births.pop_front();
        }
        self.births_per_hour = self.births_per_hour.max(self.births.len());
        self.last_seen.retain(|_, seen| *seen + HOUR > now);
        self.series_per_hour = self.series_per_hour.max(self.last_seen.len());
        if now >= self.next_day {
            let before = |key| self.day_start.get(key).copied().unwrap_or(0);
            self.rare_series =
                series.iter().filter(|(key, packets)| **packets < before(*key) + 5).count();
            self.day_start.clone_from(&series);
            self.next_day += DAY;
        }
        if let (Some((key, packets, start)), None) = (self.talker, self.talker_shown)
            && series.contains_key(&key)
        {
            self.talker_shown = Some((packets, now - start));
        }
        self.living = series;
    }

    fn figures(self, family: &FamilySnapshot) -> Figures {
        let packets = self.packets as f64;
        let exact = (self.plan.labels.iter().zip(&family.folded))
            .map(|(label, folded)| (*label, 1.0 - *folded as f64 / packets))
            .collect();
        let mut counts: Vec<u64> = self.keys.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let best: u64 = counts.iter().take(full_places(&self.plan)).sum();
        Figures {
            family: self.plan.name,
            packets: self.packets,
            exact,
            hindsight: best as f64 / packets,
            births_per_hour: self.births_per_hour,
            series_per_hour: self.series_per_hour,
            rare_series: self.rare_series,
            talker: self.talker_shown,
            demand: family.demand,
        }
    }
}

fn traces() -> Vec<Trace> {
    vec![
        Trace::new("quiet", 0.05, 7.0, 1, false),
        Trace::new("quiet, attacked", 0.05, 7.0, 2, true),
        Trace::new("server", 1.0, 1.0, 3, false),
        Trace::new("server, attacked", 1.0, 1.0, 4, true),
        Trace::new("busy", 20.0, 0.15, 5, false),
        Trace::new("busy, attacked", 20.0, 0.15, 6, true),
    ]
}

#[test]
fn the_default_families_show_nearly_what_hindsight_would_choose() {
    let families = FamilyConfigs::default();
    println!(
        "| trace | packets | family | full keys | hindsight | ratio | new in an hour | in an hour | rare | talker | demand |"
    );
    for trace in traces() {
        for (figures, plan) in measure(&trace, &families).into_iter().zip(families.iter()) {
            println!("| {} {figures} |", trace.name);
            let name = format!("{} of {}", figures.family, trace.name);
            assert!(figures.ratio() >= 0.9, "{name}: {}", figures.ratio());
            let country = figures.exact.iter().find(|(label, _)| *label == Dimension::Country);
            assert!(country.is_none_or(|(_, exact)| *exact >= 1.0), "{name}: folded countries");
            assert!(
                figures.series_per_hour <= plan.max_series + plan.max_new_series_per_hour,
                "{name}: {} label sets in an hour",
                figures.series_per_hour
            );
            let (packets, _) = figures.talker.expect("the talker is shown");
            assert!(packets <= 120, "{name}: the talker has its series after {packets} packets");
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, seconds) = self.talker.unwrap_or((0, f64::NAN));
        write!(
            formatter,
            "| {} | {} | {:.4} | {:.4} | {:.3} | {} | {} | {} | {packets} packets, {seconds:.0} s | {:.0}",
            self.packets,
            self.family,
            self.full(),
            self.hindsight,
            self.ratio(),
            self.births_per_hour,
            self.series_per_hour,
            self.rare_series,
            self.demand,
        )
    }
}
