//! Rows of other databases than the configured one: which there are, and what becomes of them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    folder::{create_file, open_to_read},
    life::Life,
    segment::Segment,
};

/// What becomes of rows in the spool that wait for another database than the configured one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherTarget {
    /// They stay in the spool until their database is configured again.
    #[default]
    Keep,
    /// The configured database gets them.
    Deliver,
    /// They are removed, and counted as dropped.
    Drop,
}

/// Rows that wait for another database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRows {
    /// The database, as [`Target::identity`](crate::mirror::Target::identity) writes it.
    pub target: String,
    /// How many rows wait for it.
    pub rows: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
}

/// Name of the file that has the database of segments without a mark: an earlier version wrote them.
const UNMARKED: &str = "unmarked";

/// The database that unmarked segments belong to: the first that opened them after they were written.
pub(super) fn owner_of_unmarked(directory: &Path) -> Option<String> {
    let file = open_to_read(&directory.join(UNMARKED)).ok()?;
    io::read_to_string(io::Read::take(file, 8192)).ok()
}

/// Assigns a database to every session. Unmarked ones belong to `target` from now on, unless they have an owner.
pub(super) fn mark<'a>(
    directory: &Path,
    lives: impl Iterator<Item = &'a mut Life>,
    target: &str,
) -> io::Result<()> {
    let mut unmarked = lives.filter(|life| life.target.is_none()).peekable();
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
    unmarked.for_each(|life| life.target = Some(owner.clone()));
    Ok(())
}

/// The rows of these sessions, added up by database.
pub(super) fn sum<'a>(lives: impl Iterator<Item = &'a Life>) -> Vec<OtherRows> {
    let rows = lives.map(|life| {
        let target = life.target.clone().unwrap_or_default();
        OtherRows { target, rows: life.end() - life.delivered, bytes: life.size() }
    });
    by_target(rows)
}

/// Rows in a spool's directory that wait for another database than `target`. Changes nothing, and takes no
/// lock: an exporter may be running. Sessions that are delivered in part are counted whole.
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
        // A segment that is removed meanwhile or cannot be read is left to the running exporter.
        let Ok(Ok(mut segment)) = Segment::find(path) else { continue };
        let of = segment.header.target.clone().or_else(|| owner.clone());
        if let Some(of) = of.filter(|of| of != target) {
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
