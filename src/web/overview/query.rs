//! The query of the overview: one value for each of some labels.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{
    super::query::{BadQuery, RANGE, parse_range},
    value_text::text,
};
use crate::{
    event::Names,
    geoip::Country,
    history::Range,
    metrics::Dimension,
    recent::{Cell, Filter, Observations, Span},
};

/// The parameters that exist: the names of [`Cell::DIMENSIONS`], and the range.
const PARAMETERS: &str = "country, port, prefix, proto, network or range";

/// A value that no packet has. A filter uses it for a text that no value in the window has.
pub(super) const NO_VALUE: u64 = u64::MAX - 2;

/// The packets to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::web) struct OverviewQuery {
    /// The values that packets must have, by their position in [`Cell::DIMENSIONS`].
    values: BTreeMap<usize, String>,
    /// The time of the packets.
    pub(super) range: Option<Range>,
}

impl OverviewQuery {
    /// Parses the part of a URL after its `?`.
    pub(in crate::web) fn parse(query: &str) -> Result<Self, BadQuery> {
        let (mut values, mut range) = (BTreeMap::new(), None);
        for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
            if name == RANGE {
                if range.replace(parse_range(&text)?).is_some() {
                    return Err(BadQuery::Duplicate(name.into_owned()));
                }
                continue;
            }
            let position =
                Cell::DIMENSIONS.iter().position(|dimension| dimension.name() == name).ok_or_else(
                    || BadQuery::Unknown { name: name.to_string(), expected: PARAMETERS },
                )?;
            let is_country = Cell::DIMENSIONS[position] == Dimension::Country;
            let country = is_country.then(|| Country::from_code(&text)).flatten();
            let text = country.map_or_else(|| text.into_owned(), |it| it.code().to_owned());
            if values.insert(position, text).is_some() {
                return Err(BadQuery::Duplicate(name.into_owned()));
            }
        }
        Ok(Self { values, range })
    }

    /// Label and value of each parameter.
    pub(super) fn parameters(&self) -> BTreeMap<&'static str, &str> {
        let parameters = self.values.iter();
        parameters.map(|(at, text)| (Cell::DIMENSIONS[*at].name(), text.as_str())).collect()
    }

    /// The filter for the values of one window.
    pub(super) fn filter(&self, span: &Span, names: &Names) -> Filter {
        let mut filter = Filter::default();
        for (&position, text) in &self.values {
            let values = span.slices.iter().flat_map(|(_, slice)| {
                let cells = slice.cells().map(move |(cell, _)| cell.values()[position]);
                cells.chain(slice.folded(position).iter().map(|(value, _)| *value))
            });
            filter.0[position] = Some(find(position, text, values, names));
        }
        filter
    }

    /// The filter for the newest packets, which can be older than a window.
    pub(super) fn filter_newest(&self, observations: &Observations, names: &Names) -> Filter {
        let mut filter = Filter::default();
        for (&position, text) in &self.values {
            let values = observations.newest_first().map(|it| it.cell.values()[position]);
            filter.0[position] = Some(find(position, text, values, names));
        }
        filter
    }
}

/// The value with this text. Texts are compared as the page shows them, so that each row it shows is a
/// valid filter.
fn find(position: usize, wanted: &str, values: impl Iterator<Item = u64>, names: &Names) -> u64 {
    let mut compared = HashMap::new();
    for value in values {
        let is_same = compared
            .entry(value)
            .or_insert_with(|| text(Cell::DIMENSIONS[position], value, names) == wanted);
        if *is_same {
            return value;
        }
    }
    NO_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::query::RANGES;

    #[test]
    fn parameters_are_parsed() {
        let query = OverviewQuery::parse("port=22&country=a%26%3Cb%3E+c").unwrap();
        assert_eq!(query.parameters(), [("country", "a&<b> c"), ("port", "22")].into());
        // A country has either case, as for the sources and packets.
        let query = OverviewQuery::parse("country=nl").unwrap();
        assert_eq!(query.parameters(), [("country", "NL")].into());
        assert_eq!(OverviewQuery::parse("").unwrap(), OverviewQuery::default());
        for range in Range::ALL {
            let query = OverviewQuery::parse(&format!("range={}&port=22", range.name())).unwrap();
            assert_eq!((query.range, query.parameters()), (Some(range), [("port", "22")].into()));
            assert!(RANGES.contains(range.name()));
        }
    }

    #[test]
    fn every_dimension_is_a_parameter_and_named_in_the_error() {
        for dimension in Cell::DIMENSIONS {
            let name = dimension.name();
            let query = OverviewQuery::parse(&format!("{name}=x")).unwrap();
            assert_eq!(query.parameters(), [(name, "x")].into());
            assert!(PARAMETERS.contains(name), "{name}");
        }
    }

    #[test]
    fn invalid_queries_have_a_reason() {
        for (query, reason) in [
            (
                "colour=%3Cb%3E",
                "unknown parameter \"colour\": expected country, port, prefix, proto, network or range",
            ),
            ("range=1d", "invalid value \"1d\" for range: expected 10m, 1h, 24h, 7d or 30d"),
            ("range=1h&range=1h", "duplicate parameter \"range\": give it once"),
            ("port=22&port=80", "duplicate parameter \"port\": give it once"),
        ] {
            assert_eq!(OverviewQuery::parse(query).unwrap_err().to_string(), reason);
        }
    }
}
