//! Runs the maintenance of `packets`: drops expired partitions, and creates partitions ahead.

use std::time::SystemTime;

use mysql_async::{Conn, Error, Row, prelude::Queryable};

use super::{
    super::{Maintenance, MaintenanceReport, StoreError},
    alter, column,
    error::{answer, code, failure, lacks_right},
    partitions::{RangePartition, ahead, end_of, expired_or_excess, quoted},
};
use crate::{mirror::day::Day, system::clock::micros_since_1970};

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
        (Ok(report), Ok(()) | Err(Error::Server(_))) => Ok(report),
        (Err(error), _) => Err(error),
        (_, Err(error)) => Err(failure("run maintenance", &error)),
    }
}

async fn run_maintenance(
    connection: &mut Conn,
    maintenance: &Maintenance,
    now: SystemTime,
) -> Result<MaintenanceReport, StoreError> {
    let mut report = MaintenanceReport::default();
    let mut problem = change_partitions(connection, maintenance, now, &mut report).await?;
    // The lock holds on one node of a cluster only: an exporter on another node may have made the same change.
    if matches!(problem, Some(Problem::Failed(_))) {
        problem = change_partitions(connection, maintenance, now, &mut report).await?;
    }
    report.warnings.extend(problem.map(|problem| match problem {
        Problem::Failed(warning) | Problem::Blocked(warning) => warning,
    }));
    Ok(report)
}

/// Why the partitions could not be changed.
enum Problem {
    /// The server rejected the statement.
    Failed(String),
    /// It cannot succeed now, or without an administrator.
    Blocked(String),
}

/// Drops and creates partitions until one of the statements fails.
async fn change_partitions(
    connection: &mut Conn,
    maintenance: &Maintenance,
    now: SystemTime,
    report: &mut MaintenanceReport,
) -> Result<Option<Problem>, StoreError> {
    let partitions = match partitions(connection).await {
        Ok(partitions) => partitions,
        Err(error @ Error::Server(_)) => {
            let warning = warning("cannot read the partitions of `packets`", &error);
            return Ok(Some(Problem::Blocked(warning)));
        }
        Err(error) => return Err(failure("read the partitions", &error)),
    };
    let Some(partitions) = partitions else {
        let warning = "MySQL: `packets` has no partitions by range of time: old rows are never dropped. As an \
             administrator run ALTER TABLE packets PARTITION BY RANGE \
             COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE))";
        return Ok(Some(Problem::Blocked(warning.to_owned())));
    };
    let now = micros_since_1970(now);
    let expired = expired_or_excess(&partitions, maintenance, now);
    if !expired.is_empty() {
        let names: Vec<_> = expired.iter().map(|name| quoted(name)).collect();
        let statement = format!("ALTER TABLE packets DROP PARTITION {}", names.join(", "));
        // The obstacle blocks the next change too: one wait is enough.
        if let Some(problem) = alter(connection, &statement).await? {
            return Ok(Some(problem));
        }
        report.dropped.extend(expired);
    }
    for statement in ahead(&partitions, Day::of_micros(now)) {
        if let Some(problem) = alter(connection, &statement).await? {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

/// The partitions, the oldest first; `None` when there are none, or when they are not by day.
async fn partitions(connection: &mut Conn) -> Result<Option<Vec<RangePartition>>, Error> {
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
        Some(RangePartition { name: text(0)?, end: end_of(&text(1)?)?, size })
    });
    Ok(partitions.collect::<Option<Vec<_>>>().filter(|partitions| !partitions.is_empty()))
}

/// Changes the table. Only errors of the connection are errors.
async fn alter(connection: &mut Conn, statement: &str) -> Result<Option<Problem>, StoreError> {
    let Err(error) = alter::alter(connection, statement).await else { return Ok(None) };
    Ok(Some(match code(&error) {
        None => return Err(failure("change the partitions", &error)),
        // A lock, or on a cluster a transaction of another node.
        Some(1205 | 1213) => Problem::Blocked(warning(
            "`packets` is in use; retrying at the next maintenance",
            &error,
        )),
        Some(_) if lacks_right(&error) => {
            let what = "cannot change the partitions of `packets`; as an administrator run GRANT \
             ALTER, CREATE, DROP ON DATABASE.packets TO USER";
            Problem::Blocked(warning(what, &error))
        }
        Some(_) => Problem::Failed(warning(&format!("cannot run {statement}"), &error)),
    }))
}

fn warning(what: &str, error: &Error) -> String {
    format!("MySQL: {what}: {}", answer(error))
}
