//! Many device names and log prefixes: names that are no longer used make room for new ones.
mod threads;

use std::{
    borrow::Cow,
    collections::HashSet,
    time::{Duration, Instant},
};

use nflog_exporter::{
    event::{MAX_DEVICES, MAX_PREFIXES, Names},
    geoip::GeoIp,
    metrics::{Aggregate, Dimension, FamilyConfig, OTHER, SharedAggregate},
    mirror::Mirror,
    networks::Networks,
    pipeline::{Clock, Route},
    source::Record,
};

fn route(labels: &[Dimension]) -> Route {
    route_of(labels, 200_000)
}

fn route_of(labels: &[Dimension], max_series: usize) -> Route {
    let plan = FamilyConfig {
        name: "traffic".into(),
        labels: labels.into(),
        max_series,
        max_new_series_per_hour: max_series,
        newborn_hold: Duration::ZERO,
    };
    let aggregate = Aggregate::new(&[plan], &[], 1, Duration::ZERO);
    Route::new(
        GeoIp::open(&[]).unwrap().locator(),
        SharedAggregate::new(aggregate),
        Clock::packets(),
    )
}

/// A packet of a rule, received on this device.
fn send(route: &mut Route, prefix: &str, device: &str) {
    send_to(route, (prefix, device), 53, Duration::from_secs(1_700_000_000));
}

/// A packet of a rule, received on this device, to this port, at this time.
fn send_to(route: &mut Route, names: (&str, &str), port: u16, time: Duration) {
    take(route, names, port, time);
    route.hand_over();
}

/// As [`send_to`], without the end of the batch.
fn take(route: &mut Route, (prefix, device): (&str, &str), port: u16, time: Duration) {
    // UDP from 8.8.8.8 to 192.0.2.1, without data.
    let [high, low] = port.to_be_bytes();
    let packet = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 8, 8, 8, 8, 192, 0, 2, 1, 0, 53, high, low, 0, 8,
        0, 0,
    ];
    route.take(&Record {
        group: 0,
        host: &[],
        prefix: prefix.as_bytes(),
        hook: None,
        direction: None,
        ether_type: None,
        mark: 0,
        in_device: device,
        out_device: "",
        hardware_address: &[],
        headers: None,
        uid: None,
        connection: None,
        time: Some(time.as_micros().try_into().unwrap()),
        payload: &packet,
        wire_length: 28,
        message: &[],
    });
}

/// The label sets of all series. Checks that they are distinct and that they contain every packet.
fn label_sets(route: &Route, packets: usize) -> HashSet<Vec<Option<String>>> {
    let (aggregate, names) = (route.aggregate(), route.names());
    let mut aggregate = aggregate.lock();
    let snapshot = aggregate.snapshot(route.clock().now());
    let family = &snapshot.families[0];
    let held = family.retired_packets + family.pending_packets;
    let exposed: u64 = family.series.iter().map(|series| series.packets).sum();
    assert_eq!(held + exposed, packets as u64);
    let texts = |series: &nflog_exporter::metrics::SeriesSnapshot| -> Vec<_> {
        let values = family.labels.iter().zip(series.key.values(family.labels.len()));
        values.map(|(label, value)| label.text(*value, &names).map(Cow::into_owned)).collect()
    };
    let sets: Vec<_> = family.series.iter().map(texts).collect();
    let distinct: HashSet<_> = sets.iter().cloned().collect();
    assert_eq!(distinct.len(), sets.len(), "two series carry the same labels");
    distinct
}

#[test]
fn unused_device_names_use_no_slot() {
    let mut route = route(&[Dimension::Prefix, Dimension::Port]);
    for number in 0..50_000 {
        send(&mut route, "old rule", &format!("veth{number:x}"));
    }
    send(&mut route, "new rule", "eth0");
    assert_eq!(route.names().rejected(), 0);
    // With `other` and the empty name.
    assert_eq!(route.names().len(), 4);
    let sets = label_sets(&route, 50_001);
    for prefix in ["old rule", "new rule"] {
        assert!(sets.contains(&vec![Some(prefix.into()), Some("53".into())]), "{sets:?}");
    }
}

#[test]
fn device_names_use_no_slot_of_prefixes() {
    let mut route = route(&[Dimension::Prefix, Dimension::InInterface]);
    let more = 100;
    for number in 0..MAX_DEVICES + more {
        send(&mut route, "", &format!("veth{number:x}"));
    }
    assert_eq!(route.names().rejected(), more as u64);
    for number in 0..MAX_PREFIXES + more {
        send(&mut route, &format!("rule {number}"), "");
    }
    assert_eq!(route.names().rejected(), 2 * more as u64);
    let sets = label_sets(&route, MAX_DEVICES + MAX_PREFIXES + 2 * more);
    for number in 0..MAX_PREFIXES {
        assert!(sets.contains(&vec![Some(format!("rule {number}")), None]), "rule {number}");
    }
    assert!(sets.contains(&vec![Some("other".into()), None]));
    assert!(sets.contains(&vec![Some(String::new()), Some("other".into())]));
}

#[test]
fn a_reload_that_adds_a_device_label_shows_the_names() {
    let mut route = route(&[Dimension::Prefix]);
    send(&mut route, "rule", "eth0");
    let plan = FamilyConfig {
        name: "devices".into(),
        labels: vec![Dimension::InInterface],
        max_series: 10,
        max_new_series_per_hour: 10,
        newborn_hold: Duration::ZERO,
    };
    let now = route.clock().now();
    route.aggregate().lock().reconfigure(&[plan], now);
    // The change takes effect with the next batch of the reader, which can be empty.
    route.hand_over();
    send(&mut route, "rule", "eth0");
    send(&mut route, "rule", "");
    let aggregate = route.aggregate();
    let snapshot = aggregate.lock().snapshot(now);
    let family = &snapshot.families[0];
    let names = route.names();
    let texts: HashSet<_> = family
        .series
        .iter()
        .map(|series| Dimension::InInterface.text(series.key.values(1)[0], &names))
        .map(|text| text.map(Cow::into_owned))
        .collect();
    assert!(texts.contains(&Some("eth0".into())) && texts.contains(&None), "{texts:?}");
}

/// Rules that are renamed ten times per minute: 4,296 rules with one packet each, then one that stays.
#[test]
fn a_new_rule_has_its_own_label_after_thousands_of_renames() {
    let mut route = route_of(&[Dimension::Prefix], 100);
    let start = Duration::from_secs(1_700_000_000);
    let renames = MAX_PREFIXES + 200;
    let mut time = start;
    for number in 0..renames {
        time += Duration::from_secs(6);
        send_to(&mut route, (&format!("rule {number}"), ""), 53, time);
    }
    // Enough packets to replace a series without packets, after a scrape has shown that series.
    let packets = 500;
    for _ in 0..packets {
        time += Duration::from_secs(1);
        send_to(&mut route, ("new rule", ""), 53, time);
        let aggregate = route.aggregate();
        let generation = aggregate.lock().snapshot(time).generation;
        aggregate.lock().delivered(generation, time);
    }
    assert_eq!(route.names().rejected(), 0);
    let sets = label_sets(&route, renames + packets);
    assert!(sets.contains(&vec![Some("new rule".into())]), "{sets:?}");
    // The page shows it too.
    let recent = route.recent();
    let newest = *recent.lock().observations().newest_first().next().unwrap();
    let prefix = newest.cell.value(Dimension::Prefix);
    assert_eq!(Dimension::Prefix.text(prefix, &route.names()).as_deref(), Some("new rule"));
}

#[test]
fn devices_that_come_and_go_leave_room_for_new_ones() {
    let mut route = route_of(&[Dimension::InInterface], 100);
    let mut time = Duration::from_secs(1_700_000_000);
    let devices = 3 * MAX_DEVICES;
    for number in 0..devices {
        time += Duration::from_millis(100);
        send_to(&mut route, ("", &format!("veth{number:x}")), 53, time);
    }
    assert_eq!(route.names().rejected(), 0);
    label_sets(&route, devices);
}

/// Packets have a prefix, a device and a port that belong together. While names are evicted, no output shows
/// a name with a port of another name.
#[test]
fn every_owner_of_an_id_shows_the_name_of_its_packets() {
    let labels = [Dimension::Port, Dimension::Prefix, Dimension::InInterface];
    let mut route = route_of(&labels, 300);
    let mut time = Duration::from_secs(1_700_000_000);
    let mut copies = Vec::new();
    let mut random = 7_u64;
    for step in 0..60_000_u32 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A third of the packets have one of 50 rules, the others any rule.
        let port = u16::try_from(random >> 48).unwrap();
        let port = if random >> 40 & 0xff < 85 { port % 50 + 1 } else { port.max(1) };
        time += Duration::from_millis(random >> 32 & 0xfff);
        send_to(&mut route, (&format!("rule {port}"), &format!("veth{port}")), port, time);
        if step % 5_000 != 0 {
            continue;
        }
        // Copies of a scrape and a page, which are read much later.
        let aggregate = route.aggregate();
        let (snapshot, names) = (aggregate.lock().snapshot(time), route.current_names().get());
        aggregate.lock().delivered(snapshot.generation, time);
        let recent = route.recent();
        let recent = recent.lock();
        copies.push((snapshot, recent.observations(), recent.span(time), names));
    }
    let own = |names: &Names, dimension: Dimension, value: u64, port: u64| {
        let text = dimension.text(value, names).unwrap();
        text == "other" || text == format!("rule {port}") || text == format!("veth{port}")
    };
    for (snapshot, observations, span, names) in &copies {
        let mut named = 0;
        for series in &snapshot.families[0].series {
            let [port, prefix, device] = *series.key.values(3) else { unreachable!() };
            assert!(own(names, Dimension::Prefix, prefix, port), "{series:?}");
            assert!(own(names, Dimension::InInterface, device, port), "{series:?}");
            named += usize::from(prefix != OTHER);
        }
        assert!(named > 0);
        let cells = span.slices.iter().flat_map(|(_, slice)| slice.cells().map(|(cell, _)| cell));
        for cell in cells.chain(observations.newest_first().map(|observation| &observation.cell)) {
            let (prefix, port) = (cell.value(Dimension::Prefix), cell.value(Dimension::Port));
            assert!(port == OTHER || own(names, Dimension::Prefix, prefix, port), "{cell:?}");
        }
    }
    assert!(copies.iter().any(|(.., names)| !names.is(&route.names())), "no name was evicted");
}

/// Names are evicted while the mirror builds rows of earlier events: each row has its own rule, or `other`.
#[test]
fn rows_have_the_names_of_their_packets_while_names_are_evicted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("packets.db");
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\nretention = '0s'\n[mirror.spool]\ndirectory = '{}'\n",
        file.display(),
        directory.path().join("spool").display()
    );
    let config = nflog_exporter::config::parse(&config, "names").unwrap();
    let resolved = config.resolve_mirror().unwrap().unwrap();
    let mut route = route_of(&[Dimension::Port], 100);
    let geoip = GeoIp::open(&[]).unwrap();
    let mirror = Mirror::start(
        resolved,
        &route.current_names(),
        Networks::none().locations(geoip.city_lookup()),
    )
    .unwrap();
    let queue = mirror.queue();
    route.mirror_to(mirror.queue());
    let deadline = Instant::now() + Duration::from_secs(120);
    let (mut port, mut time) = (0, Duration::from_secs(1_700_000_000));
    for round in 1..=10 {
        for _ in 0..3_000 {
            port += 1;
            time += Duration::from_millis(100);
            send_to(&mut route, (&format!("rule {port}"), &format!("veth{port}")), port, time);
        }
        // Some events are rows now; the others are in the queue or being processed when the next names are evicted.
        while queue.status().account.queued > 1_000 {
            assert!(Instant::now() < deadline, "round {round}: {:?}", queue.status());
            std::thread::yield_now();
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(mirror.end(Duration::from_secs(120)));

    let database = rusqlite::Connection::open(file).unwrap();
    let count = |condition: &str| -> i64 {
        let query = format!("SELECT count(*) FROM packets WHERE {condition}");
        database.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("true"), i64::from(port));
    let own = "(prefix = 'rule ' || destination_port OR prefix = 'other') AND \
               (in_device = 'veth' || destination_port OR in_device = 'other')";
    assert_eq!(count(&format!("NOT ({own})")), 0);
    let named = count("prefix <> 'other'");
    assert!(named > 2 * i64::try_from(MAX_PREFIXES).unwrap(), "{named} rows have their rule");
}
