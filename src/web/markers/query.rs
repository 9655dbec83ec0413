//! The query of the markers.

use std::{num::IntErrorKind, time::Duration};

use super::super::{BadQuery, query::parse};
use crate::geoip::Country;

/// Parameters that scripts add to bypass caches, as a bare number does. They are ignored.
const CACHE_BUSTERS: [&str; 8] = ["_", "t", "ts", "v", "cb", "nocache", "random", "timestamp"];

/// The parameters that exist.
const PARAMETERS: &str = "last, since, port, prefix or country";

/// Conditions that packets must match, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::web) struct MarkerQuery {
    /// Maximum number of packets, the newest of those that match the other conditions.
    pub(super) last: usize,
    /// Maximum age.
    pub(super) since: Option<Duration>,
    /// Destination port.
    pub(super) port: Option<u16>,
    /// Prefix of the rule, as it is shown; empty for rules without a prefix.
    pub(super) prefix: Option<String>,
    /// Country, or the reason why it is missing.
    pub(super) country: Option<Country>,
}

impl Default for MarkerQuery {
    fn default() -> Self {
        Self { last: 10_000, since: None, port: None, prefix: None, country: None }
    }
}

impl MarkerQuery {
    /// Parses the part of a URL after its `?`.
    pub(in crate::web) fn parse(text: &str) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if is_cache_buster(&name) {
                continue;
            }
            if seen.contains(&name) {
                return Err(BadQuery::Duplicate(name.into_owned()));
            }
            match &*name {
                "last" => query.last = last(&value)?,
                "since" => query.since = Some(since(&value)?),
                "port" => {
                    let expected = "a port from 0 to 65535";
                    query.port = Some(parse("port", &value, expected, |it| it.parse().ok())?);
                }
                "prefix" => query.prefix = Some(value.into_owned()),
                "country" => {
                    let expected =
                        "an ISO 3166-1 code of two letters such as NL, private or unknown";
                    query.country = Some(parse("country", &value, expected, Country::from_code)?);
                }
                _ => {
                    let name = name.into_owned();
                    return Err(BadQuery::Unknown { name, expected: PARAMETERS });
                }
            }
            seen.push(name);
        }
        Ok(query)
    }
}

fn is_cache_buster(name: &str) -> bool {
    let is_number =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number || CACHE_BUSTERS.contains(&name)
}

fn last(value: &str) -> Result<usize, BadQuery> {
    let expected = "a number of packets of at least 1, such as 10000";
    parse("last", value, expected, |it| match it.parse::<usize>() {
        Ok(0) => None,
        Ok(last) => Some(last),
        // More packets than the ring can have, so all of them.
        Err(error) => (*error.kind() == IntErrorKind::PosOverflow).then_some(usize::MAX),
    })
}

fn since(value: &str) -> Result<Duration, BadQuery> {
    let expected = "a duration with its unit, such as 10m or 1h30m";
    parse("since", value, expected, |it| humantime::parse_duration(it).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_queries_have_a_reason() {
        let check = |query: &str, reason: &str| {
            assert_eq!(MarkerQuery::parse(query).unwrap_err().to_string(), reason, "{query}");
        };
        let invalid = |name, value, expected| {
            check(
                &format!("{name}={value}"),
                &format!("invalid value {value:?} for {name}: expected {expected}"),
            );
        };
        for value in ["0", "", "-1", "many"] {
            invalid("last", value, "a number of packets of at least 1, such as 10000");
        }
        for value in ["5", "-5m", "", "99999999999999999999y"] {
            invalid("since", value, "a duration with its unit, such as 10m or 1h30m");
        }
        for value in ["65536", "ssh", ""] {
            invalid("port", value, "a port from 0 to 65535");
        }
        for value in ["ZZ", "other", ""] {
            let expected = "an ISO 3166-1 code of two letters such as NL, private or unknown";
            invalid("country", value, expected);
        }
        check("last=1&last=1", "duplicate parameter \"last\": give it once");
        let unknown = |name| {
            format!("unknown parameter {name}: expected last, since, port, prefix or country")
        };
        check("proto=tcp", &unknown("\"proto\""));
        check("Last=1", &unknown("\"Last\""));
        check("%3Cb%3E%22%0A", &unknown("\"<b>\\\"\\n\""));
    }

    #[test]
    fn parameters_are_parsed() {
        let check = |query: &str, expect: MarkerQuery| {
            assert_eq!(MarkerQuery::parse(query), Ok(expect), "{query}");
        };
        let all = MarkerQuery::default();
        check("", MarkerQuery { last: 10_000, ..all.clone() });
        check("last=1", MarkerQuery { last: 1, ..all.clone() });
        check("last=1000000", MarkerQuery { last: 1_000_000, ..all.clone() });
        let huge = MarkerQuery { last: usize::MAX, ..all.clone() };
        check("last=99999999999999999999999999", huge);
        check("prefix=", MarkerQuery { prefix: Some(String::new()), ..all.clone() });
        check("country=Private", MarkerQuery { country: Some(Country::Private), ..all });
        let every = MarkerQuery {
            last: 5,
            since: Some(Duration::from_secs(5400)),
            port: Some(65535),
            prefix: Some("a b\"<&'>\u{fffd}=".into()),
            country: Country::from_code("NL"),
        };
        let prefix = "prefix=a+b%22%3C%26%27%3E%ff%3D";
        check(&format!("country=nl&{prefix}&port=65535&since=1h30m&last=5"), every.clone());
        check(&format!("_=1&country=nl&_=2&{prefix}&port=65535&since=1h30m&last=5&0.123"), every);
        check("_=1700000000000", MarkerQuery::default());
        check("1700000000", MarkerQuery::default());
        check("nocache=0.7&t=1", MarkerQuery::default());
    }
}
