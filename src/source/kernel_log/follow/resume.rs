//! Finds the files of the positions of an earlier run.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    Follower, Pattern,
    rotated::{self, RotatedFile, rotated_files},
    saved_position::SavedPosition,
};
use crate::system::files::open_regular;

impl Follower {
    /// Finds the files of the saved positions, wherever they were moved, and then the files that were rotated since.
    /// Returns whether positions were dropped: those of files that are no longer configured.
    pub(super) fn resume(&mut self, paths: &[PathBuf]) -> bool {
        let mut newest: HashMap<PathBuf, RotatedFile> = HashMap::new();
        let mut has_dropped = false;
        let (ids, positions) = self.take_positions();
        if positions.is_empty() {
            return false;
        }
        for mut position in positions {
            let Some(path) = configured_path(&self.patterns, &position, paths) else {
                tracing::info!(
                    file = %position.path.display(),
                    "a log file is no longer followed: no path of kernel_log.files matches it"
                );
                has_dropped = true;
                continue;
            };
            position.path = path;
            let Some(file) = find(&position, paths) else {
                self.not_found(position);
                continue;
            };
            let is_rotated = file.path != position.path;
            if let Some(copy) = rotated::open(&file.path)
                && newest.get(&position.path).is_none_or(|newest| copy.is_newer(newest))
            {
                newest.insert(position.path.clone(), copy);
            }
            if !self.is_followed(file.key) {
                self.follow(file, position.path, Some(position.offset), is_rotated);
            }
        }
        for (path, file) in newest {
            self.at_path.insert(path.clone(), file.key);
            if file.path != path {
                self.follow_newer(&file, &path);
            }
        }
        // The oldest first: the files that were added for a position precede it.
        self.files.sort_by_key(|file| !file.is_rotated);
        // Now, so that no position is missing after a kill.
        for id in ids {
            self.positions.forget(id);
        }
        has_dropped
    }

    /// The positions whose files are not followed yet, without those of files that still cannot be read. The numbers are those under which some
    /// are saved.
    fn take_positions(&mut self) -> (Vec<u64>, Vec<SavedPosition>) {
        let is_readable = |(_, position): &mut (u64, SavedPosition)| !is_unreadable(&position.path);
        let mut positions = std::mem::take(&mut self.saved.positions);
        let (ids, waiting): (Vec<_>, Vec<_>) = self.waiting.extract_if(.., is_readable).unzip();
        positions.extend(waiting);
        (ids, positions)
    }

    /// The file of a position was not found, or cannot be read now.
    fn not_found(&mut self, position: SavedPosition) {
        if is_unreadable(&position.path) {
            self.positions.set(self.next_id, position.clone());
            self.waiting.push((self.next_id, position));
            self.next_id += 1;
            return;
        }
        let is_path = |pattern: &Pattern| pattern.path().as_ref() == Some(&position.path);
        if self.patterns.iter().any(is_path) {
            tracing::warn!(
                "{}: the file that was followed no longer exists: lines at its end may be missing",
                position.path.display()
            );
            self.at_path.entry(position.path).or_insert(position.key);
        }
    }
}

/// Whether there is a file that cannot be read, so that it may be the one of a position.
fn is_unreadable(path: &Path) -> bool {
    open_regular(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The path of a position that the configuration has now: its own, the one before its rotation, or another one of the same
/// file.
fn configured_path(
    patterns: &[Pattern],
    position: &SavedPosition,
    paths: &[PathBuf],
) -> Option<PathBuf> {
    let is_configured = |path: &Path| patterns.iter().any(|pattern| pattern.has(path));
    let is_file = |path: &&PathBuf| {
        rotated::open(path).is_some_and(|file| file.key == position.key && file.has(position))
    };
    let mut names =
        std::iter::once(position.path.clone()).chain(rotated::live_paths(&position.path));
    names.find(|path| is_configured(path)).or_else(|| paths.iter().find(is_file).cloned())
}

/// The file of a position: at its path, rotated, at another path of a pattern, or a copy.
fn find(position: &SavedPosition, paths: &[PathBuf]) -> Option<RotatedFile> {
    let others = paths.iter().filter(|path| **path != position.path);
    let mut candidates: Vec<_> = rotated::open(&position.path)
        .into_iter()
        .chain(rotated_files(&position.path))
        .chain(others.filter_map(|path| rotated::open(path)))
        .collect();
    let by_key = candidates.iter().position(|file| file.key == position.key && file.has(position));
    let found = by_key.or_else(|| candidates.iter().position(|file| file.has(position)))?;
    Some(candidates.swap_remove(found))
}
