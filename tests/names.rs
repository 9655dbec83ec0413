//! A host that makes and removes devices all day, and rules that come late.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{borrow::Cow, collections::HashSet, time::Duration};

use nflog_exporter::{
    event::{MAX_DEVICES, MAX_PREFIXES},
    geoip::GeoIp,
    metrics::{Aggregate, Dimension, FamilyPlan},
    pipeline::{Clock, Route, SharedAggregate},
    source::Record,
};

fn route(labels: &[Dimension]) -> Route {
    let plan = FamilyPlan {
        name: "traffic".into(),
        labels: labels.into(),
        max_series: 100_000,
        max_new_series_per_hour: 100_000,
        newborn_hold: Duration::ZERO,
    };
    let aggregate = Aggregate::new(&[plan], &[], 1, Duration::ZERO);
    Route::new(
        GeoIp::open(&[]).unwrap().locator(),
        SharedAggregate::new(aggregate),
        Clock::packets(),
    )
}

/// A packet of a rule, in by this device.
fn send(route: &mut Route, prefix: &str, device: &str) {
    // UDP from 8.8.8.8 to 192.0.2.1, port 53, without data.
    let packet = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 8, 8, 8, 8, 192, 0, 2, 1, 0, 53, 0, 53, 0, 8, 0,
        0,
    ];
    route.take(&Record {
        group: 0,
        prefix: prefix.as_bytes(),
        hook: None,
        direction: None,
        ether_type: None,
        mark: 0,
        in_device: device,
        out_device: "",
        hardware_address: &[],
        issue: None,
        uid: None,
        time: Some(1_700_000_000_000_000),
        payload: &packet,
        wire_length: 28,
    });
    route.hand_over();
}

/// The label sets of all series, which are distinct, after every packet was found in one of them.
fn label_sets(route: &Route, packets: usize) -> HashSet<Vec<Option<String>>> {
    let (aggregate, names) = (route.aggregate(), route.names());
    let mut aggregate = aggregate.lock();
    let snapshot = aggregate.snapshot(route.clock().now());
    let family = &snapshot.families[0];
    let held = family.retired_packets + family.pending_packets;
    let exposed: u64 = family.series.iter().map(|series| series.packets).sum();
    assert_eq!(held + exposed, packets as u64);
    let texts = |series: &nflog_exporter::metrics::Series| -> Vec<_> {
        let values = family.labels.iter().zip(series.key.values(family.labels.len()));
        values.map(|(label, value)| label.text(*value, &names).map(Cow::into_owned)).collect()
    };
    let sets: Vec<_> = family.series.iter().map(texts).collect();
    let distinct: HashSet<_> = sets.iter().cloned().collect();
    assert_eq!(distinct.len(), sets.len(), "two series carry the same labels");
    distinct
}

#[test]
fn devices_that_nothing_shows_take_no_place() {
    let mut route = route(&[Dimension::Prefix, Dimension::Port]);
    for number in 0..50_000 {
        send(&mut route, "old rule", &format!("veth{number:x}"));
    }
    send(&mut route, "new rule", "eth0");
    assert_eq!(route.names().refused(), 0);
    // With `other` and the empty name.
    assert_eq!(route.names().len(), 4);
    let sets = label_sets(&route, 50_001);
    for prefix in ["old rule", "new rule"] {
        assert!(sets.contains(&vec![Some(prefix.into()), Some("53".into())]), "{sets:?}");
    }
}

#[test]
fn devices_take_no_place_of_prefixes() {
    let mut route = route(&[Dimension::Prefix, Dimension::InInterface]);
    let more = 100;
    for number in 0..MAX_DEVICES + more {
        send(&mut route, "", &format!("veth{number:x}"));
    }
    assert_eq!(route.names().refused(), more as u64);
    for number in 0..MAX_PREFIXES + more {
        send(&mut route, &format!("rule {number}"), "");
    }
    assert_eq!(route.names().refused(), 2 * more as u64);
    let sets = label_sets(&route, MAX_DEVICES + MAX_PREFIXES + 2 * more);
    for number in 0..MAX_PREFIXES {
        assert!(sets.contains(&vec![Some(format!("rule {number}")), None]), "rule {number}");
    }
    assert!(sets.contains(&vec![Some("other".into()), None]));
    assert!(sets.contains(&vec![Some(String::new()), Some("other".into())]));
}

#[test]
fn a_reload_that_shows_devices_names_them() {
    let mut route = route(&[Dimension::Prefix]);
    send(&mut route, "rule", "eth0");
    let plan = FamilyPlan {
        name: "devices".into(),
        labels: vec![Dimension::InInterface],
        max_series: 10,
        max_new_series_per_hour: 10,
        newborn_hold: Duration::ZERO,
    };
    let now = route.clock().now();
    route.aggregate().lock().reconfigure(&[plan], now);
    // The reader sees it when it hands over its next batch, which may be empty.
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
