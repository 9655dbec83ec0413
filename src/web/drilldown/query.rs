//! The query of the drill-down: filters as those of the overview, a host, an address, and where to continue.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use super::{DrilldownFormat, List, MAX_CSV_PACKETS, MAX_CSV_SOURCES};
use crate::{
    geoip::Country,
    history::Range,
    mirror::{
        day::LATEST,
        rows_query::{Question, RowCondition, RowPosition, SourceOrder, Subject},
    },
    networks::AddressRange,
    packet::protocol,
    web::query::{BadQuery, RANGE, parse, parse_range},
};

/// Rows of a page.
const PAGE: u32 = 100;

/// Maximum number of sources before a page.
const MAX_SKIP: u32 = 10_000;

/// Maximum number of a row: SQL has no larger integer.
const MAX_NUMBER: u64 = i64::MAX as u64;

/// The parameters that exist.
const PARAMETERS: &str =
    "country, port, prefix, proto, network, address, range, host, sort (of sources) or after";

/// The value of the parameter `host` for all hosts.
const ALL_HOSTS: &str = "*";

/// The text of a port or network that a packet does not have.
const NONE: &str = "none";

/// The packets to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DrilldownQuery {
    conditions: Vec<RowCondition>,
    has_network: bool,
    range: Range,
    /// `None`: this host.
    host: Option<String>,
    sort: Option<SourceOrder>,
    after: Option<String>,
}

/// A question, and what its answer says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) question: Question,
    /// The host whose packets are shown; `None` for all hosts.
    pub(super) host: Option<String>,
    /// Number of rows of a page: one less than the question asks for, so that it is known whether there are more.
    pub(super) page: u32,
}

impl DrilldownQuery {
    /// Parses the part of a URL after its `?`.
    pub(super) fn parse(text: &str) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if seen.contains(&name) {
                return Err(BadQuery::Duplicate(name.into_owned()));
            }
            query.set(&name, &value)?;
            seen.push(name);
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), BadQuery> {
        let condition = match name {
            "country" => {
                let expected = "an ISO 3166-1 code of two letters such as NL, private or unknown";
                let country = parse("country", value, expected, Country::from_code)?;
                RowCondition::Country(country.code().to_owned())
            }
            "port" => RowCondition::Port(parse("port", value, "a port or none", |it| {
                or_none(it, |it| it.parse().ok())
            })?),
            "prefix" => RowCondition::Prefix(value.to_owned()),
            "proto" => RowCondition::Protocol(parse(
                "proto",
                value,
                "a protocol such as tcp or 6, or unknown",
                protocol_number,
            )?),
            "network" => {
                self.has_network = true;
                let expected = "a network such as 203.0.113.0/24, or none";
                RowCondition::Source(parse("network", value, expected, |it| or_none(it, network))?)
            }
            "address" => {
                let address: IpAddr =
                    parse("address", value, "an IP address", |it| it.parse().ok())?;
                RowCondition::Source(Some(address..=address))
            }
            RANGE => {
                self.range = parse_range(value)?;
                return Ok(());
            }
            "host" => {
                self.host = Some(value.to_owned());
                return Ok(());
            }
            "sort" => {
                let parse_order = SourceOrder::from_name;
                self.sort = Some(parse("sort", value, SourceOrder::NAMES, parse_order)?);
                return Ok(());
            }
            "after" => {
                self.after = Some(value.to_owned());
                return Ok(());
            }
            _ => return Err(BadQuery::Unknown { name: name.into(), expected: PARAMETERS }),
        };
        self.conditions.push(condition);
        Ok(())
    }

    /// Whether it has a network of the page, which is not anonymized.
    pub(super) fn has_network(&self) -> bool {
        self.has_network
    }

    /// The question for a list. `own` is the name of this host, and `now` the time, microseconds since 1970.
    pub(super) fn request(
        self,
        list: List,
        format: DrilldownFormat,
        own: &str,
        now: u64,
    ) -> Result<Request, BadQuery> {
        let Self { mut conditions, range, host, sort, after, .. } = self;
        let host = match host.as_deref() {
            None => Some(own.to_owned()),
            Some(ALL_HOSTS) => None,
            Some(host) => Some(host.to_owned()),
        };
        conditions.extend(host.clone().map(RowCondition::Host));
        let after = match (format, after) {
            (DrilldownFormat::Csv, Some(_)) => {
                return Err(BadQuery::Unknown { name: "after".into(), expected: PARAMETERS });
            }
            (_, after) => after,
        };
        if list == List::Packets && sort.is_some() {
            return Err(BadQuery::Unknown { name: "sort".into(), expected: PARAMETERS });
        }
        let order = sort.unwrap_or_default();
        let (subject, end) = subject(list, order, after.as_deref(), now)?;
        let start = end.saturating_sub(range.seconds() * 1_000_000);
        let (page, limit) = match (format, list) {
            (DrilldownFormat::Json, _) => (PAGE, PAGE + 1),
            (DrilldownFormat::Csv, List::Sources) => (MAX_CSV_SOURCES, MAX_CSV_SOURCES),
            (DrilldownFormat::Csv, List::Packets) => (MAX_CSV_PACKETS, MAX_CSV_PACKETS),
        };
        Ok(Request {
            question: Question { period: start..=end, conditions, subject, limit },
            host,
            page,
        })
    }
}

/// The subject of a list that continues at `after`, and the end of its period. `order` is that of sources.
fn subject(
    list: List,
    order: SourceOrder,
    after: Option<&str>,
    now: u64,
) -> Result<(Subject, u64), BadQuery> {
    let Some(after) = after else {
        return Ok(match list {
            List::Sources => (Subject::Sources { order, skip: 0 }, now),
            List::Packets => (Subject::Packets { before: None }, now),
        });
    };
    parse("after", after, "the value of \"next\" of the previous page", |after| match list {
        List::Sources => {
            let (end, skip) = parse_sources_token(after)?;
            Some((Subject::Sources { order, skip }, end))
        }
        List::Packets => {
            let (end, position) = parse_packets_token(after)?;
            Some((Subject::Packets { before: Some(position) }, end))
        }
    })
}

/// Where to continue after the last row of a page; `None` if there is no further page.
pub(super) fn next(request: &Request, last: Option<&RowPosition>) -> Option<String> {
    let end = request.question.period.end();
    match &request.question.subject {
        Subject::Sources { skip, .. } => {
            let skip = skip + request.page;
            (skip <= MAX_SKIP).then(|| format!("{end}-{skip}"))
        }
        Subject::Packets { .. } => {
            let RowPosition { time, number, writer } = last?;
            Some(format!("{end}-{time}-{number}-{writer}"))
        }
    }
}

fn parse_sources_token(text: &str) -> Option<(u64, u32)> {
    let (end, skip) = text.split_once('-')?;
    Some((parse_time(end)?, skip.parse().ok().filter(|skip| *skip <= MAX_SKIP)?))
}

fn parse_packets_token(text: &str) -> Option<(u64, RowPosition)> {
    let [end, time, number, writer] = *text.split('-').collect::<Vec<_>>() else { return None };
    let is_writer = writer.len() <= 32 && writer.bytes().all(|byte| byte.is_ascii_hexdigit());
    let position = RowPosition {
        time: parse_time(time)?,
        number: number.parse().ok().filter(|number| *number <= MAX_NUMBER)?,
        writer: is_writer.then(|| writer.to_owned())?,
    };
    Some((parse_time(end)?, position))
}

/// A time that every database has.
fn parse_time(text: &str) -> Option<u64> {
    text.parse().ok().filter(|time| *time <= LATEST)
}

/// The error for a network of the page where rows have encrypted addresses.
pub(super) fn network_is_encrypted() -> BadQuery {
    BadQuery::Unknown {
        name: "network".into(),
        expected: "country, port, prefix, proto, address, range, host, sort (of sources) or after, because mirror.anonymize encrypts the \
                   addresses of the rows",
    }
}

#[expect(clippy::option_option, reason = "an invalid value, and none")]
fn or_none<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text == NONE { Some(None) } else { parse(text).map(Some) }
}

#[expect(clippy::option_option, reason = "an invalid value, and none")]
fn protocol_number(text: &str) -> Option<Option<u8>> {
    if text == Country::Unknown.code() { Some(None) } else { protocol::number(text).map(Some) }
}

fn network(text: &str) -> Option<RangeInclusive<IpAddr>> {
    Some(match AddressRange::prefix(text)? {
        AddressRange::V4(first, last) => {
            Ipv4Addr::from_bits(first).into()..=Ipv4Addr::from_bits(last).into()
        }
        AddressRange::V6(first, last) => {
            Ipv6Addr::from_bits(first).into()..=Ipv6Addr::from_bits(last).into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_435_200_000_000;

    fn request(list: List, query: &str) -> Result<Request, BadQuery> {
        DrilldownQuery::parse(query)?.request(list, DrilldownFormat::Json, "gate", NOW)
    }

    #[track_caller]
    fn conditions(query: &str) -> Vec<RowCondition> {
        request(List::Sources, query).unwrap().question.conditions
    }

    #[test]
    fn each_filter_of_the_page_is_a_condition() {
        let own = RowCondition::Host("gate".into());
        let check = |query: &str, condition: RowCondition| {
            assert_eq!(conditions(query), [condition, own.clone()], "{query}");
        };
        check("country=nl", RowCondition::Country("NL".into()));
        check("country=private", RowCondition::Country("private".into()));
        check("port=22", RowCondition::Port(Some(22)));
        check("port=none", RowCondition::Port(None));
        check("prefix=a%26+b", RowCondition::Prefix("a& b".into()));
        check("prefix=", RowCondition::Prefix(String::new()));
        check("proto=udp", RowCondition::Protocol(Some(17)));
        check("proto=253", RowCondition::Protocol(Some(253)));
        check("proto=unknown", RowCondition::Protocol(None));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let range = address("203.0.113.0")..=address("203.0.113.255");
        check("network=203.0.113.0/24", RowCondition::Source(Some(range)));
        let range = address("2001:db8:7::")..=address("2001:db8:7:ffff:ffff:ffff:ffff:ffff");
        check("network=2001:db8:7::/48", RowCondition::Source(Some(range)));
        check("network=none", RowCondition::Source(None));
        let one = address("2001:db8::1");
        check("address=2001:db8::1", RowCondition::Source(Some(one..=one)));
        assert_eq!(conditions("host=*"), []);
        assert_eq!(conditions("host=b"), [RowCondition::Host("b".into())]);
    }

    #[test]
    fn pages_follow_each_other() {
        let first = request(List::Sources, "range=1h").unwrap();
        assert_eq!(first.question.period, NOW - 3_600_000_000..=NOW);
        let token = next(&first, None).unwrap();
        let second = request(List::Sources, &format!("range=1h&after={token}")).unwrap();
        assert_eq!(second.question.period, first.question.period);
        let order = SourceOrder::default();
        assert_eq!(second.question.subject, Subject::Sources { order, skip: 100 });
        let by_ports = format!("range=1h&sort=ports&after={token}");
        let order = SourceOrder::from_name("ports").unwrap();
        let second = request(List::Sources, &by_ports).unwrap();
        assert_eq!(second.question.subject, Subject::Sources { order, skip: 100 });
        let position = RowPosition { time: 5, number: 7, writer: "0A".into() };
        let first = request(List::Packets, "").unwrap();
        let token = next(&first, Some(&position)).unwrap();
        let second = request(List::Packets, &format!("after={token}")).unwrap();
        assert_eq!(second.question.subject, Subject::Packets { before: Some(position) });
        assert_eq!(second.question.period, first.question.period);
        let last = request(List::Sources, "after=5-10000").unwrap();
        assert_eq!(next(&last, None), None);
    }

    #[test]
    fn invalid_queries_have_a_reason() {
        let check = |query: &str, reason: &str| {
            let error = request(List::Packets, query).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{query}: {error}");
        };
        check("colour=1", "unknown parameter \"colour\": expected country, port");
        check("port=1&port=2", "duplicate parameter \"port\"");
        for (name, value) in [
            ("country", "other"),
            ("country", "XX"),
            ("port", "other"),
            ("port", "65536"),
            ("proto", "other"),
            ("proto", "256"),
            ("network", "other"),
            ("network", "203.0.113.0/33"),
            ("address", "203.0.113.0/24"),
            ("range", "1d"),
            ("sort", "city"),
            ("sort", "packets; DROP TABLE packets"),
            ("after", "1-2"),
            ("after", "1-2-3-x'"),
            ("after", "1-2-3-4-5"),
            ("after", "253402300800000000-2-3-"),
            ("after", "1-253402300800000000-3-"),
            ("after", "1-2-9223372036854775808-"),
        ] {
            let query = format!("{name}={value}");
            check(&query, &format!("invalid value {value:?} for {name}: expected "));
        }
        check("sort=ports", "unknown parameter \"sort\": expected country");
        assert!(request(List::Sources, "after=1-10001").is_err());
        assert!(request(List::Sources, "after=253402300800000000-100").is_err());
        let query = DrilldownQuery::parse("after=1-2").unwrap();
        assert!(query.request(List::Sources, DrilldownFormat::Csv, "gate", NOW).is_err());
    }
}
