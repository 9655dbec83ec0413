//! Looks for new, renamed and replaced files of the patterns.

use std::{collections::HashSet, fs::File, io, path::Path, sync::atomic::Ordering::Relaxed};

use super::{
    Follower, MAX_FILES,
    compressed::is_compressed,
    followed_file::FollowedFile,
    listing::Listing,
    rotated::{RotatedFile, rotated_files},
    saved_position::FileKey,
};
use crate::system::files::open_regular;

impl Follower {
    /// Looks for new, renamed and replaced files.
    pub(super) fn scan(&mut self) {
        for pattern in &self.patterns {
            self.watch.add(pattern.directory());
        }
        let listing = Listing::new(&self.patterns, &self.ignored);
        let has_dropped = self.resume(&listing);
        self.has_undecided = false;
        self.without_place = listing.left_out;
        self.listed = listing.files.iter().filter_map(|file| file.key).collect();
        let followed: HashSet<_> = self.files.iter().map(|followed| followed.key).collect();
        for file in &listing.files {
            let is_known = file.key.is_some_and(|key| {
                followed.contains(&key) && self.at_path.get(&file.path) == Some(&key)
            });
            if is_known {
                continue;
            }
            match file.open() {
                Some(found) => self.found(found),
                None => self.log_unreadable(&file.path),
            }
        }
        self.has_started = true;
        self.report_files_without_place();
        self.forget_paths();
        if has_dropped && self.added.is_empty() {
            self.positions.save();
        }
        self.save_added();
    }

    /// A file at a path of a pattern.
    fn found(&mut self, file: RotatedFile) {
        let previous = self.at_path.get(&file.path).copied();
        let is_followed = self.is_followed(file.key);
        if previous == Some(file.key) && is_followed {
            return;
        }
        if is_compressed(&file.file) {
            self.ignored.add(&file);
            return;
        }
        if let Some(position) = self.displaced.pop(&file.key).filter(|position| file.has(position))
        {
            let path = file.path.clone();
            self.at_path.insert(path.clone(), file.key);
            self.follow(file, path, Some(position.offset), false);
            return;
        }
        if file.is_weak() && !is_followed && !self.files.is_empty() {
            // It may become a copy of another file.
            self.has_undecided = true;
            return;
        }
        self.at_path.insert(file.path.clone(), file.key);
        if let Some(followed) = self.files.iter_mut().find(|followed| followed.key == file.key) {
            // Renamed to a name that matches too.
            followed.path.clone_from(&file.path);
            self.positions.change(followed.id, &file.path, followed.key, followed.first_bytes);
            return;
        }
        let file = match previous {
            None => Some(file),
            Some(previous) => self.replace(previous, file),
        };
        let Some(file) = file else { return };
        if let Some(copied) = self.files.iter().find(|followed| followed.is_copy(&file)) {
            if copied.path == file.path {
                // An edited file: which of its lines are new is unknown.
                let path = file.path.clone();
                self.follow(file, path, None, false);
            }
            return;
        }
        if let Some(previous) = previous {
            self.rotate(&file.path, previous);
            if self.is_followed(file.key) {
                // It was rotated after it was opened here, and found under its next name.
                return;
            }
        }
        let is_later = self.has_started && !self.had_no_place(&file.file);
        let is_new = previous.is_some() || is_later || self.is_created_since(&file.file);
        let from_start = is_new || self.from_start;
        let path = file.path.clone();
        self.follow(file, path, from_start.then_some(0), false);
    }

    /// Continues in a file that replaced the one at its path and has its lines, as some editors write it. Returns any
    /// other file.
    fn replace(&mut self, previous: FileKey, file: RotatedFile) -> Option<RotatedFile> {
        let followed = self
            .files
            .iter_mut()
            .find(|followed| followed.key == previous && followed.path == file.path);
        let Some(followed) = followed.filter(|followed| {
            file.begins_with(followed.first_bytes) && file.has(&followed.position())
        }) else {
            return Some(file);
        };
        if let Err(error) = followed.switch_to(file.file, false) {
            tracing::warn!("cannot read {}: {error}", followed.path.display());
        }
        self.positions.change(followed.id, &followed.path, followed.key, followed.first_bytes);
        None
    }

    /// Another file has replaced the one at this path.
    fn rotate(&mut self, path: &Path, previous: FileKey) {
        if let Some(followed) = self.files.iter_mut().find(|followed| followed.key == previous) {
            followed.is_rotated = true;
        }
        // Several rotations since the last look.
        let files = rotated_files(path);
        if let Some(previous) = files.into_iter().find(|file| file.key == previous) {
            self.follow_newer(&previous, path);
        }
    }

    /// Follows the rotated files of a path that are newer than one of them.
    pub(super) fn follow_newer(&mut self, than: &RotatedFile, path: &Path) {
        for file in rotated_files(path) {
            if file.is_newer(than) && !self.is_followed(file.key) && !self.is_copy(&file) {
                self.follow(file, path.into(), Some(0), true);
            }
        }
    }

    /// Whether the file is a copy of a followed one, made before that is truncated.
    fn is_copy(&self, file: &RotatedFile) -> bool {
        self.files.iter().any(|followed| followed.is_copy(file))
    }

    pub(super) fn is_followed(&self, key: FileKey) -> bool {
        self.files.iter().any(|followed| followed.key == key)
    }

    /// Whether the file may have existed at the start, when too many matched.
    fn had_no_place(&self, file: &File) -> bool {
        let created = file.metadata().and_then(|metadata| metadata.created());
        let Some(since) = self.limited_since else { return false };
        created.is_ok_and(|created| created < since)
    }

    /// Frees the place of a file that was written longer ago than those of the listing, if all its lines were counted.
    pub(super) fn make_place(&mut self) -> bool {
        if self.files.len() < MAX_FILES {
            return true;
        }
        let is_displaced = |file: &FollowedFile| {
            !file.is_rotated
                && !self.listed.contains(&file.key)
                && file.is_read()
                && self.positions.offset(file.id) == Some(file.offset)
        };
        let Some(at) = self.files.iter().position(is_displaced) else {
            self.without_place += 1;
            return false;
        };
        let file = self.files.remove(at);
        self.positions.forget(file.id);
        self.displaced.put(file.key, file.position());
        true
    }

    fn report_files_without_place(&mut self) {
        let files = self.without_place;
        self.meter.unfollowed_files.store(files as u64, Relaxed);
        if files > 0 && self.limited_since.replace(self.started).is_none() {
            tracing::warn!(
                files,
                "more than {MAX_FILES} files match kernel_log.files: only those that were written last are followed"
            );
        }
    }

    /// Bounds the paths whose files are known.
    fn forget_paths(&mut self) {
        if self.at_path.len() > 4 * MAX_FILES {
            let followed: HashSet<_> = self.files.iter().map(|followed| followed.key).collect();
            let listed = &self.listed;
            self.at_path.retain(|_, key| listed.contains(key) || followed.contains(key));
        }
    }

    fn log_unreadable(&mut self, path: &Path) {
        let Err(error) = open_regular(path) else { return };
        let advice = if error.kind() == io::ErrorKind::PermissionDenied {
            "; the program's user must be able to read it: add the user to the group of the file (Debian: adm), or \
             set privileges.user = \"root\""
        } else {
            ""
        };
        self.log_once(path, &format!("{error}{advice}"));
    }
}
