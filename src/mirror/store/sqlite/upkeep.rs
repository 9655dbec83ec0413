//! Keeping the file small: old rows deleted a few at a time, and their pages given back.

use std::time::Duration;

use rusqlite::params;

use super::{Maintained, Sqlite, StoreError, Upkeep, rows::write_time};

/// Rows deleted in one transaction; a few tens of milliseconds.
const ROWS: u32 = 2_000;

/// Pages given back to the file system in one transaction.
const PAGES: u32 = 256;

/// One small step: rows that are too old or too much, then pages that are free.
pub(super) fn maintain(
    store: &Sqlite,
    upkeep: &Upkeep,
    now: Duration,
) -> Result<Maintained, StoreError> {
    let mut done = Maintained::default();
    let mut deleted = 0;
    if let Some(retention) = upkeep.retention {
        let mut first = String::new();
        let micros = now.saturating_sub(retention).as_micros();
        write_time(&mut first, u64::try_from(micros).unwrap_or(u64::MAX));
        deleted = delete_before(store, &first)?;
    }
    if deleted == 0 && is_too_large(store, upkeep)? {
        // Later than every time.
        deleted = delete_before(store, "~")?;
    }
    let given_back = give_back(store, &mut done)?;
    done.unfinished = deleted > 0 || given_back;
    Ok(done)
}

/// Deletes the oldest rows of before a time, some of them; how many.
fn delete_before(store: &Sqlite, time: &str) -> Result<usize, StoreError> {
    store
        .connection
        .prepare_cached(
            "DELETE FROM packets WHERE id IN \
             (SELECT id FROM packets WHERE time < ?1 ORDER BY time LIMIT ?2)",
        )
        .and_then(|mut statement| statement.execute(params![time, ROWS]))
        .map_err(|error| store.failure("delete old rows", &error))
}

/// Whether the pages in use take more than they may.
fn is_too_large(store: &Sqlite, upkeep: &Upkeep) -> Result<bool, StoreError> {
    let Some(most) = upkeep.max_size else { return Ok(false) };
    let used = store.figure("page_count")? - store.figure("freelist_count")?;
    let bytes = used.saturating_mul(store.figure("page_size")?);
    Ok(u64::try_from(bytes).is_ok_and(|bytes| bytes > most))
}

/// Cuts free pages off the file; whether there are more.
///
/// A few stay: the next rows take them.
fn give_back(store: &Sqlite, done: &mut Maintained) -> Result<bool, StoreError> {
    let free = store.figure("freelist_count")?;
    if free <= i64::from(PAGES) {
        return Ok(false);
    }
    // 2: INCREMENTAL. Another value is a file that somebody else made.
    if store.figure("auto_vacuum")? != 2 {
        done.warnings.push(format!(
            "SQLite {}: the file does not shrink, its free space is used again only; mend it while \
             nflog_exporter is stopped by: PRAGMA auto_vacuum = INCREMENTAL; VACUUM;",
            store.name
        ));
        return Ok(false);
    }
    store
        .connection
        .prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))
        .and_then(|mut statement| {
            // A page goes with each row of the answer.
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })
        .map_err(|error| store.failure("give free pages back", &error))?;
    Ok(free > 2 * i64::from(PAGES))
}
