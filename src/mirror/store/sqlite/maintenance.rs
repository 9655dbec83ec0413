//! Limits the file's size: deletes old rows a few at a time, and returns free pages to the file system.

use std::time::Duration;

use rusqlite::params;

use super::{Maintenance, MaintenanceReport, Sqlite, StoreError};
use crate::mirror::time_text::write_time;

/// Maximum rows deleted in one transaction; a few tens of milliseconds.
const ROWS: u32 = 2_000;

/// Maximum pages returned to the file system in one transaction.
const PAGES: u32 = 256;

/// One step: deletes rows that are too old or exceed the size limit, then returns free pages. It deletes at least
/// twice as many rows as were inserted since the last step, so that a limit holds at any rate of rows.
pub(super) fn maintain(
    store: &mut Sqlite,
    maintenance: &Maintenance,
    now: Duration,
) -> Result<MaintenanceReport, StoreError> {
    let mut done = MaintenanceReport::default();
    let budget = std::mem::take(&mut store.inserted).saturating_mul(2).max(ROWS.into());
    let mut deleted = 0;
    if let Some(retention) = maintenance.retention {
        let mut first = String::new();
        let micros = now.saturating_sub(retention).as_micros();
        write_time(&mut first, u64::try_from(micros).unwrap_or(u64::MAX));
        deleted = delete_before(store, &first, budget, |_| Ok(true))?;
    }
    if deleted < budget {
        // `~` sorts after every time.
        let is_too_large = |store: &Sqlite| is_too_large(store, maintenance);
        deleted += delete_before(store, "~", budget - deleted, is_too_large)?;
    }
    let given_back = give_back(store, &mut done)?;
    done.unfinished = deleted >= budget || given_back;
    Ok(done)
}

/// Deletes the oldest rows before a time, at most `max`, while a condition holds; returns their number.
fn delete_before(
    store: &Sqlite,
    time: &str,
    most: u64,
    condition: impl Fn(&Sqlite) -> Result<bool, StoreError>,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    while deleted < most && condition(store)? {
        let portion = u32::try_from(most - deleted).unwrap_or(ROWS).min(ROWS);
        let part = store
            .connection
            .prepare_cached(
                "DELETE FROM packets WHERE id IN \
                 (SELECT id FROM packets WHERE time < ?1 ORDER BY time LIMIT ?2)",
            )
            .and_then(|mut statement| statement.execute(params![time, portion]))
            .map_err(|error| store.failure("delete expired rows", &error))?
            as u64;
        deleted += part;
        if part < portion.into() {
            break;
        }
    }
    Ok(deleted)
}

/// Whether the pages in use exceed the size limit.
fn is_too_large(store: &Sqlite, maintenance: &Maintenance) -> Result<bool, StoreError> {
    let Some(most) = maintenance.max_size else { return Ok(false) };
    let used = store.setting("page_count")? - store.setting("freelist_count")?;
    let bytes = used.saturating_mul(store.setting("page_size")?);
    Ok(u64::try_from(bytes).is_ok_and(|bytes| bytes > most))
}

/// Returns free pages to the file system; returns whether there are more.
///
/// A few stay, for the next rows.
fn give_back(store: &Sqlite, done: &mut MaintenanceReport) -> Result<bool, StoreError> {
    let free = store.setting("freelist_count")?;
    if free <= i64::from(PAGES) {
        return Ok(false);
    }
    // 2 is INCREMENTAL. Another program's file may have another value.
    if store.setting("auto_vacuum")? != 2 {
        done.warnings.push(format!(
            "SQLite {}: the file does not shrink, its free space is only reused; fix: stop nflog_exporter, then \
             run PRAGMA auto_vacuum = INCREMENTAL; VACUUM;",
            store.name
        ));
        return Ok(false);
    }
    store
        .connection
        .prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))
        .and_then(|mut statement| {
            // Each row of the answer frees a page.
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })
        .map_err(|error| store.failure("return free pages", &error))?;
    Ok(free > 2 * i64::from(PAGES))
}
