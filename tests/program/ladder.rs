//! The invariants of a family, checked after every step of adversarial packet streams.
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use nflog_exporter::{
    event::{Event, NameId, fixture},
    geoip::{Country, CountryId, Place},
    metrics::{
        Aggregate, Dimension, FamilyConfig, FamilySnapshot, Key, OTHER, Snapshot, SnapshotMemory,
    },
};
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);
const TRAFFIC: [Dimension; 4] =
    [Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port];

const EIGHT: [Dimension; 8] = [
    Dimension::Direction,
    Dimension::Prefix,
    Dimension::Proto,
    Dimension::Country,
    Dimension::Network,
    Dimension::Port,
    Dimension::TcpFlags,
    Dimension::InInterface,
];

fn plan(labels: &[Dimension], max_series: usize, max_new: usize) -> FamilyConfig {
    FamilyConfig {
        name: "traffic".into(),
        labels: labels.to_vec(),
        max_series,
        max_new_series_per_hour: max_new,
        newborn_hold: Duration::ZERO,
    }
}

fn packet(number: u8, port: u16) -> Event {
    let country = Country::Known(CountryId::from_index(number.into()).unwrap());
    let place = Place { country, asn: 0 };
    // One in seven has the name of a folded label.
    let name = if number % 7 == 3 { NameId::OTHER } else { NameId::EMPTY };
    let event = fixture::tcp("unknown", [198, 51, number, 1], port);
    Event { place, prefix: name, in_device: name, ..event }
}

/// A packet with this prefix.
fn prefixed(number: u8, port: u16, prefix: u16) -> Event {
    Event { prefix: NameId::from_index(prefix), ..packet(number, port) }
}

/// The value of the label `country` for a packet of this country.
fn country(index: u8) -> u64 {
    Country::Known(CountryId::from_index(index.into()).unwrap()).to_bits()
}

/// The samples that Prometheus would store: the last value of each series, and the sum of those that ended.
#[derive(Default)]
struct Prometheus {
    living: HashMap<Key, u64>,
    ended: u64,
    /// Series that ended since the last scrape. One of them may have begun again since, which is a counter reset.
    dropped: HashSet<Key>,
}

impl Prometheus {
    fn scrape(&mut self, family: &FamilySnapshot) {
        let shown: HashMap<_, _> =
            family.series.iter().map(|series| (series.key, series.packets)).collect();
        let gone: Vec<_> =
            self.living.keys().filter(|key| !shown.contains_key(*key)).copied().collect();
        for key in gone {
            self.ended += self.living.remove(&key).unwrap();
        }
        for (key, packets) in shown {
            match self.living.insert(key, packets) {
                None => assert_eq!(packets, 0, "a new series must start at zero"),
                Some(before) if packets == 0 && self.dropped.contains(&key) => self.ended += before,
                Some(before) => assert!(before <= packets, "a counter decreased"),
            }
        }
        self.dropped.clear();
    }

    /// Sum of last - first over all stored series.
    fn increase(&self) -> u64 {
        self.ended + self.living.values().sum::<u64>()
    }
}

/// An aggregate of one family, observed through its snapshots.
struct World {
    aggregate: Aggregate,
    plan: FamilyConfig,
    now: Duration,
    /// The label sets exposed so far, and when each was exposed last.
    exposed: HashMap<Key, Duration>,
    shown: HashMap<Key, (u64, u64)>,
    prometheus: Prometheus,
    /// Earlier budgets, `max_series` and `max_new_series_per_hour`, and when each was replaced.
    replaced_budgets: Vec<(Duration, usize, usize)>,
}

impl World {
    fn new(plan: FamilyConfig, seed: u64) -> Self {
        let aggregate = Aggregate::new(std::slice::from_ref(&plan), &[1], seed, Duration::ZERO);
        let mut world = Self {
            aggregate,
            plan,
            now: Duration::ZERO,
            exposed: HashMap::new(),
            shown: HashMap::new(),
            prometheus: Prometheus::default(),
            replaced_budgets: Vec::new(),
        };
        world.look();
        world
    }

    fn send(&mut self, events: &[Event]) {
        self.aggregate.record(events, self.now);
        self.look();
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.aggregate.advance(self.now);
        self.look();
    }

    fn reload(&mut self, max_series: usize, max_new: usize) {
        let FamilyConfig { max_series: before, max_new_series_per_hour: new_before, .. } =
            self.plan;
        self.replaced_budgets.push((self.now, before, new_before));
        self.plan.max_series = max_series;
        self.plan.max_new_series_per_hour = max_new;
        self.aggregate.reconfigure(std::slice::from_ref(&self.plan), self.now);
        self.look();
    }

    /// A delivered scrape.
    fn scrape(&mut self) {
        let snapshot = self.look();
        let family = &snapshot.families[0];
        self.prometheus.scrape(family);
        self.aggregate.delivered(snapshot.generation, self.now);
        assert_eq!(
            self.prometheus.increase() + family.pending_packets,
            received(&snapshot),
            "the sum in Prometheus"
        );
        self.look();
    }

    /// Takes a snapshot without delivering it, and checks every invariant.
    fn look(&mut self) -> Snapshot {
        let memory = SnapshotMemory::new(&self.aggregate.series_counts());
        let snapshot = self.aggregate.snapshot_into(memory, self.now);
        let family = &snapshot.families[0];
        let sum: u64 = family.series.iter().map(|series| series.packets).sum();
        assert_eq!(
            sum + family.retired_packets + family.pending_packets,
            received(&snapshot),
            "conservation"
        );
        // After a reload that lowers it, the series that must go stay until their last scrape.
        let most = self.plan.max_series.max(self.shown.len());
        assert!(family.series.len() <= most, "the hard budget");
        let shown: HashMap<_, _> = family
            .series
            .iter()
            .map(|series| (series.key, (series.packets, series.bytes)))
            .collect();
        assert_eq!(shown.len(), family.series.len(), "two series with the same labels");
        for (key, now) in &shown {
            match self.shown.get(key) {
                None => {
                    assert_eq!(now.0, 0, "a new series must start at zero");
                }
                Some(before) => {
                    assert!(before.0 <= now.0 && before.1 <= now.1, "a counter decreased");
                }
            }
        }
        self.exposed.extend(shown.keys().map(|key| (*key, self.now)));
        self.exposed.retain(|_, last| *last + HOUR > self.now);
        let within = self.exposed.len();
        if family.series.len() > self.plan.max_series {
            // The earlier budget still has an effect.
            self.replaced_budgets.iter_mut().for_each(|(replaced, ..)| *replaced = self.now);
        }
        self.replaced_budgets.retain(|(replaced, ..)| *replaced + HOUR > self.now);
        let (mut series, mut new) = (self.plan.max_series, self.plan.max_new_series_per_hour);
        for (_, max_series, max_new) in &self.replaced_budgets {
            (series, new) = (series.max(*max_series), new.max(*max_new));
        }
        assert!(within <= series + new, "the label sets of an hour: {within} of {series} + {new}");
        let labels = self.plan.labels.len();
        assert!(
            family.series.iter().any(|series| series.key.rung(labels) == labels),
            "the last rung must exist"
        );
        let gone = self.shown.keys().filter(|key| !shown.contains_key(*key));
        self.prometheus.dropped.extend(gone);
        self.shown = shown;
        snapshot
    }

    /// Shown packets by the value of one label.
    fn by_label(&mut self, label: usize) -> HashMap<u64, u64> {
        let labels = self.plan.labels.len();
        let mut sums = HashMap::new();
        for series in &self.look().families[0].series {
            *sums.entry(series.key.values(labels)[label]).or_default() += series.packets;
        }
        sums
    }
}

fn received(snapshot: &Snapshot) -> u64 {
    snapshot.received.iter().map(|(_, packets)| packets).sum()
}

#[derive(Clone, Debug)]
enum Step {
    /// One packet to each of `ports` ports, starting with `first`.
    Scan {
        country: u8,
        first: u16,
        ports: u16,
    },
    /// Many packets of one flow.
    Talk {
        country: u8,
        port: u16,
        packets: u16,
    },
    /// One packet from each of this many countries, to one port.
    Spoof {
        countries: u8,
        port: u16,
    },
    Wait {
        seconds: u16,
    },
    Scrape,
    Reload {
        max_series: usize,
        max_new: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..250_u8, any::<u16>(), 1..200_u16)
            .prop_map(|(country, first, ports)| Step::Scan { country, first, ports }),
        3 => (0..4_u8, 0..6_u16, 1..300_u16)
            .prop_map(|(country, port, packets)| Step::Talk { country, port, packets }),
        1 => (1..250_u8, 0..6_u16).prop_map(|(countries, port)| Step::Spoof { countries, port }),
        3 => (1..900_u16).prop_map(|seconds| Step::Wait { seconds }),
        3 => Just(Step::Scrape),
        1 => (max_series(), 1..60_usize)
            .prop_map(|(max_series, max_new)| Step::Reload { max_series, max_new }),
    ]
}

fn max_series() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 1..6_usize, 5 => 6..60_usize, 1 => 250..400_usize]
}

fn labels() -> impl Strategy<Value = Vec<Dimension>> {
    prop_oneof![
        Just(TRAFFIC.to_vec()),
        Just(vec![Dimension::Port]),
        Just(vec![Dimension::Country, Dimension::Port]),
        Just(vec![Dimension::Country]),
        Just(vec![Dimension::Country, Dimension::Prefix]),
        Just(vec![Dimension::Direction, Dimension::IpVersion]),
        Just(EIGHT.to_vec()),
    ]
}

fn act(world: &mut World, step: &Step) {
    match *step {
        Step::Scan { country, first, ports } => {
            let events: Vec<_> =
                (0..ports).map(|port| packet(country, first.wrapping_add(port))).collect();
            world.send(&events);
        }
        Step::Talk { country, port, packets } => {
            world.send(&vec![packet(country, port); packets.into()]);
        }
        Step::Spoof { countries, port } => {
            let events: Vec<_> = (0..countries).map(|country| packet(country, port)).collect();
            world.send(&events);
        }
        // Scrapes are frequent enough that no retiring series is dropped unscraped.
        Step::Wait { seconds } => {
            for _ in 0..seconds / 60 {
                world.wait(Duration::from_secs(60));
                world.scrape();
            }
            world.wait(Duration::from_secs(u64::from(seconds % 60)));
        }
        Step::Scrape => world.scrape(),
        Step::Reload { max_series, max_new } => world.reload(max_series, max_new),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_against_any_stream(
        labels in labels(),
        max_series in max_series(),
        max_new in 1..60_usize,
        hold in prop_oneof![Just(0_u64), Just(45)],
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut plan = plan(&labels, max_series, max_new);
        plan.newborn_hold = Duration::from_secs(hold);
        let mut world = World::new(plan, seed);
        for step in &steps {
            act(&mut world, step);
        }
        // Without further packets, all pending counts are exposed.
        for _ in 0..4 {
            world.wait(Duration::from_secs(60));
            world.scrape();
        }
        prop_assert_eq!(world.look().families[0].pending_packets, 0);
    }

    #[test]
    fn a_key_heavier_than_the_coldest_series_is_exposed_within_minutes(
        seed in any::<u64>(),
        max_series in 12..80_usize,
        scan in 200..2000_u16,
        port in 1..100_u16,
    ) {
        let mut world = World::new(plan(&TRAFFIC, max_series, 100_000), seed);
        for first in 0..scan {
            world.aggregate.record(&[packet(3, 1000 + first)], world.now);
        }
        world.scrape();
        world.scrape();
        // The scan continues, with ten packets for each packet of the talker.
        let mut visible_after = None;
        for minute in 0..10_u16 {
            for second in 0..60 {
                let mut events = vec![packet(9, port)];
                events.extend((0..10).map(|step| {
                    packet(3, 10_000 + (minute * 600 + second * 10 + step) % 50_000)
                }));
                world.aggregate.record(&events, world.now + Duration::from_secs(second.into()));
            }
            world.wait(Duration::from_secs(60));
            world.scrape();
            let shown = world.look().families[0].series.iter().any(|series| {
                series.key.rung(4) == 0 && series.key.values(4)[3] == u64::from(port)
            });
            if shown {
                visible_after = Some(minute);
                break;
            }
        }
        prop_assert!(visible_after.is_some_and(|minutes| minutes <= 3), "{:?}", visible_after);
    }
}

#[test]
fn a_port_scan_folds_the_port_and_not_the_country() {
    let mut world = World::new(plan(&TRAFFIC, 2000, 500), 1);
    for port in 0..=u16::MAX {
        world.aggregate.record(&[packet(7, port), packet(8, port)], world.now);
    }
    world.send(&vec![packet(9, 22); 5]);
    world.scrape();
    let countries = world.by_label(2);
    assert_eq!(countries.get(&country(7)), Some(&65_536));
    assert_eq!(countries.get(&country(8)), Some(&65_536));
    assert_eq!(countries.get(&country(9)), Some(&5));
    let folded = world.look().families[0].folded.clone();
    assert_eq!(&folded[..3], [0, 0, 0]);
    assert!(folded[3] > 130_000);
}

#[test]
fn spoofed_sources_from_all_countries_fold_the_country_last() {
    let mut world = World::new(plan(&TRAFFIC, 2000, 500), 1);
    for port in 0..2000 {
        for country in 0..250 {
            world.aggregate.record(&[packet(country, port)], world.now);
        }
    }
    world.scrape();
    let countries = world.by_label(2);
    assert!(countries.len() > 200, "{} countries shown", countries.len());
    assert_eq!(countries.values().sum::<u64>(), 500_000);
}

#[test]
fn a_new_series_is_zero_until_its_first_scrape_is_delivered() {
    let mut world = World::new(plan(&[Dimension::Country], 10, 10), 1);
    world.send(&vec![packet(7, 22); 7]);
    assert_eq!(world.look().families[0].pending_packets, 7);
    assert_eq!(world.by_label(0)[&country(7)], 0);
    world.scrape();
    assert_eq!(world.by_label(0)[&country(7)], 7);
    assert_eq!(world.look().families[0].pending_packets, 0);
}

#[test]
fn newborn_hold_keeps_a_new_series_at_zero_for_a_second_prometheus() {
    let mut plan = plan(&[Dimension::Country], 10, 10);
    plan.newborn_hold = Duration::from_secs(60);
    let mut world = World::new(plan, 1);
    world.send(&vec![packet(7, 22); 7]);
    world.scrape();
    world.wait(Duration::from_secs(59));
    assert_eq!(world.by_label(0)[&country(7)], 0);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.by_label(0)[&country(7)], 7);
}

#[test]
fn a_scrape_rendered_before_a_series_existed_does_not_release_its_count() {
    let mut world = World::new(plan(&[Dimension::Country], 10, 10), 1);
    let early = world.look().generation;
    world.send(&[packet(7, 22)]);
    world.aggregate.delivered(early, world.now);
    assert_eq!(world.by_label(0)[&country(7)], 0);
}

#[test]
fn retiring_series_are_also_dropped_without_scrapes() {
    let mut world = World::new(plan(&[Dimension::Port], 4, 1000), 1);
    fill_three_ports(&mut world);
    send_port_99(&mut world);
    world.wait(Duration::from_secs(61));
    assert!(!world.by_label(0).contains_key(&99));
    world.wait(Duration::from_secs(301));
    assert!(world.by_label(0).contains_key(&99));
    let family = &world.look().families[0];
    assert_eq!((family.replaced_series, family.retired_packets), (1, 4));
}

#[test]
fn a_new_plan_keeps_the_total_and_the_series_of_unchanged_labels() {
    let mut world = World::new(plan(&[Dimension::Country, Dimension::Port], 50, 50), 1);
    world.send(&vec![packet(7, 22); 7]);
    world.scrape();

    world.plan.max_series = 60;
    world.aggregate.reconfigure(std::slice::from_ref(&world.plan), world.now);
    assert_eq!(world.by_label(0)[&country(7)], 7, "unchanged labels keep their counts");

    world.plan.labels = vec![Dimension::Port];
    world.aggregate.reconfigure(std::slice::from_ref(&world.plan), world.now);
    world.shown.clear();
    let snapshot = world.look();
    assert_eq!(snapshot.families[0].retired_packets, 7, "changed labels start at zero");
    world.send(&[packet(7, 22)]);
    let snapshot = world.look();
    world.aggregate.delivered(snapshot.generation, world.now);
    assert_eq!(world.by_label(0)[&22], 1);
}

#[test]
fn a_smaller_budget_retires_the_coldest_series() {
    let mut world = World::new(plan(&[Dimension::Port], 20, 100), 1);
    for port in 0..15 {
        world.send(&vec![packet(0, port); usize::from(port) + 1]);
    }
    world.scrape();
    world.scrape();
    let smaller = plan(&[Dimension::Port], 6, 100);
    world.aggregate.reconfigure(std::slice::from_ref(&smaller), world.now);
    world.scrape();
    world.plan = smaller;
    let left = world.by_label(0);
    assert_eq!(left.len(), 6);
    assert!(left.contains_key(&14) && left.contains_key(&OTHER) && !left.contains_key(&0));
}

#[test]
fn a_report_shows_counts_at_once_and_finds_late_heavy_hitters() {
    let plan = plan(&[Dimension::Port], 6, 1000);
    let mut aggregate = Aggregate::new(&[plan], &[], 0, Duration::ZERO);
    aggregate.show_at_once();
    for second in 0..1200_u16 {
        let events = [packet(0, second), packet(0, 50_000), packet(0, 50_000)];
        let skip = usize::from(second < 100) * 2;
        aggregate.record(&events[..3 - skip], Duration::from_secs(second.into()));
    }
    let snapshot = aggregate.snapshot(Duration::from_secs(1200));
    let family = &snapshot.families[0];
    assert_eq!(family.pending_packets, 0);
    let shown: u64 = family.series.iter().map(|series| series.packets).sum();
    assert_eq!(shown + family.retired_packets, received(&snapshot));
    let talker = family.series.iter().find(|series| series.key.values(1) == [50_000]);
    assert!(talker.is_some_and(|series| series.packets > 1000));
}

#[test]
fn a_smaller_budget_drops_unexposed_series_at_once() {
    let mut plan = plan(&[Dimension::Port], 20, 100);
    plan.newborn_hold = Duration::from_secs(60);
    let mut world = World::new(plan.clone(), 1);
    for port in 0..8 {
        world.send(&[packet(0, port)]);
    }
    world.scrape();
    for port in 8..15 {
        world.send(&[packet(0, port)]);
    }
    world.plan.max_series = 6;
    world.aggregate.reconfigure(std::slice::from_ref(&world.plan), world.now);
    let family = &world.look().families[0];
    assert_eq!((family.series.len(), family.retired_packets + family.pending_packets), (6, 15));
}

/// Sends `packets` packets of old keys, spread evenly over `keys` keys and `time`, with a scrape every 30 seconds.
fn send_old_keys(world: &mut World, keys: u64, packets: u32, time: Duration) {
    let start = world.now;
    let mut next_scrape = start;
    // Up to a second of packets in each batch.
    let batch = (packets / u32::try_from(time.as_secs()).unwrap().max(1)).max(1);
    let mut sent = 0;
    while sent < packets {
        if world.now >= next_scrape {
            world.scrape();
            next_scrape += Duration::from_secs(30);
        }
        let next = packets.min(sent + batch);
        let events: Vec<_> = (sent..next).map(|packet| old_key(u64::from(packet) % keys)).collect();
        world.aggregate.record(&events, world.now);
        sent = next;
        world.now = start + time / packets * sent;
    }
}

fn old_key(number: u64) -> Event {
    packet(u8::try_from(number % 200).unwrap(), u16::try_from(number / 200).unwrap())
}

/// A key that makes up 1 % of the packets of the last hour, and at least 20 of them, has its series within its next
/// 100 packets or five minutes, whichever is later, although old keys with the same number of packets each have all
/// places.
#[test]
fn a_key_with_one_percent_of_the_last_hour_gets_a_series_at_any_rate() {
    // Packets per hour of the old keys, and the hours before: from one packet a minute to 100 a second.
    for (per_hour, hours) in [(60, 96), (600, 48), (6_000, 12), (60_000, 3), (360_000, 2)] {
        let places = 400;
        let mut world = World::new(plan(&TRAFFIC, 1000, 500), 1);
        send_old_keys(&mut world, places, per_hour * hours, HOUR * hours);
        // The new key, among the old ones, until it has 1 % of an hour's packets and at least 20.
        let share = (per_hour / 100).max(20);
        let pause = HOUR / share;
        for _ in 0..share {
            send_old_keys(&mut world, places, (per_hour / share).max(1), pause);
            world.aggregate.record(&[packet(201, 9999)], world.now);
        }
        let (reached, mut packets) = (world.now, 0);
        while !shows_late_key(&mut world) {
            let waited = world.now.saturating_sub(reached);
            assert!(
                packets <= 100 || waited <= Duration::from_secs(300),
                "{per_hour} packets an hour: no series after {packets} packets and {waited:?}"
            );
            send_old_keys(&mut world, places, (per_hour / share).max(1), pause);
            world.aggregate.record(&[packet(201, 9999)], world.now);
            packets += 1;
        }
    }
}

/// Scrapes, and returns whether the full key from country 201 has a series.
fn shows_late_key(world: &mut World) -> bool {
    world.scrape();
    let snapshot = world.look();
    let mut keys = snapshot.families[0].series.iter().map(|series| series.key);
    keys.any(|key| key.values(4)[2] == country(201) && key.rung(4) == 0)
}

/// The same in a flood that is younger than an hour, up to a rate at which weights have the shortest half-life.
#[test]
fn a_key_with_one_percent_of_a_flood_has_a_series() {
    for (per_second, seconds) in [(1_000, 600), (10_000, 60), (50_000, 20)] {
        let mut world = World::new(plan(&TRAFFIC, 1000, 500), 1);
        let mut sent = per_second * seconds;
        send_old_keys(&mut world, 400, sent, Duration::from_secs(seconds.into()));
        let mut late = 0;
        while late * 100 < sent {
            send_old_keys(&mut world, 400, per_second, Duration::from_secs(1));
            let share = per_second / 49;
            world.aggregate.record(&vec![packet(201, 9999); share as usize], world.now);
            (sent, late) = (sent + per_second + share, late + share);
        }
        // Its next scrape shows it.
        assert!(shows_late_key(&mut world), "{per_second} packets per second");
    }
}

#[test]
fn the_first_fill_is_not_rationed() {
    let mut world = World::new(plan(&TRAFFIC, 2000, 500), 1);
    // 20,000 packets a second from 150 countries to a few hundred ports, for ten seconds.
    for second in 0..10_u64 {
        let events: Vec<_> = (0..20_000_u32)
            .map(|number| {
                let number = number.wrapping_mul(2_654_435_761) >> 8;
                packet((number % 150) as u8, (number / 150 % 300) as u16)
            })
            .collect();
        world.now = Duration::from_secs(second);
        world.aggregate.record(&events, world.now);
    }
    world.scrape();
    let snapshot = world.look();
    let family = &snapshot.families[0];
    let full = family.series.iter().filter(|series| series.key.rung(4) == 0).count();
    assert_eq!(full, 1119, "series of full keys");
    assert_eq!(family.folded[..3], [0, 0, 0], "no country is folded");
}

#[test]
fn a_heavy_network_that_comes_late_replaces_light_ones() {
    let mut world = World::new(plan(&TRAFFIC, 500, 50), 1);
    // Each minute new keys, each with three packets; after half an hour a key that keeps sending.
    for minute in 0..90_u16 {
        let mut events = Vec::new();
        for key in 0..60 {
            events.extend([packet(5, minute * 60 + key); 3]);
        }
        if minute >= 30 {
            events.extend([packet(6, 1); 10]);
        }
        world.aggregate.record(&events, world.now);
        world.wait(Duration::from_secs(60));
        world.scrape();
        if minute == 33 {
            assert!(world.by_label(2).contains_key(&country(6)), "four minutes after its start");
        }
    }
    let family = &world.look().families[0];
    let shown = family
        .series
        .iter()
        .find(|series| series.key.values(4)[2] == country(6) && series.key.rung(4) == 0);
    assert!(shown.is_some_and(|series| series.packets > 550));
}

#[test]
fn a_series_of_one_packet_makes_room_for_a_busier_key() {
    let mut world = World::new(plan(&[Dimension::Port], 11, 100), 1);
    for port in 0..10 {
        world.send(&vec![packet(0, port); 4]);
        world.scrape();
    }
    // Ten days of silence, then a key with one packet a day.
    for day in 0..20 {
        world.wait(Duration::from_secs(86_400));
        world.scrape();
        if day >= 10 {
            world.send(&[packet(0, 99)]);
            world.scrape();
        }
    }
    world.scrape();
    assert!(world.by_label(0).contains_key(&99));
}

/// Gives ports 1, 2 and 3 the series of a family with four places.
fn fill_three_ports(world: &mut World) {
    for port in 1..=3 {
        // The last places need more than one packet.
        world.send(&vec![packet(0, port); 4]);
    }
    world.scrape();
    assert_eq!(world.by_label(0).len(), 4);
}

/// Sends 100 packets of port 99, which replaces one of these.
fn send_port_99(world: &mut World) {
    for _ in 0..100 {
        world.wait(Duration::from_millis(20));
        world.send(&[packet(0, 99)]);
    }
}

#[test]
fn a_promised_series_counts_the_packets_of_its_key() {
    let mut world = World::new(plan(&[Dimension::Port], 4, 1000), 1);
    fill_three_ports(&mut world);
    let before = world.look().families[0].folded[0];
    send_port_99(&mut world);
    let family = &world.look().families[0];
    assert_eq!(family.series.len(), 4, "the replaced series is still exposed");
    let folded = family.folded[0] - before;
    assert!(folded < 10, "{folded} packets were folded before the key outweighed a series");
    assert_eq!(family.pending_packets, 100 - folded);
    world.scrape();
    world.scrape();
    assert_eq!(world.by_label(0)[&99], 100 - folded);
}

#[test]
fn the_packets_of_a_promise_that_cannot_be_kept_are_folded() {
    let mut world = World::new(plan(&[Dimension::Port], 4, 1000), 1);
    fill_three_ports(&mut world);
    let before = world.look().families[0].folded[0];
    send_port_99(&mut world);
    world.plan.max_series = 1;
    world.aggregate.reconfigure(std::slice::from_ref(&world.plan), world.now);
    world.plan.max_series = 4;
    for _ in 0..3 {
        world.wait(Duration::from_secs(60));
        world.scrape();
    }
    let family = &world.look().families[0];
    assert_eq!((family.series.len(), family.pending_packets), (1, 0));
    assert_eq!(family.folded[0], before + 100);
    // The weight of its key is known: with more room, its next packet replaces a lighter series.
    world.reload(4, 1000);
    fill_three_ports(&mut world);
    world.aggregate.record(&[packet(1, 99)], world.now);
    for _ in 0..3 {
        world.wait(Duration::from_secs(60));
        world.scrape();
    }
    assert!(world.by_label(0).contains_key(&99));
}

/// Keys that each stay just below the weight that they need cost no turnover, and keys just above it never use it up.
#[test]
fn slow_churn_at_the_threshold_leaves_turnover_for_heavy_keys() {
    let mut world = World::new(plan(&TRAFFIC, 500, 100), 1);
    for minute in 0..180_u16 {
        let mut events = Vec::new();
        for key in 0..40 {
            events.extend([packet(5, minute * 40 + key); 12]);
        }
        world.aggregate.record(&events, world.now);
        world.wait(Duration::from_secs(60));
        world.scrape();
    }
    for _ in 0..5 {
        world.aggregate.record(&vec![packet(6, 1); 100], world.now);
        world.wait(Duration::from_secs(60));
        world.scrape();
    }
    let family = &world.look().families[0];
    assert!(
        family
            .series
            .iter()
            .any(|series| series.key.values(4)[2] == country(6) && series.key.rung(4) == 0)
    );
}

/// A key that sends every other quarter of an hour keeps its series.
#[test]
fn a_heavy_key_that_pauses_keeps_its_series() {
    let mut world = World::new(plan(&TRAFFIC, 500, 500), 1);
    let mut births = 0;
    let mut was_shown = false;
    for minute in 0..240_u16 {
        let mut events: Vec<_> = (0..60).map(|key| packet(5, minute * 60 + key)).collect();
        if minute / 15 % 2 == 0 {
            events.extend([packet(6, 1); 10]);
        }
        world.aggregate.record(&events, world.now);
        world.wait(Duration::from_secs(60));
        world.scrape();
        let is_shown = world.look().families[0]
            .series
            .iter()
            .any(|series| series.key.values(4)[2] == country(6) && series.key.rung(4) == 0);
        births += usize::from(is_shown && !was_shown);
        was_shown = is_shown;
    }
    assert_eq!(births, 1);
}

#[test]
fn the_demand_counts_keys_without_a_series() {
    let mut world = World::new(plan(&TRAFFIC, 50, 50), 1);
    for port in 0..20_000 {
        world.aggregate.record(&[packet(3, port)], world.now);
    }
    let demand = world.look().families[0].demand;
    assert!((18_000.0..22_000.0).contains(&demand), "{demand}");
    world.wait(Duration::from_secs(2 * 3600));
    assert!(world.look().families[0].demand < 1.0);
}

/// The name `other` has the value of a folded label: the full key is then that of a less detailed rung.
#[test]
fn a_promised_key_whose_last_label_is_the_name_other_takes_one_place() {
    let mut world = World::new(plan(&[Dimension::Port, Dimension::Prefix], 3, 100), 1);
    world.send(&vec![prefixed(0, 1, 1); 3]);
    // No full key is heavy, but together they are.
    world.send(&[prefixed(0, 2, 2), prefixed(0, 2, 3), prefixed(0, 2, 4)]);
    world.scrape();
    for port in [3, 4, 5] {
        for _ in 0..60 {
            world.wait(Duration::from_millis(20));
            world.send(&[prefixed(0, port, u16::from(port == 4))]);
        }
        world.scrape();
        world.scrape();
    }
    assert_eq!(world.look().families[0].series.len(), 3);
}

#[test]
fn a_country_with_the_prefix_other_keeps_its_place() {
    let mut world = World::new(plan(&[Dimension::Country, Dimension::Prefix], 254, 100), 1);
    world.send(&[prefixed(1, 1, 0)]);
    world.scrape();
    for _ in 0..60 {
        world.wait(Duration::from_millis(20));
        world.send(&[prefixed(2, 1, 1), prefixed(1, 1, 5)]);
    }
    assert_eq!(world.look().families[0].folded[0], 0, "no country is folded");
}

#[test]
fn no_country_is_folded_if_it_is_the_only_label() {
    let mut world = World::new(plan(&[Dimension::Country], 254, 1), 1);
    world.send(&(0..250).map(|country| packet(country, 1)).collect::<Vec<_>>());
    assert_eq!(world.look().families[0].folded[0], 0);
}

#[test]
fn no_country_is_folded_after_a_smaller_budget_took_effect() {
    let mut world = World::new(plan(&[Dimension::Country, Dimension::Prefix], 1000, 1), 1);
    for country in 0..100 {
        world.send(&(10..16).map(|prefix| prefixed(country, 1, prefix)).collect::<Vec<_>>());
    }
    world.scrape();
    world.reload(254, 1);
    world.scrape();
    world.scrape();
    let before = world.look().families[0].folded[0];
    world.send(&(0..250).map(|country| packet(country, 1)).collect::<Vec<_>>());
    assert_eq!(world.look().families[0].folded[0] - before, 0);
}

/// Packets of series that a smaller budget ends before their count was exposed still reach Prometheus.
#[test]
fn a_smaller_budget_folds_the_packets_of_unexposed_series() {
    let mut world = World::new(plan(&[Dimension::Port], 20, 100), 1);
    world.scrape();
    for port in 0..15 {
        world.send(&[packet(0, port)]);
    }
    world.reload(3, 100);
    world.scrape();
    world.scrape();
    assert_eq!(world.look().families[0].retired_packets, 0);
}

/// While a full key finds a free place, but the turnover of full keys is used, it still gets one if it is heavy.
#[test]
fn a_heavy_key_gets_a_free_place_after_the_others_used_their_turnover() {
    let mut world = World::new(plan(&[Dimension::Port], 40, 20), 1);
    for port in 0..39 {
        world.send(&vec![packet(0, port); 4]);
    }
    world.scrape();
    world.send(&vec![packet(0, 0); 20_000]);
    world.reload(5, 20);
    world.scrape();
    world.reload(40, 20);
    for port in 100..130 {
        world.send(&vec![packet(0, port); 4]);
    }
    world.scrape();
    world.send(&vec![packet(0, 999); 200]);
    world.scrape();
    assert!(world.by_label(0).contains_key(&999));
}

/// Keys with few packets of the minutes after a start do not pass for heavy ones.
#[test]
fn light_keys_of_the_second_minute_leave_turnover_for_heavy_ones() {
    let mut world = World::new(plan(&[Dimension::Port], 101, 100), 1);
    for port in 0..100 {
        world.send(&vec![packet(0, port); 4]);
    }
    world.scrape();
    world.send(&vec![packet(0, 0); 20_000]);
    world.wait(Duration::from_secs(60));
    // 0.15 % of the packets each.
    for port in 1000..1150 {
        world.wait(Duration::from_millis(20));
        world.send(&vec![packet(0, port); 60]);
        if port % 20 == 0 {
            world.scrape();
        }
    }
    world.scrape();
    let shown = world.by_label(0);
    let new = shown.keys().filter(|&&port| (1000..1150).contains(&port)).count();
    assert!(new <= 80, "{new} of 100");
}
