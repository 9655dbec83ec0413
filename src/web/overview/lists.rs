//! The lists of the overview: top values by label, countries and cities.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::{
    before::Before,
    json::{CityCount, CountryRow, PrefixSources, Remainder, TopList, TopRow, Total},
    value_text::text,
};
use crate::{
    event::{NameId, Names},
    geoip::{Country, Location},
    metrics::{ABSENT, Dimension, OTHER},
    packet::service_name,
    recent::{FacetRow, Filter, Observations},
};

/// Rows of a list of top values, if there are as many values.
const MIN_ROWS: usize = 10;

/// Every value with at least this many thousandths of a list's packets has a row: what holds 1 %, less the error of
/// the counts.
const LISTED_THOUSANDTHS: u64 = 9;

/// Maximum cities.
const MAX_CITIES: usize = 300;

/// The first rows and that of the folded values, which is last, and a sum of the others.
pub(super) fn top(
    dimension: Dimension,
    rows: &[FacetRow],
    names: &Names,
    before: Option<&Before>,
) -> TopList {
    let (values, folded) = rows.split_at(rows.partition_point(|row| row.value != OTHER));
    let all: u64 = rows.iter().map(|row| row.count.packets).sum();
    let heavy = values.partition_point(|row| row.count.packets * 1000 >= all * LISTED_THOUSANDTHS);
    let (first, rest) = values.split_at(heavy.max(MIN_ROWS).min(values.len()));
    let shown = first.iter().chain(folded);
    TopList {
        rows: shown.map(|row| top_row(dimension, row, names, before)).collect(),
        more: Remainder {
            values: rest.len(),
            packets: rest.iter().map(|row| row.count.packets).sum(),
        },
    }
}

fn top_row(dimension: Dimension, row: &FacetRow, names: &Names, before: Option<&Before>) -> TopRow {
    let name = match dimension {
        Dimension::Port => u16::try_from(row.value).map_or("", service_name),
        Dimension::Network if row.value != OTHER && row.value != ABSENT => match row.country {
            Some(OTHER) | None => "",
            Some(country) => Country::from_bits(country).code(),
        },
        _ => "",
    };
    let value = text(dimension, row.value, names);
    TopRow {
        count: Total::new(row.count, before.and_then(|before| before.packets(dimension, &value))),
        value,
        name,
        timeline: row.timeline.clone(),
    }
}

/// A country, with its coordinates if it has any.
pub(super) fn country(row: &FacetRow, names: &Names, before: Option<&Before>) -> CountryRow {
    let info = match Country::from_bits(row.value) {
        Country::Known(id) if row.value != OTHER => Some(id.info()),
        _ => None,
    };
    let value = text(Dimension::Country, row.value, names);
    CountryRow {
        name: info.map_or_else(|| name_without_country(&value), |info| info.name),
        iso3: info.map(|info| info.iso3),
        latitude: info.map(|info| info.latitude),
        longitude: info.map(|info| info.longitude),
        count: Total::new(
            row.count,
            before.and_then(|before| before.packets(Dimension::Country, &value)),
        ),
        value,
        timeline: row.timeline.clone(),
    }
}

/// The name of a value of the label `country` that is not a country.
fn name_without_country(value: &str) -> &'static str {
    match value {
        "private" => "Private addresses",
        "unknown" => "Unknown to the database",
        _ => "Other countries",
    }
}

/// The newest packets by city, where a database has cities. The heaviest come first.
pub(super) fn cities(
    observations: &Observations,
    filter: &Filter,
    names: &Names,
    location: &mut dyn FnMut(IpAddr) -> Option<Location>,
) -> Vec<CityCount> {
    let mut by_address: HashMap<(IpAddr, u64), u64> = HashMap::new();
    for observation in observations.newest_first().filter(|it| filter.matches(&it.cell)) {
        if let Some(remote) = observation.remote {
            let country = observation.cell.value(Dimension::Country);
            *by_address.entry((remote, country)).or_default() += 1;
        }
    }
    let mut cities: HashMap<(i64, i64), CityCount> = HashMap::new();
    for ((address, country), packets) in by_address {
        let Some(location) = location(address) else { continue };
        let city = cities
            .entry(location_key(location.latitude, location.longitude))
            .or_insert_with(|| CityCount {
                latitude: location.latitude,
                longitude: location.longitude,
                city: location.city.to_string(),
                country: text(Dimension::Country, country, names),
                packets: 0,
            });
        city.packets += packets;
    }
    let mut cities: Vec<_> = cities.into_values().collect();
    cities.sort_unstable_by(|a, b| {
        (b.packets, &a.city, &a.country).cmp(&(a.packets, &b.city, &b.country))
    });
    cities.truncate(MAX_CITIES);
    cities
}

/// Estimated distinct sources by prefix.
pub(super) fn sources(sources: Vec<(NameId, f64)>, names: &Names) -> Vec<PrefixSources> {
    let by_prefix = sources.into_iter();
    by_prefix
        .map(|(prefix, addresses)| PrefixSources {
            prefix: names.text(prefix).to_string(),
            addresses,
        })
        .collect()
}

/// Coordinates in hundredths of a degree: locations within about a kilometre are one city.
#[expect(clippy::cast_possible_truncation, reason = "degrees times a hundred")]
fn location_key(latitude: f64, longitude: f64) -> (i64, i64) {
    ((latitude * 100.0).round() as i64, (longitude * 100.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recent::Count;

    /// The rows of ports with these numbers of packets.
    fn listed(rows: &[(u64, u64)]) -> (Vec<(String, u64)>, usize, u64) {
        let rows: Vec<_> = rows
            .iter()
            .map(|&(value, packets)| FacetRow {
                value,
                count: Count { packets, bytes: 0 },
                timeline: None,
                country: None,
            })
            .collect();
        let list = top(Dimension::Port, &rows, &Names::default(), None);
        let shown = list.rows.into_iter().map(|row| (row.value, row.count.packets));
        (shown.collect(), list.more.values, list.more.packets)
    }

    #[test]
    fn ten_values_are_listed_and_the_folded_ones_last() {
        let light: Vec<_> = (1..=30).map(|port| (port, 2)).chain([(OTHER, 100_000)]).collect();
        let (shown, values, packets) = listed(&light);
        assert_eq!((shown.len(), values, packets), (11, 20, 40));
        assert_eq!(shown.last().unwrap(), &("other".into(), 100_000));
        assert_eq!(listed(&light[..3]).0.len(), 3);
        assert_eq!(listed(&[]), (vec![], 0, 0));
    }

    #[test]
    fn every_value_of_one_percent_is_listed() {
        let rows: Vec<_> = (1..=99).map(|port| (port, 10)).chain([(100, 5), (101, 5)]).collect();
        let (shown, values, packets) = listed(&rows);
        assert_eq!((shown.len(), values, packets), (99, 2, 10));
    }
}
