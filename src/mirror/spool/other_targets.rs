//! Rows in the spool for other databases than the configured one.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    open::{create_file, open_to_read},
    segment::Segment,
    session::Session,
};
use crate::mirror::target::is_same_database;

/// How to treat rows in the spool for another database than the configured one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherTarget {
    /// Keep them until their database is configured again.
    #[default]
    Keep,
    /// Deliver them to the configured database.
    Deliver,
    /// Remove them, and count them as dropped.
    Drop,
}

/// Rows for another database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRows {
    /// The database, as [`Servers::identity`](crate::mirror::target::Servers::identity) writes it.
    pub target: String,
    /// Number of rows.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// File with the database of segments that name none: an earlier version wrote them.
const UNMARKED: &str = "unmarked";

/// The database of segments that name none: the one configured when this version first opened them.
pub(super) fn owner_of_unmarked(directory: &Path) -> Option<String> {
    let file = open_to_read(&directory.join(UNMARKED)).ok()?;
    io::read_to_string(io::Read::take(file, 8192)).ok()
}

/// Assigns a database to every session. Those without one belong to `target`, unless another was assigned before.
pub(super) fn mark<'a>(
    directory: &Path,
    sessions: impl Iterator<Item = &'a mut Session>,
    target: &str,
) -> io::Result<()> {
    let mut unmarked = sessions.filter(|session| session.target.is_none()).peekable();
    let path = directory.join(UNMARKED);
    if unmarked.peek().is_none() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let owner = if let Some(owner) = owner_of_unmarked(directory) {
        owner
    } else {
        create_file(&path)?.write_all(target.as_bytes())?;
        target.to_owned()
    };
    unmarked.for_each(|session| session.target = Some(owner.clone()));
    Ok(())
}

/// The rows of these sessions, summed by database.
pub(super) fn sum<'a>(sessions: impl Iterator<Item = &'a Session>) -> Vec<OtherRows> {
    let rows = sessions.map(|session| {
        let target = session.target.clone().unwrap_or_default();
        OtherRows { target, rows: session.end() - session.delivered, bytes: session.size() }
    });
    by_target(rows)
}

/// Rows in a spool's directory for another database than `target`. Changes nothing and takes no lock: an
/// exporter may be running. Partly delivered sessions are counted in full.
///
/// # Errors
/// The directory cannot be read. A missing one has no rows.
pub fn rows_of_others(directory: &Path, target: &str) -> io::Result<Vec<OtherRows>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let owner = owner_of_unmarked(directory);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        // A segment that disappears or cannot be read is left to the running exporter.
        let Ok(Ok(mut segment)) = Segment::find(path) else { continue };
        let of = segment.header.target.clone().or_else(|| owner.clone());
        if let Some(of) = of.filter(|of| !is_same_database(of, target)) {
            let rows = segment.walk_to_end() - segment.header.first;
            found.push(OtherRows { target: of, rows, bytes: segment.bytes });
        }
    }
    Ok(by_target(found.into_iter()))
}

fn by_target(rows: impl Iterator<Item = OtherRows>) -> Vec<OtherRows> {
    let mut all = BTreeMap::<String, OtherRows>::new();
    for one in rows {
        match all.get_mut(&one.target) {
            Some(sum) => {
                sum.rows += one.rows;
                sum.bytes += one.bytes;
            }
            None => drop(all.insert(one.target.clone(), one)),
        }
    }
    all.into_values().filter(|rows| rows.rows > 0).collect()
}
