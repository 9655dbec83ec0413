//! The conditions of the traffic itself: surges, new countries, silence and login ports.

use std::{collections::HashMap, time::Duration};

use super::{
    Alert, Condition,
    thresholds::{
        BRUTE_FORCE_PACKETS_PER_SECOND, LOGIN_PORTS, NEW_COUNTRY_HISTORY_MINUTES,
        NEW_COUNTRY_PACKETS, SILENCE_PACKETS_PER_SECOND, SURGE_COUNTRY_PACKETS_PER_SECOND,
        SURGE_FACTOR, SURGE_HISTORY_MINUTES, SURGE_PREFIX_PACKETS_PER_SECOND,
    },
};
use crate::{
    event::Names,
    geoip::Country,
    history::{Range, SharedHistory, View},
    metrics::{ABSENT, Dimension, OTHER},
    recent::{Cell, Facets, Filter, LIVE_SLICE, Span, facets},
    system::clock::unix_seconds,
};

/// The time over which current rates are measured.
const WINDOW: Duration = Duration::from_secs(300);

/// Parts at the end of the last day in which the packets of a new country can be: those of the last 20 to 40 minutes.
const NEWEST_PARTS: usize = 2;

/// The packets of the last day, to which current rates are compared.
#[derive(Debug, Default)]
pub(super) struct LastDay {
    /// Minutes of it that the history has.
    minutes: f64,
    prefixes: HashMap<String, u64>,
    countries: HashMap<String, u64>,
    /// The countries of its first 23 hours.
    earlier_countries: HashMap<String, u64>,
    /// Packets per second of the last hour.
    last_hour: f64,
}

impl LastDay {
    /// Sums the history. Needs some milliseconds of processor time.
    #[expect(clippy::cast_precision_loss, reason = "counts of a day are below 2^52")]
    pub(super) fn of(history: &SharedHistory) -> Self {
        let seconds =
            (unix_seconds() - history.since() as f64).clamp(0.0, Range::Day.seconds() as f64);
        let day = history.view(Range::Day);
        let earlier = before(&day, day.span.length.saturating_sub(NEWEST_PARTS));
        let last_hour = counts(&history.view(Range::Hour).span).total.packets as f64;
        let whole = counts(&day.span);
        Self {
            minutes: seconds / 60.0,
            prefixes: packets(&whole, &day.names, Dimension::Prefix),
            countries: packets(&whole, &day.names, Dimension::Country),
            earlier_countries: packets(&counts(&earlier), &day.names, Dimension::Country),
            last_hour: last_hour / Range::Hour.seconds() as f64,
        }
    }
}

/// The conditions of the last five minutes of the recent packets. `received` is the number of packets received in that
/// time, if it is known.
#[expect(clippy::cast_precision_loss, reason = "counts of minutes are below 2^52")]
pub(super) fn conditions(
    recent: &Span,
    names: &Names,
    day: &LastDay,
    received: Option<u64>,
) -> Vec<Condition> {
    let now = counts(&newest(recent));
    let rate = |packets: u64| packets as f64 / WINDOW.as_secs_f64();
    let mut found = Vec::new();
    if received == Some(0) && day.last_hour > SILENCE_PACKETS_PER_SECOND {
        found.push(Condition::new(Alert::NflogSuddenSilence, None, day.last_hour));
    }
    let prefixes = packets(&now, names, Dimension::Prefix);
    let countries = located(packets(&now, names, Dimension::Country));
    for (alert, now, before, least) in [
        (Alert::NflogSurgeByPrefix, &prefixes, &day.prefixes, SURGE_PREFIX_PACKETS_PER_SECOND),
        (
            Alert::NflogSurgeFromCountry,
            &countries,
            &day.countries,
            SURGE_COUNTRY_PACKETS_PER_SECOND,
        ),
    ] {
        if day.minutes < SURGE_HISTORY_MINUTES {
            continue;
        }
        for (value, packets) in now {
            let average = before.get(value).copied().unwrap_or(0) as f64 / (60.0 * day.minutes);
            if rate(*packets) > least && rate(*packets) > SURGE_FACTOR * average {
                found.push(Condition::new(alert, Some(value.clone()), rate(*packets)));
            }
        }
    }
    if day.minutes >= NEW_COUNTRY_HISTORY_MINUTES {
        for (country, packets) in &countries {
            if *packets as f64 > NEW_COUNTRY_PACKETS && !day.earlier_countries.contains_key(country)
            {
                let packets = *packets as f64;
                found.push(Condition::new(Alert::NflogNewCountry, Some(country.clone()), packets));
            }
        }
    }
    for (port, packets) in packets_of(&now, Dimension::Port) {
        let is_login = u16::try_from(port).is_ok_and(|port| LOGIN_PORTS.contains(&port));
        if is_login && rate(packets) > BRUTE_FORCE_PACKETS_PER_SECOND {
            let port = Some(port.to_string());
            found.push(Condition::new(Alert::NflogBruteForce, port, rate(packets)));
        }
    }
    found
}

/// All packets of a span, by each dimension.
fn counts(span: &Span) -> Facets {
    facets(span, &Filter::default(), 0)
}

/// The packets of each value of a dimension.
fn packets_of(counts: &Facets, dimension: Dimension) -> impl Iterator<Item = (u64, u64)> {
    let position = Cell::DIMENSIONS.iter().position(|it| *it == dimension).unwrap_or(0);
    let rows = counts.lists[position].iter();
    rows.filter(|row| row.value != OTHER && row.value != ABSENT)
        .map(|row| (row.value, row.count.packets))
}

/// The same by text, because the ids of names differ between the recent packets and the history.
fn packets(counts: &Facets, names: &Names, dimension: Dimension) -> HashMap<String, u64> {
    packets_of(counts, dimension)
        .filter_map(|(value, packets)| Some((dimension.text(value, names)?.into_owned(), packets)))
        .collect()
}

/// Without the addresses that belong to no country.
fn located(mut countries: HashMap<String, u64>) -> HashMap<String, u64> {
    for unlocated in [Country::Private, Country::Unknown] {
        countries.remove(unlocated.code());
    }
    countries
}

/// The slices of the last five minutes.
fn newest(span: &Span) -> Span {
    let slices = usize::try_from(WINDOW.as_secs() / LIVE_SLICE.as_secs()).unwrap_or(usize::MAX);
    let first = span.length.saturating_sub(slices);
    let mut newest = span.clone();
    newest.slices.retain(|(index, _)| *index >= first);
    newest
}

/// The parts before the one with this number.
fn before(view: &View, part: usize) -> Span {
    let mut span = view.span.clone();
    span.slices.retain(|(index, _)| *index < part);
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Interner, NameField, fixture::tcp},
        recent::{Recent, WindowMode},
    };

    const NOW: Duration = Duration::from_secs(3000);

    /// A country, a prefix, a port and a number of packets.
    type Packets<'a> = (&'a str, &'a str, u16, usize);

    /// Packets received `ago` before now.
    fn check(ago: Duration, all: &[Packets<'_>], day: &LastDay, expected: &[(Alert, &str)]) {
        let mut interner = Interner::new(Names::default());
        let mut recent = Recent::new(WindowMode::Live);
        for &(country, prefix, port, packets) in all {
            let mut event: Event = tcp(country, [198, 51, 100, 7], port);
            event.prefix = interner.intern(NameField::Prefix, prefix.as_bytes());
            recent.push(&vec![event; packets], NOW.saturating_sub(ago));
        }
        let found = conditions(&recent.span(NOW), &interner.names(), day, Some(1));
        let mut found: Vec<_> =
            found.into_iter().map(|it| (it.alert, it.subject.unwrap_or_default())).collect();
        found.sort();
        let expected = expected.iter().map(|&(alert, subject)| (alert, subject.to_owned()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    fn day(minutes: f64, prefixes: &[(&str, u64)], countries: &[(&str, u64)]) -> LastDay {
        let map = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|&(name, packets)| (name.to_owned(), packets)).collect()
        };
        LastDay {
            minutes,
            prefixes: map(prefixes),
            countries: map(countries),
            earlier_countries: map(countries),
            last_hour: 0.0,
        }
    }

    #[test]
    fn a_surge_is_many_times_the_average_of_the_last_day() {
        let minute = Duration::from_secs(60);
        let flood = [("DE", "drop", 9999, 6000)];
        let surge = [(Alert::NflogSurgeByPrefix, "drop"), (Alert::NflogSurgeFromCountry, "DE")];
        // 20 packets per second, against 3.9 or 4.1 on average.
        let of = |average: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let packets = (average * 86_400.0) as u64;
            day(1440.0, &[("drop", packets)], &[("DE", packets)])
        };
        check(minute, &flood, &of(3.9), &surge);
        check(minute, &flood, &of(4.1), &[]);
        check(6 * minute, &flood, &of(3.9), &[]);
        // The history is too short to tell.
        check(minute, &flood, &LastDay { minutes: 359.0, ..of(0.1) }, &[]);
        // Below the rates that matter.
        check(minute, &[("DE", "drop", 9999, 1400)], &of(0.01), &[]);
        let of_country = [(Alert::NflogSurgeFromCountry, "DE")];
        check(minute, &[("DE", "drop", 9999, 1600)], &of(0.01), &of_country);
    }

    #[test]
    fn a_country_is_new_if_the_previous_day_had_none_of_its_packets() {
        let minute = Duration::from_secs(60);
        let traffic =
            [("DE", "drop", 9999, 11), ("FR", "drop", 9999, 11), ("IT", "drop", 9999, 10)];
        let whole = day(1440.0, &[], &[("FR", 1)]);
        check(minute, &traffic, &whole, &[(Alert::NflogNewCountry, "DE")]);
        check(minute, &traffic, &LastDay { minutes: 1379.0, ..whole }, &[]);
    }

    #[test]
    fn many_packets_to_a_login_port_are_a_condition_but_not_to_another_port() {
        let second = Duration::from_secs(1);
        let traffic = [("DE", "", 22, 601), ("DE", "", 23, 600), ("DE", "", 443, 1000)];
        check(second, &traffic, &LastDay::default(), &[(Alert::NflogBruteForce, "22")]);
    }

    #[test]
    fn silence_follows_packets_only() {
        let recent = Recent::new(WindowMode::Live).span(NOW);
        let silence = |received, last_hour| {
            let day = LastDay { last_hour, ..LastDay::default() };
            let found = conditions(&recent, &Names::default(), &day, received);
            found.iter().any(|it| it.alert == Alert::NflogSuddenSilence)
        };
        assert!(silence(Some(0), 0.2));
        assert!(!silence(Some(0), 0.05) && !silence(Some(1), 0.2) && !silence(None, 0.2));
    }
}
