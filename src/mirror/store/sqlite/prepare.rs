//! The file and its schema: made when missing, refused when foreign or newer.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::{Sqlite, StoreError};
use crate::mirror::{schema, store::Kind};

/// Makes the file, readable by its group, and its folder, when they are missing. What is there
/// keeps its mode; SQLite gives the files beside it the same.
pub(super) fn make_file(path: &Path, name: &str) -> Result<(), StoreError> {
    let failed = |what: &Path, error: io::Error| {
        StoreError::Unavailable(format!("SQLite {name}: cannot make {}: {error}", what.display()))
    };
    if fs::exists(path).unwrap_or(true) {
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder)
            .map_err(|error| failed(folder, error))?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, error)),
        _ => sync_parent(path).map_err(|error| failed(path, error)),
    }
}

/// Makes sure that the file's name is on the disk: SQLite synchronises only those of its logs.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes the schema when there is none, and sees that the file can be written to.
pub(super) fn prepare(store: &Sqlite) -> Result<(), StoreError> {
    // Somebody else's file is not changed at all.
    is_made(store)?;
    // With a log beside the file, readers never wait for us nor we for them.
    store
        .connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(|error| store.failure("write to it", &error))?;
    // Takes the lock for writing: two that start at once make the schema once, and a file that
    // cannot be written to shows now.
    store.run("write to it", "BEGIN IMMEDIATE")?;
    let made = match is_made(store) {
        Ok(false) => make(store),
        Ok(true) => Ok(()),
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => store.run("make the schema", "COMMIT"),
        Err(error) => {
            // The error that matters is the first; a rollback fails when SQLite did it already.
            let _ = store.connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Whether our version is there; an error when a newer one is, or a table that is not ours.
fn is_made(store: &Sqlite) -> Result<bool, StoreError> {
    let Sqlite { connection, name, .. } = store;
    let failure = |error: rusqlite::Error| store.failure("read its schema", &error);
    let mut version: Option<u32> = None;
    if connection.table_exists(None, "nflog_schema").map_err(failure)? {
        version = connection
            .query_row("SELECT max(version) FROM nflog_schema", [], |row| row.get(0))
            .map_err(failure)?;
    }
    match version {
        Some(version) if version > schema::VERSION => Err(StoreError::Denied(format!(
            "SQLite {name}: it has version {version} of the schema, and this program knows {}: \
             install a later nflog_exporter, or name another file",
            schema::VERSION
        ))),
        None if connection.table_exists(None, "packets").map_err(failure)? => {
            Err(StoreError::Denied(format!(
                "SQLite {name}: it has a table packets that nflog_exporter did not make: name \
                 another file, or rename that table"
            )))
        }
        // A table that somebody dropped is made anew.
        found => Ok(found == Some(schema::VERSION)
            && connection.table_exists(None, "packets").map_err(failure)?
            && connection.table_exists(None, "nflog_writers").map_err(failure)?),
    }
}

fn make(store: &Sqlite) -> Result<(), StoreError> {
    for statement in schema::tables(Kind::Sqlite) {
        store.run("make the schema", statement)?;
    }
    // The view serves people, not the exporter: another `ulog` is left as it is.
    store.run("make the view ulog", schema::view(Kind::Sqlite))?;
    for statement in schema::ulogd_views(Kind::Sqlite) {
        store.run("make ulogd's views", statement)?;
    }
    Ok(())
}

/// See [`super::Store::advice`].
pub(super) fn advice(store: &Sqlite) -> Result<Vec<&'static str>, StoreError> {
    let query = "SELECT count(*) > 0 AND 3 <> coalesce(sum(name IN ('country', 'asn', 'weight')), 0) \
        FROM pragma_table_info('ulog')";
    let foreign: bool = store
        .connection
        .query_row(query, [], |row| row.get(0))
        .map_err(|error| store.failure("look at the view ulog", &error))?;
    let view = foreign.then_some(
        "`ulog` in this file is another's: it does not show the rows that are written now. Rename or drop \
         it, then run `nflog_exporter schema --for sqlite | sqlite3 FILE`",
    );
    Ok(view.into_iter().collect())
}
