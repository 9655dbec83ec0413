//! Statements on the daily partitions: list, create, fill from the default partition, drop.

use tokio_postgres::{Error, Transaction};

use super::{
    MaintenanceReport, Postgres, StoreError,
    error::{failure, is_in_the_way, lacks_right, value},
};
use crate::{
    mirror::{day::Day, row::Row},
    sort::{sort_by, sort_by_key},
};

/// Number of days to create ahead of today.
pub(super) const DAYS_AHEAD: i64 = 3;

/// Maximum number of rows that one statement deletes from the default partition.
const MAX_ROWS: i64 = 20_000;

/// The table's schema, its default partition, and whether we own it.
const TABLE: &str = "\
    SELECT quote_ident(n.nspname), d.partdefid::regclass::text, \
      pg_has_role(c.relowner, 'USAGE'), current_user::text \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_partitioned_table d ON d.partrelid = c.oid \
    WHERE c.oid = to_regclass('packets')";

/// Its partitions and their sizes, indexes included; 0 for one that was dropped meanwhile.
const PARTITIONS: &str = "\
    SELECT c.relname::text, coalesce(pg_total_relation_size(c.oid), 0) \
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = to_regclass('packets')";

/// Waits for all transactions that write rows of days without a partition, and blocks new ones until this one
/// ends: PostgreSQL rejects a row that was routed to the default partition while its day was attached (23514).
const EXCLUSIVE_LOCK: &str = "SELECT pg_advisory_xact_lock(1852206183, 3)";

/// Held by transactions that write such rows: see [`EXCLUSIVE_LOCK`].
const SHARED_LOCK: &str = "SELECT pg_advisory_xact_lock_shared(1852206183, 3)";

/// The names of the partitions.
const NAMES: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = to_regclass('packets')";

/// Limits of each transaction: others wait no longer than that for us.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10min'";

/// The table, as in the catalogue.
pub(super) struct PacketsTable {
    pub(super) schema: String,
    /// Quoted, with its schema where needed.
    pub(super) default: Option<String>,
}

/// A partition of a day.
pub(super) struct DayPartition {
    pub(super) day: Day,
    /// Bytes, indexes included.
    pub(super) size: u64,
}

/// Call it in a transaction before it writes rows. `known` are days with a partition; for rows of other days it
/// waits for maintenance under way, and reads the partitions again.
pub(super) async fn await_days(
    transaction: &Transaction<'_>,
    rows: &[Row],
    known: &mut Vec<Day>,
) -> Result<(), Error> {
    if rows.iter().all(|row| known.contains(&Day::of_micros(row.time))) {
        return Ok(());
    }
    transaction.batch_execute(SHARED_LOCK).await?;
    let names = transaction.query(NAMES, &[]).await?;
    *known = names.iter().filter_map(|row| day_of(row.try_get(0).ok()?)).collect();
    // Most rows are recent: the newest first.
    sort_by(known, |a, b| b.cmp(a));
    Ok(())
}

/// The day of a partition's name.
fn day_of(name: &str) -> Option<Day> {
    name.strip_prefix("packets_p").and_then(Day::parse_compact)
}

/// Reads the table; `None`, with a warning, if it is not partitioned or belongs to another user.
pub(super) async fn table(
    store: &Postgres,
    report: &mut MaintenanceReport,
) -> Result<Option<PacketsTable>, StoreError> {
    let doing = "read the table packets";
    let row = store.client.query_opt(TABLE, &[]).await.map_err(|error| failure(doing, &error))?;
    let Some(row) = row else {
        report.warnings.push(
            "PostgreSQL: the table packets is not partitioned: old rows are never dropped; create it \
             again with nflog_exporter schema --for postgres"
                .to_owned(),
        );
        return Ok(None);
    };
    if !value::<bool>(&row, 2, doing)? {
        report.warnings.push(format!(
            "PostgreSQL: user {user} does not own the table packets: partitions are neither created nor \
             dropped; fix: ALTER TABLE packets OWNER TO \"{user}\"",
            user = value::<String>(&row, 3, doing)?
        ));
        return Ok(None);
    }
    let default: Option<String> = value(&row, 1, doing)?;
    let default = default.filter(|name| name != "-");
    Ok(Some(PacketsTable { schema: value(&row, 0, doing)?, default }))
}

/// The daily partitions, the oldest first, and the size of all partitions in bytes.
pub(super) async fn partitions(store: &Postgres) -> Result<(Vec<DayPartition>, u64), StoreError> {
    let doing = "list the partitions";
    let rows = store.client.query(PARTITIONS, &[]).await.map_err(|error| failure(doing, &error))?;
    let (mut days, mut total) = (Vec::new(), 0);
    for row in rows {
        let name: String = value(&row, 0, doing)?;
        let size: i64 = value(&row, 1, doing)?;
        let size = u64::try_from(size).unwrap_or(0);
        total += size;
        days.extend(day_of(&name).map(|day| DayPartition { day, size }));
    }
    sort_by_key(&mut days, |partition| partition.day);
    Ok((days, total))
}

/// Deletes rows of days before `first`; returns whether there may be more. The default partition holds few rows:
/// late ones, or ones with a wrong clock's time.
pub(super) async fn delete_before(
    store: &Postgres,
    default: &str,
    first: Day,
) -> Result<bool, StoreError> {
    let statement = format!(
        "DELETE FROM {default} WHERE ctid = ANY (ARRAY( \
           SELECT ctid FROM {default} WHERE time < '{first} 00:00:00+00' LIMIT {MAX_ROWS}))"
    );
    let deleted = store
        .client
        .execute(&statement, &[])
        .await
        .map_err(|error| failure("delete expired rows", &error))?;
    Ok(deleted == u64::try_from(MAX_ROWS).unwrap_or(u64::MAX))
}

/// The days of the rows in the default partition, up to the last day that is created ahead.
pub(super) async fn days_in(
    store: &Postgres,
    default: &str,
    today: Day,
) -> Result<Vec<Day>, StoreError> {
    let statement = format!(
        "SELECT DISTINCT to_char(time AT TIME ZONE 'UTC', 'YYYYMMDD') FROM {default} \
         WHERE time < '{} 00:00:00+00' ORDER BY 1",
        today.plus(DAYS_AHEAD + 1)
    );
    let rows = store
        .client
        .query(&statement, &[])
        .await
        .map_err(|error| failure("read rows without a day", &error))?;
    Ok(rows.iter().filter_map(|row| Day::parse_compact(row.try_get(0).ok()?)).collect())
}

/// Creates a day's partition, and moves that day's rows into it from the default partition.
///
/// A separate table is filled and then attached, which does not block reads and writes of other days, as
/// `CREATE TABLE … PARTITION OF` does.
pub(super) async fn make(
    store: &Postgres,
    PacketsTable { schema, default }: &PacketsTable,
    day: Day,
    report: &mut MaintenanceReport,
) -> Result<bool, StoreError> {
    let name = format!("{schema}.packets_p{}", day.compact());
    let (from, to) = (format!("'{day} 00:00:00+00'"), format!("'{} 00:00:00+00'", day.plus(1)));
    let mut statements = vec![EXCLUSIVE_LOCK.to_owned()];
    if let Some(default) = default {
        statements.push(format!("LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE"));
    }
    statements.push(format!(
        "CREATE TABLE {name} (LIKE {schema}.packets INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    ));
    if let Some(default) = default {
        statements.push(format!(
            "WITH moved AS (DELETE FROM {default} WHERE time >= {from} AND time < {to} RETURNING *) \
             INSERT INTO {name} SELECT * FROM moved"
        ));
    }
    statements.push(format!(
        "ALTER TABLE {schema}.packets ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
    ));
    attempt(store, &format!("create the partition of {day}"), &statements, report).await
}

/// Creates the default partition, if it was removed: rows of days without a partition have no other.
pub(super) async fn make_default(
    store: &Postgres,
    PacketsTable { schema, .. }: &PacketsTable,
    report: &mut MaintenanceReport,
) -> Result<(), StoreError> {
    let statement =
        format!("CREATE TABLE {schema}.packets_default PARTITION OF {schema}.packets DEFAULT");
    attempt(store, "create the default partition", &[statement], report).await.map(drop)
}

/// Runs statements as one transaction. Returns whether other days are worth an attempt: not after a held lock or
/// a missing right, but a table in the way concerns one day only. Each of these errors becomes a warning.
pub(super) async fn attempt(
    store: &Postgres,
    doing: &str,
    statements: &[String],
    report: &mut MaintenanceReport,
) -> Result<bool, StoreError> {
    let Err(error) = transaction(store, statements).await else { return Ok(true) };
    let failed = failure(doing, &error);
    if error.as_db_error().is_none() {
        return Err(failed);
    }
    let in_the_way = is_in_the_way(&error);
    report.warnings.push(if in_the_way {
        format!(
            "{failed}; the table is not a partition of packets (was it detached?): rename it with ALTER \
             TABLE … RENAME TO …, or drop it"
        )
    } else if lacks_right(&error) {
        format!("{failed}; fix: GRANT CREATE ON SCHEMA … TO …, as the database's owner")
    } else {
        format!("{failed}; retrying at the next maintenance")
    });
    // Fails if the error ended the connection.
    store.run(doing, "ROLLBACK").await?;
    Ok(in_the_way)
}

async fn transaction(store: &Postgres, statements: &[String]) -> Result<(), Error> {
    store.client.batch_execute(BEGIN).await?;
    for statement in statements {
        store.client.batch_execute(statement).await?;
    }
    store.client.batch_execute("COMMIT").await
}
