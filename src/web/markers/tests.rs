//! The search for markers, and both formats.

use std::time::Duration;

use compact_str::ToCompactString as _;

use super::{
    search::{Marker, MarkerList},
    *,
};
use crate::{
    event::{
        Event, Interner, NameField, NameId, Names,
        fixture::{tcp as event, unreadable},
    },
    geoip::{Country, CountryId, Location},
    recent::{RING_CAPACITY, Recent, WindowMode},
};

const SECOND: u64 = 1_000_000;
const LONDON: u32 = 7 << 8;

/// Six packets, a second apart: from Germany, London, a private and an unknown address, China, and
/// one that could not be read.
struct SixPackets {
    recent: Recent,
    names: Names,
}

impl SixPackets {
    fn new() -> Self {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        let drop = interner.intern(NameField::Prefix, b"drop <b>\"&'");
        let events = [
            Event { prefix: drop, ..event("DE", 1, 22) },
            Event { prefix: drop, ..event("GB", LONDON, 80) },
            event("private", 3, 22),
            event("unknown", 4, 22),
            Event { prefix: drop, ..event("CN", 5, 22) },
            unreadable(),
        ];
        let mut second = 99;
        let events = events.map(|event| {
            second += 1;
            Event { time: second * SECOND, ..event }
        });
        let mut recent = Recent::new(WindowMode::Live);
        recent.push(&events, Duration::ZERO);
        Self { recent, names }
    }

    fn find(&self, query: &MarkerQuery, now: Option<u64>) -> MarkerList {
        query.find(&self.recent.observations(), now, &self.names, |address| {
            let city = "London".into();
            let london = Location { city, latitude: 51.5142, longitude: -0.0931 };
            (address == std::net::Ipv4Addr::from(LONDON)).then_some(london)
        })
    }

    /// The countries of the markers, and how many packets are omitted.
    #[track_caller]
    fn check(&self, query: &MarkerQuery, codes: &[&str], left_out: u64) {
        self.check_at(query, None, codes, left_out);
    }

    #[track_caller]
    fn check_at(&self, query: &MarkerQuery, now: Option<u64>, codes: &[&str], left_out: u64) {
        let found = self.find(query, now);
        let countries: Vec<_> = found.markers.iter().map(|it| it.country.info().code).collect();
        assert_eq!((countries.as_slice(), found.left_out), (codes, left_out), "{query:?}");
        assert_eq!((found.held, found.reach), (6, Some((100 * SECOND, 105 * SECOND))));
    }
}

fn query(set: impl FnOnce(&mut MarkerQuery)) -> MarkerQuery {
    let mut query = MarkerQuery::default();
    set(&mut query);
    query
}

#[test]
fn each_packet_has_a_marker_and_the_newest_is_first() {
    SixPackets::new().check(&MarkerQuery::default(), &["CN", "GB", "DE"], 3);
}

#[test]
fn a_marker_is_in_the_city_if_known_otherwise_in_the_country() {
    let markers = SixPackets::new().find(&MarkerQuery::default(), None).markers;
    let london = Marker {
        country: CountryId::from_code("GB").unwrap(),
        latitude: 51.5142,
        longitude: -0.0931,
        city: "London".into(),
    };
    assert_eq!(markers[1], london);
    let germany = CountryId::from_code("DE").unwrap();
    let point = Marker {
        country: germany,
        latitude: germany.info().latitude,
        longitude: germany.info().longitude,
        city: "".into(),
    };
    assert_eq!(markers[2], point);
}

#[test]
fn each_condition_filters() {
    let log = SixPackets::new();
    log.check(&query(|it| it.port = Some(22)), &["CN", "DE"], 2);
    log.check(&query(|it| it.port = Some(0)), &[], 0);
    log.check(&query(|it| it.prefix = Some("drop <b>\"&'".into())), &["CN", "GB", "DE"], 0);
    log.check(&query(|it| it.prefix = Some("drop".into())), &[], 0);
    log.check(&query(|it| it.prefix = Some(String::new())), &[], 3);
    log.check(&query(|it| it.country = Country::from_code("gb")), &["GB"], 0);
    log.check(&query(|it| it.country = Some(Country::Private)), &[], 1);
    log.check(&query(|it| it.country = Some(Country::Unknown)), &[], 2);
}

#[test]
fn conditions_combine_and_last_counts_matching_packets() {
    let log = SixPackets::new();
    log.check(&query(|it| it.last = 1), &[], 1);
    log.check(&query(|it| it.last = 2), &["CN"], 1);
    log.check(&query(|it| it.last = usize::MAX), &["CN", "GB", "DE"], 3);
    let ssh = |last| {
        query(|it| {
            it.last = last;
            it.port = Some(22);
            it.prefix = Some("drop <b>\"&'".into());
        })
    };
    log.check(&ssh(1), &["CN"], 0);
    log.check(&ssh(2), &["CN", "DE"], 0);
    let query = query(|it| {
        it.port = Some(22);
        it.country = Country::from_code("DE");
        it.since = Some(Duration::from_secs(4));
    });
    log.check(&query, &[], 0);
    log.check(&MarkerQuery { since: Some(Duration::from_secs(5)), ..query }, &["DE"], 0);
}

#[test]
fn since_counts_back_from_now_or_from_the_newest_packet() {
    let log = SixPackets::new();
    let since = |seconds| query(|it| it.since = Some(Duration::from_secs(seconds)));
    log.check(&since(0), &[], 1);
    log.check(&since(4), &["CN", "GB"], 3);
    log.check_at(&since(4), Some(107 * SECOND), &["CN"], 2);
    log.check_at(&since(4), Some(200 * SECOND), &[], 0);
    log.check(&query(|it| it.since = Some(Duration::MAX)), &["CN", "GB", "DE"], 3);
}

/// A clock was set back, or captures are given out of order.
#[test]
fn times_may_be_out_of_order() {
    let mut log = SixPackets::new();
    let late = Event { time: 102 * SECOND, ..event("FR", 9, 22) };
    log.recent.push(&[late], Duration::ZERO);
    let query = query(|it| it.since = Some(Duration::from_secs(2)));
    let found = log.find(&query, None);
    assert_eq!((found.markers.len(), found.left_out), (1, 2), "{found:?}");
    assert_eq!(found.reach, Some((100 * SECOND, 105 * SECOND)));
}

#[test]
fn without_packets_there_are_no_markers() {
    let observations = Recent::new(WindowMode::Capture).observations();
    let query = query(|it| it.since = Some(Duration::from_secs(1)));
    let found = query.find(&observations, None, &Names::default(), |_| None);
    assert_eq!(found, MarkerList::default());
}

#[test]
fn a_full_ring_is_searched_whole() {
    let mut recent = Recent::new(WindowMode::Live);
    let events = vec![Event { prefix: NameId::OTHER, ..event("DE", 1, 22) }; RING_CAPACITY + 5000];
    recent.push(&events, Duration::ZERO);
    let query = query(|it| {
        it.last = usize::MAX;
        it.prefix = Some("other".into());
    });
    let found = query.find(&recent.observations(), None, &Names::default(), |_| None);
    assert_eq!(found.markers.len(), found.held);
    assert!(found.held >= RING_CAPACITY);
}

fn marker(code: &str, latitude: f64, longitude: f64, city: &str) -> Marker {
    let country = CountryId::from_code(code).unwrap();
    Marker { country, latitude, longitude, city: city.to_compact_string() }
}

fn found(markers: Vec<Marker>) -> MarkerList {
    let reach = Some((1_700_000_000_000_000, 1_700_000_060_500_000));
    MarkerList { markers, left_out: 3, held: 9, reach }
}

/// A text that must not break a parser, and its form in XML, which cannot represent all of it.
const HOSTILE: &str = "<b>\"&'</b>]]>\t\n\r\0\u{1b}\u{7f}\u{fffe}\u{ffff}東";
const HOSTILE_IN_XML: &str = "<b>\"&'</b>]]>\t\n\r\u{fffd}\u{fffd}\u{7f}\u{fffd}\u{fffd}東";

#[test]
fn xml_is_read_back() {
    let text = xml::write(&found(vec![
        marker("NL", 52.3, 4.9, ""),
        marker("CI", -7.0, -5.5, HOSTILE),
        marker("CI", 0.000_001, 180.0, "London"),
    ]));
    let first = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <markers entries=\"3\" left_out=\"3\" held=\"9\" oldest=\"1700000000\" newest=\"1700000060.5\">\n\
        <marker country_code=\"NL\" country_name=\"Netherlands\" lng=\"4.9\" lat=\"52.3\"/>\n";
    assert!(text.starts_with(first), "{text}");
    let document = roxmltree::Document::parse(&text).unwrap();
    let read: Vec<_> = document
        .root_element()
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|node| {
            assert_eq!(node.tag_name().name(), "marker");
            ["country_code", "country_name", "lng", "lat", "city"].map(|name| node.attribute(name))
        })
        .collect();
    let ivory = Some("Côte d'Ivoire");
    assert_eq!(read.len(), 3);
    assert_eq!(read[0], [Some("NL"), Some("Netherlands"), Some("4.9"), Some("52.3"), None]);
    assert_eq!(read[1], [Some("CI"), ivory, Some("-5.5"), Some("-7"), Some(HOSTILE_IN_XML)]);
    assert_eq!(read[2], [Some("CI"), ivory, Some("180"), Some("0.000001"), Some("London")]);
}

#[test]
fn geojson_is_read_back() {
    let text = geojson::write(&found(vec![
        marker("NL", 52.3, 4.9, ""),
        marker("GB", -7.0, -5.5, HOSTILE),
    ]));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expect = serde_json::json!({
        "type": "FeatureCollection",
        "entries": 2, "left_out": 3, "held": 9,
        "oldest": 1_700_000_000.0, "newest": 1_700_000_060.5,
        "features": [
            {
                "type": "Feature",
                "geometry": { "type": "Point", "coordinates": [4.9, 52.3] },
                "properties": { "country_code": "NL", "country_name": "Netherlands" },
            },
            {
                "type": "Feature",
                "geometry": { "type": "Point", "coordinates": [-5.5, -7.0] },
                "properties": {
                    "country_code": "GB", "country_name": "United Kingdom", "city": HOSTILE,
                },
            },
        ],
    });
    assert_eq!(read, expect);
}

#[test]
fn without_packets_both_formats_are_well_formed() {
    let text = xml::write(&MarkerList::default());
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("entries"), Some("0"));
    assert_eq!((root.attribute("held"), root.attribute("newest")), (Some("0"), None));
    let read: serde_json::Value =
        serde_json::from_str(&geojson::write(&MarkerList::default())).unwrap();
    let expect = serde_json::json!({
        "type": "FeatureCollection", "entries": 0, "left_out": 0, "held": 0, "features": [],
    });
    assert_eq!(read, expect);
}
