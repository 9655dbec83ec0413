//! Runs the maintenance of `packets`: a TTL for the retention, and dropped partitions for the size limit.

use std::time::SystemTime;

use super::{
    super::{Maintenance, MaintenanceReport, StoreError},
    http::{Client, Statement},
    lines, prepare,
    prepare::Table,
    unexpected,
};
use crate::{mirror::day::Day, system::clock::micros_since_1970};

/// The TTL of a table, before its seconds, as ClickHouse writes it.
const TTL: &str = "toDateTime(time) + toIntervalSecond(";

pub(super) async fn maintain(
    client: &mut Client,
    table: &Table,
    maintenance: &Maintenance,
    now: SystemTime,
) -> Result<MaintenanceReport, StoreError> {
    let mut report = MaintenanceReport::default();
    if maintenance.retention.is_some() || maintenance.max_size.is_some() {
        if table.is_distributed {
            report.warnings.extend(of_other_tables(table, maintenance));
            return Ok(report);
        }
        if let Some(retention) = maintenance.retention {
            // Another exporter may have changed it since this one connected.
            let engine = prepare::find(client).await?.map_or(String::new(), |table| table.engine);
            report.warnings.extend(keep(client, &engine, retention.as_secs()).await?);
        }
        if let Some(max_size) = maintenance.max_size {
            drop_excess(client, max_size, Day::of_micros(micros_since_1970(now)), &mut report)
                .await?;
        }
    }
    Ok(report)
}

/// Sets the TTL to the retention, if it is longer or missing: the shortest retention of all exporters holds, as in other
/// databases. An administrator's own TTL stays. Returns a warning when a TTL is shorter.
async fn keep(
    client: &mut Client,
    engine: &str,
    retention: u64,
) -> Result<Option<String>, StoreError> {
    let statement = format!("ALTER TABLE packets MODIFY TTL {TTL}{retention})");
    match ttl(engine) {
        Ttl::Other => return Ok(None),
        Ttl::Seconds(seconds) if seconds == retention => return Ok(None),
        Ttl::Seconds(seconds) if seconds < retention => {
            return Ok(Some(format!(
                "ClickHouse: the TTL of packets is {seconds} s, shorter than mirror.retention: set all exporters to \
                 the same retention, then run {statement}"
            )));
        }
        Ttl::Seconds(_) | Ttl::None => {}
    }
    let doing = "set the TTL of packets";
    match client.run(Statement { doing, text: &statement, settings: &[] }).await {
        Ok(_) => Ok(None),
        Err(StoreError::Denied(text)) => {
            Ok(Some(format!("{text}; rows are kept until an administrator runs {statement}")))
        }
        Err(error) => Err(error),
    }
}

/// When a table drops rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ttl {
    /// Never.
    None,
    /// So many seconds after their time.
    Seconds(u64),
    /// By another expression.
    Other,
}

/// The TTL in the description of a table's engine.
fn ttl(engine: &str) -> Ttl {
    let Some((_, rest)) = engine.split_once(" TTL ") else { return Ttl::None };
    let expression = rest.split_once(" SETTINGS ").map_or(rest, |(expression, _)| expression);
    let seconds = expression.strip_prefix(TTL).and_then(|rest| rest.strip_suffix(')'));
    seconds.and_then(|seconds| seconds.parse().ok()).map_or(Ttl::Other, Ttl::Seconds)
}

/// Drops the oldest partitions while the total size exceeds the limit, but never today's.
async fn drop_excess(
    client: &mut Client,
    max_size: u64,
    today: Day,
    report: &mut MaintenanceReport,
) -> Result<(), StoreError> {
    let doing = "read the size of packets";
    let query = "SELECT partition_id, sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() \
        AND table = 'packets' AND active AND rows > 0 GROUP BY partition_id ORDER BY partition_id";
    let mut partitions = Vec::new();
    let sizes = match lines(client, doing, query).await {
        // It depends on the server whether reading its own tables needs a right. Rows are written nevertheless.
        Err(StoreError::Denied(text)) => {
            report.warnings.push(format!(
                "{text}; mirror.max_size has no effect until an administrator runs GRANT SELECT ON system.parts TO …, with \
                 the name of our user"
            ));
            return Ok(());
        }
        sizes => sizes?,
    };
    for line in sizes {
        let read = line
            .split_once('\t')
            .and_then(|(id, size)| Some((Day::parse_compact(id)?, size.parse::<u64>().ok()?)));
        partitions.push(read.ok_or_else(|| unexpected(doing, &line))?);
    }
    let mut total: u64 = partitions.iter().map(|(_, size)| size).sum();
    for (day, size) in partitions {
        if total <= max_size || day >= today {
            break;
        }
        let name = day.compact();
        let text = format!("ALTER TABLE packets DROP PARTITION ID '{name}'");
        let doing = format!("drop partition {name}");
        match client.run(Statement { doing: &doing, text: &text, settings: &[] }).await {
            Ok(_) => report.dropped.push(name),
            Err(StoreError::Denied(text)) => {
                report.warnings.push(text);
                break;
            }
            Err(error) => return Err(error),
        }
        total = total.saturating_sub(size);
    }
    Ok(())
}

/// The warning about a distributed table: its rows are in tables of other servers.
fn of_other_tables(table: &Table, maintenance: &Maintenance) -> Option<String> {
    let retention = maintenance.retention?.as_secs();
    // Distributed('cluster', 'database', 'table', …)
    let local = table.engine.split('\'').nth(5).unwrap_or("packets_local");
    let cluster = table.engine.split('\'').nth(1).unwrap_or("CLUSTER");
    Some(format!(
        "ClickHouse: packets is a distributed table, which the exporter does not change: set mirror.retention and \
         mirror.max_size to 0, and run ALTER TABLE {local} ON CLUSTER '{cluster}' MODIFY TTL {TTL}{retention})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ttl_of_a_table() {
        let engine = |ttl: &str| {
            format!("MergeTree PARTITION BY toYYYYMMDD(time) ORDER BY time{ttl} SETTINGS a = 1")
        };
        assert_eq!(ttl(&engine("")), Ttl::None);
        let ours = " TTL toDateTime(time) + toIntervalSecond(1209600)";
        assert_eq!(ttl(&engine(ours)), Ttl::Seconds(1_209_600));
        assert_eq!(ttl(&engine(" TTL toDateTime(time) + toIntervalDay(14)")), Ttl::Other);
        assert_eq!(
            ttl(&engine(&format!("{ours}, time + toIntervalDay(1) TO DISK 'x'"))),
            Ttl::Other
        );
    }
}
