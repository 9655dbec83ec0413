//! Finds the files of the positions of an earlier run.

use std::{
    cell::OnceCell,
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    Follower, Pattern,
    compressed_rest::find_compressed,
    listing::{ListedFile, Listing},
    rotated::{self, RotatedFile, rotated_files},
    saved_position::{FileKey, SavedPosition},
};
use crate::{sort::sort_by_key, system::files::open_regular};

impl Follower {
    /// Finds the files of the saved positions, wherever they were moved, and then the files that were rotated since.
    /// Returns whether positions were dropped: those of files that are no longer configured.
    pub(super) fn resume(&mut self, listing: &Listing) -> bool {
        let mut newest: HashMap<PathBuf, RotatedFile> = HashMap::new();
        let mut has_dropped = false;
        let (ids, positions) = self.take_positions();
        if positions.is_empty() {
            return false;
        }
        let others = OtherFiles::new(listing);
        for mut position in positions {
            let Some(path) = configured_path(&self.patterns, &position, &others) else {
                tracing::info!(
                    file = %position.path.display(),
                    "a log file is no longer followed: no path of kernel_log.files matches it"
                );
                has_dropped = true;
                continue;
            };
            position.path = path;
            let plain = find(&position, &others);
            let is_compressed = plain.is_none();
            let is_lost = is_compressed && !is_unreadable(&position.path);
            let compressed = is_lost.then(|| find_compressed(&position)).flatten();
            let Some(file) = plain.or(compressed) else {
                self.not_found(position);
                continue;
            };
            let is_rotated = file.path != position.path;
            if let Some(copy) = rotated::open(&file.path)
                && newest.get(&position.path).is_none_or(|newest| copy.is_newer(newest))
            {
                newest.insert(position.path.clone(), copy);
            }
            let (is_weak, path) = (position.first_bytes.is_weak(), position.path.clone());
            if is_compressed {
                self.read_rest(&file, position);
            } else if !self.is_followed(file.key) {
                self.follow(file, position.path, Some(position.offset), is_rotated);
            }
            if is_weak {
                self.follow_created(&path);
            }
        }
        for (path, file) in newest {
            self.at_path.insert(path.clone(), file.key);
            if file.path != path {
                self.read_newer_compressed(&file, &path);
                self.follow_newer(&file, &path);
            }
        }
        // The oldest first: the files that were added for a position precede it.
        sort_by_key(&mut self.files, |file| !file.is_rotated);
        // Now, so that no position is missing after a kill.
        for id in ids {
            self.positions.forget(id);
        }
        has_dropped
    }

    /// Follows the rotated files of a path that were created since the positions were saved, when its file had too few bytes
    /// to recognize a copy of it: all their lines were written since.
    fn follow_created(&mut self, path: &Path) {
        for file in rotated_files(path) {
            if !self.is_followed(file.key) && self.is_created_since(&file.file) {
                self.follow(file, path.into(), Some(0), true);
            }
        }
    }

    /// The positions whose files are not followed yet, without those of files that still cannot be read. The numbers are
    /// those under which some are saved.
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

/// The listed files, found by what they are, so that each is opened at most once.
struct OtherFiles<'a> {
    listing: &'a Listing,
    by_key: HashMap<FileKey, &'a ListedFile>,
    /// The first bytes of each listed file, read when they are needed.
    starts: OnceCell<Vec<Vec<u8>>>,
}

impl<'a> OtherFiles<'a> {
    fn new(listing: &'a Listing) -> Self {
        Self { listing, by_key: listing.by_key(), starts: OnceCell::new() }
    }

    /// The file of a position.
    fn file(&self, position: &SavedPosition) -> Option<RotatedFile> {
        let file = self.by_key.get(&position.key)?.open()?;
        (file.key == position.key && file.has(position)).then_some(file)
    }

    /// A copy of the file of a position.
    fn copy(&self, position: &SavedPosition) -> Option<RotatedFile> {
        let files = &self.listing.files;
        let starts = self.starts.get_or_init(|| {
            let start = |file: &ListedFile| Some(file.open()?.start().to_vec());
            files.iter().map(|file| start(file).unwrap_or_default()).collect()
        });
        let candidates = files.iter().zip(starts);
        let mut candidates = candidates.filter(|(_, start)| position.first_bytes.begin(start));
        candidates.find_map(|(file, _)| file.open().filter(|file| file.has(position)))
    }
}

/// The path of a position that the configuration has now: its own, the one before its rotation, or another one of the
/// same file.
fn configured_path(
    patterns: &[Pattern],
    position: &SavedPosition,
    others: &OtherFiles<'_>,
) -> Option<PathBuf> {
    let is_configured = |path: &Path| patterns.iter().any(|pattern| pattern.has(path));
    let mut names =
        std::iter::once(position.path.clone()).chain(rotated::live_paths(&position.path));
    names.find(|path| is_configured(path)).or_else(|| Some(others.file(position)?.path))
}

/// The file of a position: at its path, rotated, at another path of a pattern, or a copy.
fn find(position: &SavedPosition, others: &OtherFiles<'_>) -> Option<RotatedFile> {
    let here = rotated::open(&position.path);
    let is_file = |file: &RotatedFile| file.key == position.key && file.has(position);
    if here.as_ref().is_some_and(is_file) {
        return here;
    }
    let mut rotated = rotated_files(&position.path);
    if let Some(at) = rotated.iter().position(is_file) {
        return Some(rotated.swap_remove(at));
    }
    others
        .file(position)
        .or_else(|| here.into_iter().chain(rotated).find(|file| file.has(position)))
        .or_else(|| others.copy(position))
}
