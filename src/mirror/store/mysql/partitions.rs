//! Plans changes of the daily partitions of `packets`: which to drop, and which to create ahead.

use super::super::Maintenance;
use crate::mirror::day::Day;

/// Number of days before and after today that have a partition.
const DAYS_BEFORE: i64 = 1;
const DAYS_AHEAD: i64 = 3;

/// A partition of `packets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RangePartition {
    pub(super) name: String,
    /// The first day after all its rows; `None` for the last partition, without an end.
    pub(super) end: Option<Day>,
    /// Bytes, indexes included.
    pub(super) size: u64,
}

/// Parses `'2026-11-24 00:00:00'` or `MAXVALUE`. An end within a day counts as the end of that day.
#[expect(clippy::option_option, reason = "unreadable, or without end")]
pub(super) fn end_of(description: &str) -> Option<Option<Day>> {
    if description.eq_ignore_ascii_case("MAXVALUE") {
        return Some(None);
    }
    let text = description.trim_matches('\'');
    let (date, clock) = text.split_once(' ').unwrap_or((text, ""));
    let day = Day::parse_compact(&date.replace('-', ""))?;
    let midnight = clock.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.'));
    Some(Some(if midnight { day } else { day.plus(1) }))
}

/// The partitions to drop: those whose rows are all older than the retention, then the oldest while the total
/// size exceeds the limit. Never today's, nor the one without an end.
pub(super) fn expired_or_excess(
    partitions: &[RangePartition],
    maintenance: &Maintenance,
    now: u64,
) -> Vec<String> {
    let today = Day::of_micros(now);
    let oldest = maintenance.retention.map(|retention| {
        let retention = u64::try_from(retention.as_micros()).unwrap_or(u64::MAX);
        Day::of_micros(now.saturating_sub(retention))
    });
    let mut size = partitions.iter().map(|partition| partition.size).sum::<u64>();
    partitions
        .iter()
        .take_while(|partition| {
            let Some(end) = partition.end.filter(|end| *end <= today) else { return false };
            let old = oldest.is_some_and(|oldest| end <= oldest);
            let much = maintenance.max_size.is_some_and(|max| size > max);
            size = size.saturating_sub(partition.size);
            old || much
        })
        .map(|partition| partition.name.clone())
        .collect()
}

/// The statements that create the missing days. A new partition is split from the one that holds its rows: the
/// one without an end, or one far in the future, which a host with a wrong clock created. The first new one
/// includes any gap before it.
pub(super) fn ahead(partitions: &[RangePartition], today: Day) -> Vec<String> {
    let far = today.plus(DAYS_AHEAD + 1);
    let is_missing = |day: &Day| partitions.iter().all(|known| known.end != Some(day.plus(1)));
    let missing: Vec<Day> =
        (-DAYS_BEFORE..=DAYS_AHEAD).map(|days| today.plus(days)).filter(is_missing).collect();
    let mut statements = Vec::new();
    for (index, partition) in partitions.iter().enumerate() {
        if partition.end.is_some_and(|end| end <= far) {
            continue;
        }
        let start = index.checked_sub(1).and_then(|before| partitions[before].end);
        let within = missing.iter().filter(|day| {
            start.is_none_or(|start| **day >= start) && partition.end.is_none_or(|end| **day < end)
        });
        let mut parts: Vec<_> = within.map(|day| of_day(*day)).collect();
        if !parts.is_empty() {
            parts.push(bounded(&partition.name, partition.end));
            statements.push(format!(
                "ALTER TABLE packets REORGANIZE PARTITION {} INTO ({})",
                quoted(&partition.name),
                parts.join(", ")
            ));
        }
    }
    if partitions.iter().all(|partition| partition.end.is_some()) {
        let last = partitions.iter().filter_map(|partition| partition.end).max();
        let later = missing.iter().filter(|day| last.is_none_or(|last| **day >= last));
        let parts = later.map(|day| of_day(*day)).chain([bounded("pmax", None)]);
        let parts = parts.collect::<Vec<_>>().join(", ");
        statements.push(format!("ALTER TABLE packets ADD PARTITION ({parts})"));
    }
    statements
}

fn of_day(day: Day) -> String {
    bounded(&format!("p{}", day.compact()), Some(day.plus(1)))
}

fn bounded(name: &str, end: Option<Day>) -> String {
    let end = end.map_or("MAXVALUE".to_owned(), |end| format!("'{end}'"));
    format!("PARTITION {} VALUES LESS THAN ({end})", quoted(name))
}

pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: u64 = 86_400_000_000;

    /// 2026-11-23, one o'clock.
    const NOW: u64 = 1_795_392_000_000_000 + 3_600_000_000;

    fn day(text: &str) -> Day {
        Day::parse_compact(text).unwrap_or_else(|| panic!("{text} is no day"))
    }

    /// `p20261120:5` is a partition of five bytes that ends on the 20th of November.
    fn table(text: &str) -> Vec<RangePartition> {
        text.split_whitespace()
            .map(|one| {
                let (name, size) = one.split_once(':').unwrap_or((one, "0"));
                RangePartition {
                    name: name.to_owned(),
                    end: (name != "pmax").then(|| day(&name[1..])),
                    size: size.parse().unwrap_or_default(),
                }
            })
            .collect()
    }

    #[track_caller]
    fn check_expired(partitions: &str, retention: Option<u64>, max: Option<u64>, expect: &str) {
        let maintenance = Maintenance {
            retention: retention.map(|hours| Duration::from_secs(hours * 3_600)),
            max_size: max,
        };
        let expired = expired_or_excess(&table(partitions), &maintenance, NOW).join(" ");
        assert_eq!(expired, expect);
    }

    #[test]
    fn expired_partitions() {
        let days = "p20261120:5 p20261121:5 p20261122:5 p20261123:5 p20261124:5 pmax:5";
        check_expired(days, None, None, "");
        check_expired(days, Some(48), None, "p20261120 p20261121");
        check_expired(days, Some(49), None, "p20261120 p20261121");
        check_expired(days, Some(50), None, "p20261120");
        check_expired(days, Some(0), None, "p20261120 p20261121 p20261122 p20261123");
        check_expired(days, Some(u64::MAX / 3_600), None, "");
        check_expired(days, None, Some(30), "");
        check_expired(days, None, Some(29), "p20261120");
        check_expired(days, None, Some(20), "p20261120 p20261121");
        check_expired(days, None, Some(0), "p20261120 p20261121 p20261122 p20261123");
        check_expired(days, Some(50), Some(16), "p20261120 p20261121 p20261122");
        check_expired("pmax:5", Some(1), Some(1), "");
    }

    /// The ends of the partitions that each statement makes.
    #[track_caller]
    fn check_ahead(partitions: &str, expect: &[(&str, &str)]) {
        let statements = ahead(&table(partitions), Day::of_micros(NOW));
        let made: Vec<_> = statements
            .iter()
            .map(|statement| {
                let (how, parts) = statement.split_once(" (").unwrap();
                let ends = parts.split("LESS THAN (").skip(1);
                let ends: Vec<_> = ends.map(|end| end.split(')').next().unwrap()).collect();
                (how.trim_start_matches("ALTER TABLE packets ").to_owned(), ends.join(" "))
            })
            .collect();
        let expect: Vec<_> =
            expect.iter().map(|(how, ends)| ((*how).to_owned(), (*ends).to_owned())).collect();
        assert_eq!(made, expect, "{partitions}");
    }

    #[test]
    fn missing_days_are_created() {
        const CUT: &str = "REORGANIZE PARTITION `pmax` INTO";
        const FIVE: &str =
            "'2026-11-23' '2026-11-24' '2026-11-25' '2026-11-26' '2026-11-27' MAXVALUE";
        check_ahead("pmax", &[(CUT, FIVE)]);
        check_ahead("p20261001 pmax", &[(CUT, FIVE)]);
        check_ahead("p20261124 pmax", &[(CUT, "'2026-11-25' '2026-11-26' '2026-11-27' MAXVALUE")]);
        check_ahead("p20261123 p20261126 pmax", &[(CUT, "'2026-11-27' MAXVALUE")]);
        check_ahead("p20261127 pmax", &[]);
        check_ahead("p20261126", &[("ADD PARTITION", "'2026-11-27' MAXVALUE")]);
    }

    /// A host with a wrong clock created partitions of years ahead, which hold all rows.
    #[test]
    fn days_far_ahead_are_split() {
        let split = |name: &str, end: &str| {
            (
                format!("REORGANIZE PARTITION `{name}` INTO"),
                format!("'2026-11-23' '2026-11-24' '2026-11-25' '2026-11-26' '2026-11-27' '{end}'"),
            )
        };
        let (how, ends) = split("p20291122", "2029-11-22");
        check_ahead("p20291122 p20291123 pmax", &[(&how, &ends)]);
        check_ahead("p20291122", &[(&how, &ends), ("ADD PARTITION", "MAXVALUE")]);
        check_ahead(
            "p20261124 p20261125 p20291122 pmax",
            &[(&how, "'2026-11-26' '2026-11-27' '2029-11-22'")],
        );
        check_ahead("p20261125 p20261126 p20261127 p20291122 pmax", &[]);
    }

    #[test]
    fn ends_of_partitions() {
        let check =
            |text: &str, expect: Option<Option<Day>>| assert_eq!(end_of(text), expect, "{text}");
        check("MAXVALUE", Some(None));
        check("'2026-11-24 00:00:00'", Some(Some(day("20261124"))));
        check("'2026-11-24'", Some(Some(day("20261124"))));
        check("'2026-11-24 00:00:00.000000'", Some(Some(day("20261124"))));
        check("'2026-11-24 00:00:01'", Some(Some(day("20261125"))));
        check("738000", None);
        assert_eq!(Day::of_micros(NOW - NOW % DAY), day("20261123"));
    }
}
