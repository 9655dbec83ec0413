//! The lists of the overview: top values by label, and countries.

use super::{
    before::Before,
    json::{CountryRow, PrefixSources, Remainder, TopList, TopRow, Total},
    value_text::text,
};
use crate::{
    event::{NameId, Names},
    geoip::Country,
    metrics::{ABSENT, Dimension, OTHER},
    packet::service_name,
    recent::FacetRow,
};

/// Rows of a list of top values, if there are as many values.
const MIN_ROWS: usize = 10;

/// Every value with at least this many thousandths of a list's packets has a row: what holds 1 %, less the error of
/// the counts.
const LISTED_THOUSANDTHS: u64 = 9;

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
