//! Follows log files, through their rotation and through restarts of the program.

mod compressed;
mod compressed_rest;
mod fingerprint;
mod followed_file;
mod listing;
mod pattern;
mod positions;
mod read;
mod resume;
mod rotated;
mod saved_position;
mod scan;
mod state_file;
mod watch;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lru::LruCache;

pub use pattern::Pattern;
pub use positions::Positions;
pub use saved_position::SpoolMark;
pub use state_file::create as create_state_file;

use self::{
    compressed::CompressedFiles,
    compressed_rest::CompressedRest,
    followed_file::FollowedFile,
    rotated::RotatedFile,
    saved_position::{FileKey, SavedPosition},
    state_file::{Saved, StateFile},
    watch::Watch,
};
use super::{meter::LineMeter, queue::ChunkQueue};

/// How often files are looked at without an event of inotify: network file systems have none.
const INTERVAL: Duration = Duration::from_secs(1);

/// Scans take at most one part in so many of the time, unless one takes long.
const SCAN_SHARE: u32 = 20;

/// Maximum time between a change and the scan that finds it.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Maximum number of files whose positions are kept after they made place for others.
const DISPLACED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

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
    /// Rests of compressed files, which are read before the others.
    compressed: VecDeque<CompressedRest>,
    /// Those that were read and are not counted yet, each with its end.
    read_rests: Vec<(u64, u64)>,
    /// The file that was last at each path.
    at_path: HashMap<PathBuf, FileKey>,
    ignored: CompressedFiles,
    /// The files of the latest scan: the newest that match.
    listed: HashSet<FileKey>,
    /// The positions of files that made place for newer ones, in case they are written again.
    displaced: LruCache<FileKey, SavedPosition>,
    /// Number of files of the latest scan that are not followed, because too many match.
    without_place: usize,
    started: SystemTime,
    /// Set once there was such a file in any scan: a file from before may have existed and is not new.
    limited_since: Option<SystemTime>,
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
                "cannot use {}: {error}{}; the positions in the followed log files are not kept: after a restart, \
                 they are read from their ends",
                path.display(),
                advice(path, &error)
            );
            (Arc::new(Positions::new(StateFile::none())), SavedPositions(Saved::default()))
        }
    }
}

/// How the program's user gets the file, such as after a first start as root.
fn advice(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let directory = path.parent().unwrap_or(Path::new("/")).display();
    let user = rustix::process::geteuid().as_raw();
    format!(
        "; set kernel_log.state_file to a file in a directory of the program's user (id {user}), or run: \
         chown {user} {directory} {}",
        path.display()
    )
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
            compressed: VecDeque::new(),
            read_rests: Vec::new(),
            at_path: HashMap::new(),
            ignored: CompressedFiles::default(),
            listed: HashSet::new(),
            displaced: LruCache::new(DISPLACED),
            without_place: 0,
            started: SystemTime::now(),
            limited_since: None,
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
        let mut earliest_scan = next_scan;
        loop {
            if Instant::now() >= next_scan {
                let start = Instant::now();
                self.scan();
                earliest_scan = Instant::now() + (start.elapsed() * SCAN_SHARE).min(MAX_PAUSE);
                next_scan = earliest_scan.max(Instant::now() + INTERVAL);
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
                next_scan = earliest_scan;
            }
        }
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
        if !self.make_place() {
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

    fn log_once(&mut self, path: &Path, reason: &str) {
        if self.unreadable.len() < MAX_FILES && self.unreadable.insert(path.into()) {
            tracing::warn!("cannot follow {}: {reason}", path.display());
        }
    }
}
