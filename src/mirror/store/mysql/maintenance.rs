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
    let partitions = match partitions(connection).await {
        Ok(partitions) => partitions,
        Err(error @ Error::Server(_)) => {
            report.warnings.push(warning("cannot read the partitions of `packets`", &error));
            return Ok(report);
        }
        Err(error) => return Err(failure("read the partitions", &error)),
    };
    let Some(partitions) = partitions else {
        report.warnings.push(
            "MySQL: `packets` has no partitions by range of time: old rows are never dropped. As an \
             administrator run ALTER TABLE packets PARTITION BY RANGE \
             COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
                .to_owned(),
        );
        return Ok(report);
    };
    let now = micros_since_1970(now);
    let expired = expired_or_excess(&partitions, maintenance, now);
    if !expired.is_empty() {
        let names: Vec<_> = expired.iter().map(|name| quoted(name)).collect();
        let statement = format!("ALTER TABLE packets DROP PARTITION {}", names.join(", "));
        if !alter(connection, &statement, &mut report).await? {
            // The obstacle blocks the next change too: one wait is enough.
            return Ok(report);
        }
        report.dropped = expired;
    }
    for statement in ahead(&partitions, Day::of_micros(now)) {
        if !alter(connection, &statement, &mut report).await? {
            break;
        }
    }
    Ok(report)
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

/// Changes the table; returns whether that worked. Only errors of the connection are errors.
async fn alter(
    connection: &mut Conn,
    statement: &str,
    report: &mut MaintenanceReport,
) -> Result<bool, StoreError> {
    let Err(error) = alter::alter(connection, statement).await else { return Ok(true) };
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
    report.warnings.push(warning);
    Ok(false)
}

fn warning(what: &str, error: &Error) -> String {
    format!("MySQL: {what}: {}", answer(error))
}
