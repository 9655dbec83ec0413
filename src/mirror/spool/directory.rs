//! The spool's directory: its lock, and the sessions that earlier runs left in it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    process,
};

use rustix::io::Errno;

use super::{
    RowMark,
    format::HeaderError,
    io_error::explain,
    open::open_file,
    position::{Position, PositionFile},
    segment::Segment,
    session::Session,
};
use crate::{
    mirror::target::is_same_database,
    sort::sort_by_key,
    system::locked_file::{LockError, LockedFile},
};

/// The directory, locked for this process.
#[derive(Debug)]
pub struct SpoolDirectory {
    /// Its path.
    pub path: PathBuf,
    /// How far the first session is delivered.
    pub position: PositionFile,
    /// Whether files were created or removed since the last sync.
    pub unsynced: bool,
    lock: LockedFile,
}

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// Another exporter uses it.
    InUse(String),
    /// An I/O error.
    Io(String),
}

impl SpoolDirectory {
    /// Creates the directory if it is missing, locks it and finds the segments of earlier sessions, except
    /// those at the `known` paths.
    pub fn open(
        path: &Path,
        known: &HashSet<PathBuf>,
    ) -> Result<(Self, FoundSessions), DirectoryError> {
        let disk = |what| move |error: io::Error| DirectoryError::Io(explain(what, path, &error));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(disk("create it"))?;
        let lock = lock(path).map_err(|error| match error {
            LockError::Held(file) => DirectoryError::InUse(in_use(path, file)),
            LockError::Io(error) => {
                DirectoryError::Io(explain("create the file lock", path, &error))
            }
        })?;
        let (position, delivered, sent) = PositionFile::open(path);
        let segments = segments(path, known).map_err(disk("read the segments"))?;
        let directory = Self { path: path.to_owned(), position, unsynced: true, lock };
        Ok((directory, FoundSessions { sent, ..FoundSessions::new(segments, delivered) }))
    }

    /// Whether the directory or its lock file was removed, replaced or unmounted.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let same = |(ours, there): (Metadata, Metadata)| {
            (ours.dev(), ours.ino()) == (there.dev(), there.ino())
        };
        let there = fs::symlink_metadata(self.path.join("lock"));
        match self.lock.metadata().and_then(|ours| Ok((ours, there?))) {
            Ok(both) => !same(both),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Syncs the entries of the directory to disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            File::open(&self.path)?.sync_all()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// What earlier runs left.
#[derive(Debug)]
pub struct FoundSessions {
    /// Sessions with rows to deliver, in order.
    pub sessions: VecDeque<Session>,
    /// Number for the next session.
    pub next_session: u64,
    /// The writer that was delivered last, if none of its rows is left: its run was killed.
    pub ended: Option<[u8; 16]>,
    /// How many rows each writer is known to have appended, also those that are delivered.
    pub appended: Vec<RowMark>,
    /// The end of the batch that was sent last.
    pub sent: Option<RowMark>,
}

impl FoundSessions {
    fn new(segments: Vec<Segment>, position: Option<Position>) -> Self {
        let mut by_writer: HashMap<[u8; 16], Vec<Segment>> = HashMap::new();
        let mut next_session = 0;
        for segment in segments {
            next_session = next_session.max(segment.header.session + 1);
            by_writer.entry(segment.header.writer.id).or_default().push(segment);
        }
        let mut sessions: Vec<_> = by_writer.into_values().filter_map(session).collect();
        sort_by_key(&mut sessions, |session| (session.number, session.writer.id));
        if let Some(position) = position {
            pass_over(&mut sessions, position);
        }
        let of_session =
            |session: &Session| RowMark { writer: session.writer.id, end: session.end() };
        let delivered =
            position.map(|position| RowMark { writer: position.writer, end: position.delivered });
        let appended = sessions.iter().map(of_session).chain(delivered).collect();
        sessions.retain_mut(|session| {
            // A file that cannot be removed now is removed at the next start.
            let _ = session.pass(session.delivered, false);
            session.segments.iter_mut().for_each(Segment::release);
            !session.segments.is_empty()
        });
        let ended = position.map(|position| position.writer);
        let ended =
            ended.filter(|ended| sessions.iter().all(|session| session.writer.id != *ended));
        Self { sessions: sessions.into(), next_session, ended, appended, sent: None }
    }
}

/// Applies the recorded position. A position after a session's last row is ignored: the database is
/// authoritative.
fn pass_over(sessions: &mut [Session], position: Position) {
    let at = sessions.iter().position(|session| session.writer.id == position.writer);
    if let Some(at) = at.filter(|at| position.delivered <= sessions[*at].end()) {
        sessions[at].delivered = position.delivered;
        let target = sessions[at].target.clone();
        let is_same = |other: &Option<String>| match (other, &target) {
            (Some(other), Some(target)) => is_same_database(other, target),
            (other, target) => other == target,
        };
        // Sessions for another database may still wait.
        for session in sessions[..at].iter_mut().filter(|session| is_same(&session.target)) {
            session.delivered = session.end();
        }
    }
}

/// Orders the segments of one writer.
fn session(mut segments: Vec<Segment>) -> Option<Session> {
    sort_by_key(&mut segments, |segment| (segment.header.first, u64::MAX - segment.bytes));
    let mut ordered: VecDeque<Segment> = VecDeque::new();
    for segment in segments {
        match ordered.back_mut() {
            Some(last) if last.header.first == segment.header.first => {
                set_aside(&segment.path, "it duplicates another segment");
            }
            Some(last) => {
                last.end = segment.header.first;
                ordered.push_back(segment);
            }
            None => ordered.push_back(segment),
        }
    }
    let last = ordered.back_mut()?;
    last.end = last.walk_to_end();
    let number = ordered.iter().map(|segment| segment.header.session).min()?;
    let front = ordered.front()?;
    let mut session =
        Session::new(number, front.header.writer.clone(), front.header.target.clone());
    session.delivered = front.header.first;
    session.segments = ordered;
    Some(session)
}

/// The segments in the directory with a valid header.
fn segments(directory: &Path, known: &HashSet<PathBuf>) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        if !is_segment || known.contains(&path) || !entry.file_type()?.is_file() {
            continue;
        }
        let found = match Segment::find(path.clone()) {
            Err(error) if !is_lack_of_resources(&error) => {
                tracing::error!("skipped the spool's segment {}: {error}", path.display());
                continue;
            }
            found => found?,
        };
        match found {
            Ok(segment) => segments.push(segment),
            // The exporter was killed while it created the file.
            Err(HeaderError::Damaged) if entry.metadata()?.len() == 0 => {
                let _ = fs::remove_file(&path);
            }
            Err(HeaderError::Damaged) => set_aside(&path, "its header is damaged"),
            Err(HeaderError::Version(version)) => {
                set_aside(&path, &format!("its format version {version} is unknown"));
            }
        }
    }
    Ok(segments)
}

/// Whether opening any file would fail the same way: nothing is known about this one then.
fn is_lack_of_resources(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// Whether a file in a spool's directory has the name of one of the spool.
#[must_use]
pub fn is_spool_file(name: &OsStr) -> bool {
    let name = name.as_bytes();
    matches!(name, b"lock" | b"position" | b"unmarked")
        || name.ends_with(b".seg")
        || memchr::memmem::find(name, b".seg.aside").is_some()
}

/// Renames a file, so that it is kept for inspection and not read again.
fn set_aside(path: &Path, why: &str) {
    let aside = (0..1000)
        .map(|number| path.with_extension(format!("seg.aside{number}")))
        .find(|aside| fs::symlink_metadata(aside).is_err());
    let renamed = aside.as_ref().is_some_and(|aside| fs::rename(path, aside).is_ok());
    let (path, aside) = (path.display(), aside.unwrap_or_default());
    if renamed {
        tracing::warn!("renamed the spool's segment {path} to {}: {why}", aside.display());
    } else {
        tracing::warn!("skipped the spool's segment {path}: {why}");
    }
}

/// Takes the lock, which ends with this process at the latest.
fn lock(directory: &Path) -> Result<LockedFile, LockError> {
    let lock = LockedFile::new(open_file(&directory.join("lock")).map_err(LockError::Io)?)?;
    // The process id is for messages only; a full disk may have no room for it.
    let _ = lock.set_len(0).and_then(|()| writeln!(&*lock, "{}", process::id()));
    Ok(lock)
}

fn in_use(directory: &Path, lock: File) -> String {
    let mut pid = String::new();
    let read = lock.take(20).read_to_string(&mut pid);
    let pid = pid.trim().parse::<u32>().ok().filter(|_| read.is_ok());
    let pid = pid.map_or("unknown".to_owned(), |pid| pid.to_string());
    format!(
        "the spool's directory {} is in use by another exporter (process id {pid}): stop it, or set \
         mirror.spool.directory to another directory",
        directory.display()
    )
}
