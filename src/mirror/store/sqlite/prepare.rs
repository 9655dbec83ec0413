//! Creates the file and its schema when missing, and rejects a foreign or newer one.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, fchown, lchown},
    path::Path,
};

use super::{Sqlite, StoreError};
use crate::mirror::{schema, store::Kind};

/// Creates the file, readable by its group, and its directory, when they are missing. Existing ones keep their
/// mode; SQLite gives its companion files the same mode and owner.
///
/// What root creates gets the owner of the directory that it is in, which is the user that the exporter runs as.
pub(super) fn make_file(path: &Path, name: &str) -> Result<(), StoreError> {
    let failed = |what: &Path, error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; let the program's user write to the last directory of this path that exists"
            }
            _ => "",
        };
        let what = what.display();
        StoreError::Unavailable(format!("SQLite {name}: cannot create {what}: {error}{advice}"))
    };
    if fs::exists(path).unwrap_or(true) {
        return Ok(());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    make_directory(directory).map_err(|error| failed(directory, error))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(file) => keep_owner(directory, |user, group| fchown(&file, user, group)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .and_then(|()| sync_parent(path))
    .map_err(|error| failed(path, error))
}

/// Creates a directory and its missing parents.
fn make_directory(directory: &Path) -> io::Result<()> {
    // The last ancestor of a relative path is empty.
    let ancestors = directory.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing: Vec<_> = ancestors.take_while(|path| !path.exists()).collect();
    for path in missing.iter().rev() {
        match DirBuilder::new().mode(0o750).create(path) {
            Ok(()) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                keep_owner(parent, |user, group| lchown(path, user, group))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// If root created an entry of the directory of another user, makes that user its owner.
fn keep_owner(
    directory: &Path,
    change: impl FnOnce(Option<u32>, Option<u32>) -> io::Result<()>,
) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    if owner.uid() == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match change(Some(owner.uid()), Some(owner.gid())) {
        // Root without the capability CAP_CHOWN, which is then the user that uses the file.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

/// Syncs the file's name to disk: SQLite does so only for its logs.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Creates the schema when it is missing, and checks that the file is writable.
pub(super) fn prepare(store: &Sqlite) -> Result<(), StoreError> {
    // Another program's file is not changed at all.
    is_made(store)?;
    // With a write-ahead log, readers and the writer do not block each other.
    store
        .connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(|error| store.failure("write to the file", &error))?;
    // Takes the write lock: two that start at once create the schema once, and a file that is not writable
    // fails here.
    store.run("write to the file", "BEGIN IMMEDIATE")?;
    let made = match is_made(store) {
        Ok(false) => make(store),
        Ok(true) => Ok(()),
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => store.run("create the schema", "COMMIT"),
        Err(error) => {
            // The first error is the one that matters; a rollback fails when SQLite already did it.
            let _ = store.connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Whether our version is installed; an error for a newer one, or for another program's table.
fn is_made(store: &Sqlite) -> Result<bool, StoreError> {
    let Sqlite { connection, name, .. } = store;
    let failure = |error: rusqlite::Error| store.failure("read the schema", &error);
    let mut version: Option<u32> = None;
    if connection.table_exists(None, "nflog_schema").map_err(failure)? {
        version = connection
            .query_row("SELECT max(version) FROM nflog_schema", [], |row| row.get(0))
            .map_err(failure)?;
    }
    match version {
        Some(version) if version > schema::VERSION => Err(StoreError::Denied(format!(
            "SQLite {name}: its schema has version {version}, and this program supports {}: upgrade \
             nflog_exporter, or use another file",
            schema::VERSION
        ))),
        None if connection.table_exists(None, "packets").map_err(failure)? => {
            Err(StoreError::Denied(format!(
                "SQLite {name}: it has a table packets that nflog_exporter did not create: use another \
                 file, or rename that table"
            )))
        }
        // A dropped table is created again.
        found => Ok(found == Some(schema::VERSION)
            && connection.table_exists(None, "packets").map_err(failure)?
            && connection.table_exists(None, "nflog_writers").map_err(failure)?
            && has_added_columns(store)?),
    }
}

fn has_added_columns(store: &Sqlite) -> Result<bool, StoreError> {
    // One transaction adds all of them.
    let found = store.connection.column_exists(None, "packets", "list");
    found.map_err(|error| store.failure("read the schema", &error))
}

fn make(store: &Sqlite) -> Result<(), StoreError> {
    for statement in schema::tables(Kind::Sqlite) {
        store.run("create the schema", statement)?;
    }
    if !has_added_columns(store)? {
        for statement in schema::added_columns(Kind::Sqlite) {
            store.run("add columns to the schema", statement)?;
        }
    }
    // The view is for people, not for the exporter: another program's `ulog` stays.
    store.run("create the view ulog", schema::view(Kind::Sqlite))?;
    for statement in schema::ulogd_views(Kind::Sqlite) {
        store.run("create ulogd's views", statement)?;
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
        .map_err(|error| store.failure("read the view ulog", &error))?;
    let view = foreign.then_some(
        "`ulog` in this file belongs to another program, and does not show the rows that are written now: rename \
         or drop it, then run `nflog_exporter schema --for sqlite | sqlite3 FILE`",
    );
    let columns = "SELECT count(*) FROM pragma_index_info('packets_by_source')";
    let columns: u32 = store
        .connection
        .query_row(columns, [], |row| row.get(0))
        .map_err(|error| store.failure("read the indexes", &error))?;
    let index = (columns < SOURCE_COLUMNS).then_some(
        "the index packets_by_source is missing or too short, which makes sources and packets on the page slow: run \
         DROP INDEX IF EXISTS packets_by_source in this file, then `nflog_exporter schema --for sqlite | sqlite3 FILE`; \
         writing rows waits meanwhile, some seconds for each million rows",
    );
    Ok(view.into_iter().chain(index).collect())
}

/// Number of columns of the index `packets_by_source`; that of the first schema had two.
const SOURCE_COLUMNS: u32 = 8;
