//! Which packets become markers, and where.

use super::{super::tests::event, *};
use crate::{
    event::{Event, Interner, NameField, NameId},
    packet::Transport,
    recent::{HELD, Pace, Recent},
};

const SECOND: u64 = 1_000_000;
const LONDON: u32 = 7 << 8;

/// Six packets, a second apart: from Germany, London, a private and an unknown address, China, and
/// one that could not be read.
struct Log {
    recent: Recent,
    names: Names,
}

impl Log {
    fn new() -> Self {
        let names = Names::default();
        let mut interner = Interner::new(names.clone());
        let drop = interner.intern(NameField::Prefix, b"drop <b>\"&'");
        let mut events = [
            Event { prefix: drop, ..event("DE", 1, 22) },
            Event { prefix: drop, ..event("GB", LONDON, 80) },
            event("private", 3, 22),
            event("unknown", 4, 22),
            Event { prefix: drop, ..event("CN", 5, 22) },
            event("unknown", 6, 22),
        ];
        events[5].headers.addresses = None;
        events[5].headers.transport = Transport::None;
        for (event, second) in events.iter_mut().zip(100..) {
            event.time = second * SECOND;
        }
        let mut recent = Recent::new(Pace::Live);
        recent.push(&events, Duration::ZERO);
        Self { recent, names }
    }

    fn find(&self, query: &MarkerQuery, now: Option<u64>) -> Markers {
        query.find(&self.recent.observations(), now, &self.names, |address| {
            let city = "London".into();
            let london = Location { city, latitude: 51.5142, longitude: -0.0931 };
            (address == std::net::Ipv4Addr::from(LONDON)).then_some(london)
        })
    }

    /// The countries of the markers, and how many packets are left out.
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

fn ask(set: impl FnOnce(&mut MarkerQuery)) -> MarkerQuery {
    let mut query = MarkerQuery::default();
    set(&mut query);
    query
}

#[test]
fn a_marker_a_packet_the_newest_first() {
    Log::new().check(&MarkerQuery::default(), &["CN", "GB", "DE"], 3);
}

#[test]
fn a_city_when_known_else_the_country() {
    let markers = Log::new().find(&MarkerQuery::default(), None).markers;
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
fn each_condition() {
    let log = Log::new();
    log.check(&ask(|it| it.port = Some(22)), &["CN", "DE"], 2);
    log.check(&ask(|it| it.port = Some(0)), &[], 0);
    log.check(&ask(|it| it.prefix = Some("drop <b>\"&'".into())), &["CN", "GB", "DE"], 0);
    log.check(&ask(|it| it.prefix = Some("drop".into())), &[], 0);
    log.check(&ask(|it| it.prefix = Some(String::new())), &[], 3);
    log.check(&ask(|it| it.country = Country::from_code("gb")), &["GB"], 0);
    log.check(&ask(|it| it.country = Some(Country::Private)), &[], 1);
    log.check(&ask(|it| it.country = Some(Country::Unknown)), &[], 2);
}

#[test]
fn conditions_combine_and_last_counts_those_that_meet_them() {
    let log = Log::new();
    log.check(&ask(|it| it.last = 1), &[], 1);
    log.check(&ask(|it| it.last = 2), &["CN"], 1);
    log.check(&ask(|it| it.last = usize::MAX), &["CN", "GB", "DE"], 3);
    let ssh = |last| {
        ask(|it| {
            it.last = last;
            it.port = Some(22);
            it.prefix = Some("drop <b>\"&'".into());
        })
    };
    log.check(&ssh(1), &["CN"], 0);
    log.check(&ssh(2), &["CN", "DE"], 0);
    let query = ask(|it| {
        it.port = Some(22);
        it.country = Country::from_code("DE");
        it.since = Some(Duration::from_secs(4));
    });
    log.check(&query, &[], 0);
    log.check(&MarkerQuery { since: Some(Duration::from_secs(5)), ..query }, &["DE"], 0);
}

#[test]
fn since_goes_back_from_now_or_from_the_newest_packet() {
    let log = Log::new();
    let since = |seconds| ask(|it| it.since = Some(Duration::from_secs(seconds)));
    log.check(&since(0), &[], 1);
    log.check(&since(4), &["CN", "GB"], 3);
    log.check_at(&since(4), Some(107 * SECOND), &["CN"], 2);
    log.check_at(&since(4), Some(200 * SECOND), &[], 0);
    log.check(&ask(|it| it.since = Some(Duration::MAX)), &["CN", "GB", "DE"], 3);
}

/// As after a clock was set back, or when captures are given out of order.
#[test]
fn times_out_of_order() {
    let mut log = Log::new();
    let late = Event { time: 102 * SECOND, ..event("FR", 9, 22) };
    log.recent.push(&[late], Duration::ZERO);
    let query = ask(|it| it.since = Some(Duration::from_secs(2)));
    let found = log.find(&query, None);
    assert_eq!((found.markers.len(), found.left_out), (1, 2), "{found:?}");
    assert_eq!(found.reach, Some((100 * SECOND, 105 * SECOND)));
}

#[test]
fn nothing_came_yet() {
    let observations = Recent::new(Pace::Capture).observations();
    let query = ask(|it| it.since = Some(Duration::from_secs(1)));
    let found = query.find(&observations, None, &Names::default(), |_| None);
    assert_eq!(found, Markers::default());
}

#[test]
fn all_that_is_held() {
    let mut recent = Recent::new(Pace::Live);
    let events = vec![Event { prefix: NameId::OTHER, ..event("DE", 1, 22) }; HELD + 5000];
    recent.push(&events, Duration::ZERO);
    let query = ask(|it| {
        it.last = usize::MAX;
        it.prefix = Some("other".into());
    });
    let found = query.find(&recent.observations(), None, &Names::default(), |_| None);
    assert_eq!(found.markers.len(), found.held);
    assert!(found.held >= HELD);
}
