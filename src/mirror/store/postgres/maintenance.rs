//! Runs the maintenance of `packets`: creates daily partitions ahead, and drops those that are too old or exceed the
//! size limit.

use std::time::{Duration, SystemTime};

use super::{
    Maintenance, MaintenanceReport, Postgres, StoreError,
    error::{failure, value},
    partitions::{
        DAYS_AHEAD, DayPartition, PacketsTable, attempt, days_in, delete_before, make,
        make_default, partitions, table,
    },
};
use crate::{mirror::day::Day, sort::sort, system::clock::micros_since_1970};

/// Held by the one exporter that runs maintenance; released at the end or with the connection.
const LOCK: &str = "SELECT pg_try_advisory_lock(1852206183, 2)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(1852206183, 2)";

/// Maximum number of days that are moved out of the default partition at once.
const MAX_DAYS: usize = 8;

pub(super) async fn maintain(
    store: &Postgres,
    maintenance: &Maintenance,
    now: SystemTime,
) -> Result<MaintenanceReport, StoreError> {
    let doing = "run maintenance";
    let row = store.client.query_one(LOCK, &[]).await.map_err(|error| failure(doing, &error))?;
    if !value::<bool>(&row, 0, doing)? {
        return Ok(MaintenanceReport::default());
    }
    let mut report = MaintenanceReport::default();
    if let Some(table) = table(store, &mut report).await? {
        let days = Days::new(maintenance, micros_since_1970(now));
        create_days(store, &table, &days, &mut report).await?;
        drop_days(store, &table, &days, maintenance, &mut report).await?;
    }
    store.run(doing, UNLOCK).await?;
    Ok(report)
}

/// The days that limit the partitions.
struct Days {
    today: Day,
    /// The first day that is kept; `None` keeps all.
    first: Option<Day>,
}

impl Days {
    fn new(maintenance: &Maintenance, now: u64) -> Self {
        let first = maintenance.retention.map(|kept: Duration| {
            let kept = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX);
            Day::of_micros(now.saturating_sub(kept))
        });
        Self { today: Day::of_micros(now), first }
    }

    fn is_expired(&self, day: Day) -> bool {
        self.first.is_some_and(|first| day < first)
    }
}

/// Creates the missing partitions: of yesterday, today and the next days, and of rows in the default partition.
async fn create_days(
    store: &Postgres,
    table: &PacketsTable,
    days: &Days,
    report: &mut MaintenanceReport,
) -> Result<(), StoreError> {
    let (partitions, _) = partitions(store).await?;
    let mut wanted: Vec<_> = (-1..=DAYS_AHEAD).map(|offset| days.today.plus(offset)).collect();
    if let Some(default) = &table.default {
        if let Some(first) = days.first {
            report.unfinished |= delete_before(store, default, first).await?;
        }
        let strays = days_in(store, default, days.today).await?;
        report.unfinished |= strays.len() > MAX_DAYS;
        wanted.extend(strays.into_iter().take(MAX_DAYS));
    }
    sort(&mut wanted);
    wanted.dedup();
    wanted.retain(|day| !days.is_expired(*day) && partitions.iter().all(|known| known.day != *day));
    for day in wanted {
        if !make(store, table, day, report).await? {
            // The lock that blocks this day blocks the others as well.
            report.unfinished = false;
            break;
        }
    }
    if table.default.is_none() {
        make_default(store, table, report).await?;
    }
    Ok(())
}

/// Drops expired partitions, and the oldest ones while the total size exceeds the limit, but never today's.
async fn drop_days(
    store: &Postgres,
    table: &PacketsTable,
    days: &Days,
    maintenance: &Maintenance,
    report: &mut MaintenanceReport,
) -> Result<(), StoreError> {
    let (partitions, mut total) = partitions(store).await?;
    for DayPartition { day, size } in partitions {
        let is_excess = maintenance.max_size.is_some_and(|max| total > max) && day < days.today;
        if !days.is_expired(day) && !is_excess {
            continue;
        }
        let name = format!("packets_p{}", day.compact());
        let statement = format!("DROP TABLE IF EXISTS {}.{name}", table.schema);
        if !attempt(store, &format!("drop partition {name}"), &[statement], report).await? {
            break;
        }
        total = total.saturating_sub(size);
        report.dropped.push(name);
    }
    Ok(())
}
