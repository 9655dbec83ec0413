//! Follows log files, through their rotation and through restarts of the program.

mod fingerprint;
mod followed_file;
mod pattern;
mod positions;
mod resume;
mod rotated;
mod saved_position;
mod state_file;
mod watch;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use pattern::Pattern;
pub use positions::Positions;
pub use saved_position::SpoolMark;
pub use state_file::create as create_state_file;

use self::{
    followed_file::{FileRead, FollowedFile},
    rotated::{RotatedFile, rotated_files},
    saved_position::{FileKey, SavedPosition},
    state_file::{Saved, StateFile},
    watch::Watch,
};
use super::{
    checkpoint::Checkpoint,
    meter::{Input, LineMeter},
    queue::{Chunk, ChunkQueue},
};
use crate::{source::log::packet_line::SkipReason, system::files::open_regular};

/// How often files are looked at without an event of inotify: network file systems have none.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a rotated file can still be written: a daemon closes it when logrotate signals it.
const ROTATED_FOR: Duration = Duration::from_secs(60);

/// How long the rest of a line in a rotated file is waited for.
const LAST_LINE: Duration = Duration::from_secs(5);

/// Maximum number of followed files.
pub(super) const MAX_FILES: usize = 1024;

/// Follows the files of some patterns. Its work is that of one thread.
pub(super) struct Follower {
    patterns: Vec<Pattern>,
    from_start: bool,
    queue: Arc<ChunkQueue>,
    meter: Arc<LineMeter>,
    positions: Arc<Positions>,
    watch: Watch,
    /// In the order in which they are read.
    files: Vec<FollowedFile>,
    /// The file that was last at each path.
    at_path: HashMap<PathBuf, FileKey>,
    /// Files that are not followed: compressed ones, and those that cannot be read.
    ignored: HashSet<FileKey>,
    /// Paths whose files cannot be opened, to log each once.
    unreadable: HashSet<PathBuf>,
    /// Files that are followed since the positions were saved, each with its offset.
    added: Vec<(PathBuf, u64)>,
    /// Whether there is a file with too few bytes to know what it is.
    has_undecided: bool,
    next_id: u64,
    saved: Saved,
    /// The saved positions of files that cannot be read now, each with its number.
    waiting: Vec<(u64, SavedPosition)>,
    has_started: bool,
}

/// Opens the file with the positions; `has_spooled` returns whether an earlier run spooled all rows before a point.
/// Without the file, positions are not kept.
pub(super) fn open_positions(
    path: &Path,
    has_spooled: &dyn Fn(SpoolMark) -> bool,
) -> (Arc<Positions>, SavedPositions) {
    match StateFile::open(path, has_spooled) {
        Ok((file, saved)) => (Arc::new(Positions::new(file)), SavedPositions(saved)),
        Err(error) => {
            tracing::warn!(
                "cannot use {}: {error}; the positions in the followed log files are not kept: after a restart, \
                 they are read from their ends",
                path.display()
            );
            (Arc::new(Positions::new(StateFile::none())), SavedPositions(Saved::default()))
        }
    }
}

/// The positions of an earlier run.
pub(super) struct SavedPositions(Saved);

impl Follower {
    pub fn new(
        patterns: Vec<Pattern>,
        from_start: bool,
        (queue, meter): (Arc<ChunkQueue>, Arc<LineMeter>),
        (positions, saved): (Arc<Positions>, SavedPositions),
    ) -> Self {
        Self {
            patterns,
            from_start,
            queue,
            meter,
            positions,
            watch: Watch::new(),
            files: Vec::new(),
            at_path: HashMap::new(),
            ignored: HashSet::new(),
            unreadable: HashSet::new(),
            added: Vec::new(),
            has_undecided: false,
            next_id: 1,
            saved: saved.0,
            waiting: Vec::new(),
            has_started: false,
        }
    }

    /// Follows the files until the queue is stopped.
    pub fn run(mut self) -> io::Result<()> {
        let mut next_scan = Instant::now();
        loop {
            if Instant::now() >= next_scan {
                self.scan();
                next_scan = Instant::now() + INTERVAL;
            }
            if !self.read_all() {
                return Ok(());
            }
            let wait = next_scan.saturating_duration_since(Instant::now());
            if !self.queue.wait(self.watch.descriptor(), Some(wait))? {
                return Ok(());
            }
            let changes = self.watch.changes();
            if changes.names || (changes.contents && self.has_undecided) {
                next_scan = Instant::now();
            }
        }
    }

    /// Looks for new, renamed and replaced files.
    fn scan(&mut self) {
        for pattern in &self.patterns {
            self.watch.add(pattern.directory());
        }
        let paths: Vec<_> = self.patterns.iter().flat_map(Pattern::files).collect();
        let has_dropped = self.resume(&paths);
        self.has_undecided = false;
        for path in paths {
            let is_named =
                self.patterns.iter().any(|pattern| pattern.path().as_ref() == Some(&path));
            let open = if is_named { rotated::open } else { rotated::open_without_link };
            match open(&path) {
                Some(found) => {
                    self.found(found);
                }
                None => self.log_unreadable(&path),
            }
        }
        self.has_started = true;
        if has_dropped && self.added.is_empty() {
            self.positions.save();
        }
        self.save_added();
    }

    /// A file at a path of a pattern.
    fn found(&mut self, file: RotatedFile) {
        let previous = self.at_path.get(&file.path).copied();
        let is_followed = self.is_followed(file.key);
        if previous == Some(file.key) && is_followed || self.ignored.contains(&file.key) {
            return;
        }
        if is_compressed(&file.file) {
            self.ignored.insert(file.key);
            tracing::info!("{}: not followed, because it is compressed", file.path.display());
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
        let is_new = previous.is_some() || self.has_started || self.is_created_since(&file.file);
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
    fn follow_newer(&mut self, than: &RotatedFile, path: &Path) {
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

    fn is_followed(&self, key: FileKey) -> bool {
        self.files.iter().any(|followed| followed.key == key)
    }

    /// Whether the file was created while the program was not running.
    fn is_created_since(&self, file: &File) -> bool {
        let created = file.metadata().and_then(|metadata| metadata.created());
        let Some(saved) = self.saved.time else { return false };
        created.is_ok_and(|created| created > saved && created < SystemTime::now())
    }

    /// Follows a file, whose path before its rotation is given, from an offset on; `None` for its end.
    fn follow(
        &mut self,
        found: RotatedFile,
        live_path: PathBuf,
        offset: Option<u64>,
        is_rotated: bool,
    ) {
        if self.files.len() == MAX_FILES {
            self.log_once(&found.path, &format!("{MAX_FILES} files are followed"));
            return;
        }
        let RotatedFile { path, file, .. } = found;
        let opened = FollowedFile::new(self.next_id, live_path, file, offset.unwrap_or(0));
        let opened = opened.and_then(|mut followed| {
            if offset.is_none() {
                followed.skip_to_end()?;
            }
            Ok(followed)
        });
        match opened {
            Ok(mut followed) => {
                followed.is_rotated = is_rotated;
                self.next_id += 1;
                self.positions.set(followed.id, followed.position());
                self.added.push((path, followed.offset));
                self.files.push(followed);
            }
            Err(error) => tracing::warn!("cannot read {}: {error}", path.display()),
        }
    }

    /// Saves the positions of new files. All at once, so that none is missing after a kill.
    fn save_added(&mut self) {
        if self.added.is_empty() {
            return;
        }
        self.positions.save();
        for (file, offset) in self.added.drain(..) {
            tracing::info!(file = %file.display(), offset, "following a log file");
        }
    }

    /// Reads all files to their ends; false if the queue is stopped.
    fn read_all(&mut self) -> bool {
        let mut at = 0;
        while at < self.files.len() {
            match self.read_to_end(at) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let path = self.files[at].path.clone();
                    self.log_once(&path, &error.to_string());
                }
            }
            if self.is_finished(at) {
                let file = self.files.remove(at);
                self.positions.forget(file.id);
                // Another file can get its number.
                self.at_path.retain(|_, key| *key != file.key);
            } else {
                at += 1;
            }
        }
        true
    }

    fn read_to_end(&mut self, at: usize) -> io::Result<bool> {
        loop {
            let file = &mut self.files[at];
            let is_last = file.is_rotated && file.last_lines.elapsed() > LAST_LINE;
            let before = file.first_bytes;
            let read = if is_last { file.read_rest()? } else { file.read()? };
            if file.first_bytes != before {
                self.positions.change(file.id, &file.path, file.key, file.first_bytes);
            }
            match read {
                FileRead::Lines(lines) => {
                    let chunk = Chunk {
                        lines,
                        input: Input::File,
                        stream: file.id,
                        sender: None,
                        checkpoint: Some(Checkpoint { id: file.id, offset: file.offset }),
                    };
                    if !self.queue.push(chunk) {
                        return Ok(false);
                    }
                }
                FileRead::TooLong => {
                    self.meter.count(Input::File, 1);
                    self.meter.skip(SkipReason::TooLong, 1);
                }
                FileRead::Skipped => {}
                FileRead::End => return Ok(true),
                FileRead::Truncated => self.truncated(at)?,
            }
            if self.queue.is_stopped() {
                return Ok(false);
            }
        }
    }

    /// Continues after a truncation: in the copy that was made before it, if there is one, and at the start of the file.
    fn truncated(&mut self, at: usize) -> io::Result<()> {
        let file = &mut self.files[at];
        let before = file.position();
        let (path, offset) = (file.path.clone(), file.offset);
        let copy = rotated_files(&path).into_iter().find(|copy| {
            copy.key != before.key && copy.begins_with(before.first_bytes) && copy.has(&before)
        });
        tracing::info!(file = %path.display(), offset, copied = copy.is_some(), "a log file was truncated");
        let previous = file.id;
        let Some(copy) = copy else {
            file.restart(self.next_id)?;
            self.next_id += 1;
            self.positions.forget(previous);
            self.positions.set(file.id, file.position());
            self.positions.save();
            return Ok(());
        };
        file.switch_to(copy.file, true)?;
        self.positions.change(file.id, &file.path, file.key, file.first_bytes);
        let current = rotated::open(&path).filter(|current| current.key == before.key);
        if let Some(current) = current {
            let count = self.files.len();
            self.follow(current, path, Some(0), false);
            // Read after its copy.
            self.save_added();
            let added = self.files.len() - count;
            self.files[at + 1..].rotate_right(added);
        }
        Ok(())
    }

    /// Whether a file has no more lines, and all were handed over.
    fn is_finished(&self, at: usize) -> bool {
        let file = &self.files[at];
        // A file at a path of a pattern would be found again, and one that was replaced was not looked at yet.
        let is_here = |(path, key): (&PathBuf, &FileKey)| *key == file.key && path.exists();
        if self.at_path.iter().any(is_here) {
            return false;
        }
        let is_old = file.is_rotated && file.last_lines.elapsed() > ROTATED_FOR;
        let is_over = is_old || file.is_removed();
        is_over && self.positions.offset(file.id).is_none_or(|offset| offset >= file.offset)
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

    fn log_once(&mut self, path: &Path, reason: &str) {
        if self.unreadable.len() < MAX_FILES && self.unreadable.insert(path.into()) {
            tracing::warn!("cannot follow {}: {reason}", path.display());
        }
    }
}

/// Whether the file is compressed: gzip, zstd, xz or bzip2.
fn is_compressed(file: &File) -> bool {
    let mut first = [0; 4];
    let read = file.read_at(&mut first, 0);
    let is_magic = matches!(
        first,
        [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd]
            | [0xfd, b'7', b'z', b'X']
            | [b'B', b'Z', b'h', _]
    );
    read.is_ok() && is_magic
}
