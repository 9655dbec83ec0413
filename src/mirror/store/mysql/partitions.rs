//! Daily partitions of `packets`: created ahead, dropped whole.

use std::time::SystemTime;

use mysql_async::{Conn, Error, Row, prelude::Queryable};

use super::{
    super::{Maintenance, MaintenanceReport, StoreError},
    column,
    error::{answer, code, failure, lacks_right},
};
use crate::{mirror::day::Day, system::clock::micros_since_1970};

/// Number of days before and after today that have a partition.
const DAYS_BEFORE: i64 = 1;
const DAYS_AHEAD: i64 = 3;

/// One of the hosts that share a database runs maintenance. A lock's name has 64 characters at most.
const LOCK: &str = "CONCAT('nflog_exporter ', LEFT(DATABASE(), 48))";

pub(super) async fn maintain(
    connection: &mut Conn,
    maintenance: &Maintenance,
    now: SystemTime,
) -> Result<MaintenanceReport, StoreError> {
    match column::first(connection, &format!("SELECT GET_LOCK({LOCK}, 0)")).await {
        Ok(row) => {
            let locked = row.map(|row| column::value(&row, 0, "run maintenance")).transpose()?;
            if locked == Some(Some(0_i64)) {
                return Ok(MaintenanceReport::default());
            }
        }
        // A cluster without named locks: the following may run twice at a time.
        Err(Error::Server(_)) => {}
        Err(error) => return Err(failure("run maintenance", &error)),
    }
    let maintained = run_maintenance(connection, maintenance, now).await;
    let released = connection.query_drop(format!("DO RELEASE_LOCK({LOCK})")).await;
    match (maintained, released) {
        (Ok(maintained), Ok(()) | Err(Error::Server(_))) => Ok(maintained),
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(failure("run maintenance", &error)),
    }
}

async fn run_maintenance(
    connection: &mut Conn,
    maintenance: &Maintenance,
    now: SystemTime,
) -> Result<MaintenanceReport, StoreError> {
    let mut maintained = MaintenanceReport::default();
    let partitions = match partitions(connection).await {
        Ok(partitions) => partitions,
        Err(error @ Error::Server(_)) => {
            maintained.warnings.push(warning("cannot read the partitions of `packets`", &error));
            return Ok(maintained);
        }
        Err(error) => return Err(failure("read the partitions", &error)),
    };
    let Some(partitions) = partitions else {
        maintained.warnings.push(
            "MySQL: `packets` has no partitions by range of time: old rows are never dropped. As an \
             administrator run ALTER TABLE packets PARTITION BY RANGE \
             COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
                .to_owned(),
        );
        return Ok(maintained);
    };
    let now = micros_since_1970(now);
    let expired = expired_or_excess(&partitions, maintenance, now);
    if !expired.is_empty() {
        let names: Vec<_> = expired.iter().map(|name| quoted(name)).collect();
        let statement = format!("ALTER TABLE packets DROP PARTITION {}", names.join(", "));
        if !alter(connection, &statement, &mut maintained).await? {
            // The obstacle blocks the next change too: one wait is enough.
            return Ok(maintained);
        }
        maintained.dropped = expired;
    }
    for statement in ahead(&partitions, Day::of_micros(now)) {
        if !alter(connection, &statement, &mut maintained).await? {
            break;
        }
    }
    Ok(maintained)
}

/// A partition of `packets`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Partition {
    name: String,
    /// The first day after all its rows; `None` for the last partition, without an end.
    end: Option<Day>,
    /// Bytes, indexes included.
    size: u64,
}

/// The partitions, the oldest first; `None` when there are none, or when they are not by day.
async fn partitions(connection: &mut Conn) -> Result<Option<Vec<Partition>>, Error> {
    let rows: Vec<Row> = connection
        .query(
            "SELECT PARTITION_NAME, PARTITION_DESCRIPTION, \
             CAST(IFNULL(DATA_LENGTH, 0) + IFNULL(INDEX_LENGTH, 0) AS UNSIGNED) \
             FROM information_schema.PARTITIONS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'packets' \
             ORDER BY PARTITION_ORDINAL_POSITION",
        )
        .await?;
    let partitions = rows.iter().map(|row| {
        let text = |column| column::value::<String>(row, column, "read the partitions").ok();
        let size = column::value(row, 2, "read the partitions").unwrap_or(0);
        Some(Partition { name: text(0)?, end: end_of(&text(1)?)?, size })
    });
    Ok(partitions.collect::<Option<Vec<_>>>().filter(|partitions| !partitions.is_empty()))
}

/// Parses `'2026-11-24 00:00:00'` or `MAXVALUE`. An end within a day counts as the end of that day.
#[expect(clippy::option_option, reason = "unreadable, or without end")]
fn end_of(description: &str) -> Option<Option<Day>> {
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
fn expired_or_excess(partitions: &[Partition], maintenance: &Maintenance, now: u64) -> Vec<String> {
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
            let much = maintenance.max_size.is_some_and(|most| size > most);
            size = size.saturating_sub(partition.size);
            old || much
        })
        .map(|partition| partition.name.clone())
        .collect()
}

/// The statements that create the missing days. A new partition is split from the one that holds its rows: the
/// one without an end, or one far in the future, which a host with a wrong clock created. The first new one
/// includes any gap before it.
fn ahead(partitions: &[Partition], today: Day) -> Vec<String> {
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

/// Changes the table; returns whether that worked. Only errors of the connection are errors.
async fn alter(
    connection: &mut Conn,
    statement: &str,
    maintained: &mut MaintenanceReport,
) -> Result<bool, StoreError> {
    let Err(error) = connection.query_drop(statement).await else { return Ok(true) };
    let warning = match code(&error) {
        None => return Err(failure("change the partitions", &error)),
        Some(1205) => warning("`packets` is in use; retrying at the next maintenance", &error),
        Some(_) if lacks_right(&error) => {
            let what = "cannot change the partitions of `packets`; as an administrator run GRANT \
             ALTER, CREATE, DROP ON DATABASE.packets TO USER";
            warning(what, &error)
        }
        Some(_) => warning(&format!("cannot run {statement}"), &error),
    };
    maintained.warnings.push(warning);
    Ok(false)
}

fn warning(what: &str, error: &Error) -> String {
    format!("MySQL: {what}: {}", answer(error))
}

fn quoted(name: &str) -> String {
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
    fn table(text: &str) -> Vec<Partition> {
        text.split_whitespace()
            .map(|one| {
                let (name, size) = one.split_once(':').unwrap_or((one, "0"));
                Partition {
                    name: name.to_owned(),
                    end: (name != "pmax").then(|| day(&name[1..])),
                    size: size.parse().unwrap_or_default(),
                }
            })
            .collect()
    }

    #[track_caller]
    fn check_doomed(partitions: &str, retention: Option<u64>, most: Option<u64>, expect: &str) {
        let maintenance = Maintenance {
            retention: retention.map(|hours| Duration::from_secs(hours * 3_600)),
            max_size: most,
        };
        let expired = expired_or_excess(&table(partitions), &maintenance, NOW).join(" ");
        assert_eq!(expired, expect);
    }

    #[test]
    fn expired_partitions() {
        let days = "p20261120:5 p20261121:5 p20261122:5 p20261123:5 p20261124:5 pmax:5";
        check_doomed(days, None, None, "");
        check_doomed(days, Some(48), None, "p20261120 p20261121");
        check_doomed(days, Some(49), None, "p20261120 p20261121");
        check_doomed(days, Some(50), None, "p20261120");
        check_doomed(days, Some(0), None, "p20261120 p20261121 p20261122 p20261123");
        check_doomed(days, Some(u64::MAX / 3_600), None, "");
        check_doomed(days, None, Some(30), "");
        check_doomed(days, None, Some(29), "p20261120");
        check_doomed(days, None, Some(20), "p20261120 p20261121");
        check_doomed(days, None, Some(0), "p20261120 p20261121 p20261122 p20261123");
        check_doomed(days, Some(50), Some(16), "p20261120 p20261121 p20261122");
        check_doomed("pmax:5", Some(1), Some(1), "");
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
