//! The spool's folder: its lock, and what earlier lives left in it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use super::{
    format::HeaderFlaw,
    life::Life,
    position::{Position, PositionFile},
    segment::Segment,
    trouble::explain,
};

/// The folder, ours alone.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// How far the foremost life was delivered.
    pub position: PositionFile,
    /// Whether files came or went that the disk was not asked to remember yet.
    pub unsynced: bool,
    lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// Another exporter has it.
    InUse(String),
    /// The disk or its rights.
    Disk(String),
}

impl Folder {
    /// Makes the folder where it is missing, locks it and finds what earlier lives left. Segments at
    /// one of the `known` paths are left out.
    pub fn open(path: &Path, known: &HashSet<PathBuf>) -> Result<(Self, Found), Unusable> {
        let disk = |what| move |error: io::Error| Unusable::Disk(explain(what, path, &error));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(disk("make it"))?;
        let lock = lock(path).map_err(|error| match error {
            LockError::Held(pid) => Unusable::InUse(in_use(path, &pid)),
            LockError::Disk(error) => Unusable::Disk(explain("make the file lock", path, &error)),
        })?;
        let (position, delivered) = PositionFile::open(path);
        let segments = segments(path, known).map_err(disk("read the segments"))?;
        let folder = Self { path: path.to_owned(), position, unsynced: true, lock };
        Ok((folder, Found::new(segments, delivered)))
    }

    /// Whether the folder, or the lock in it, was removed, replaced or unmounted under our feet.
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

    /// Asks the disk to remember which files there are.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            File::open(&self.path)?.sync_all()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// What earlier lives left.
#[derive(Debug)]
pub struct Found {
    /// Lives with rows to deliver, in their order.
    pub lives: VecDeque<Life>,
    /// A number for the next life.
    pub next_life: u64,
    /// The writer that was delivered last, if none of its rows is left: a run that was killed.
    pub ended: Option<[u8; 16]>,
}

impl Found {
    fn new(segments: Vec<Segment>, position: Option<Position>) -> Self {
        let mut by_writer: HashMap<[u8; 16], Vec<Segment>> = HashMap::new();
        let mut next_life = 0;
        for segment in segments {
            next_life = next_life.max(segment.header.life + 1);
            by_writer.entry(segment.header.writer.id).or_default().push(segment);
        }
        let mut lives: Vec<_> = by_writer.into_values().filter_map(life).collect();
        lives.sort_by_key(|life| (life.number, life.writer.id));
        if let Some(position) = position {
            pass_over(&mut lives, position);
        }
        lives.retain_mut(|life| {
            // What cannot be removed now is seen again at the next start.
            let _ = life.pass(life.delivered, false);
            life.segments.iter_mut().for_each(Segment::release);
            !life.segments.is_empty()
        });
        let ended = position.map(|position| position.writer);
        let ended = ended.filter(|ended| lives.iter().all(|life| life.writer.id != *ended));
        Self { lives: lives.into(), next_life, ended }
    }
}

/// Takes note of what was delivered. A position beyond a life's rows is not believed: the database
/// knows better.
fn pass_over(lives: &mut [Life], position: Position) {
    let at = lives.iter().position(|life| life.writer.id == position.writer);
    if let Some(at) = at.filter(|at| position.delivered <= lives[*at].end()) {
        lives[at].delivered = position.delivered;
        let target = lives[at].target.clone();
        // Sessions of another database may wait before it.
        for life in lives[..at].iter_mut().filter(|life| life.target == target) {
            life.delivered = life.end();
        }
    }
}

/// Puts the segments of one writer in their order.
fn life(mut segments: Vec<Segment>) -> Option<Life> {
    segments.sort_by_key(|segment| (segment.header.first, u64::MAX - segment.bytes));
    let mut ordered: VecDeque<Segment> = VecDeque::new();
    for segment in segments {
        match ordered.back_mut() {
            Some(last) if last.header.first == segment.header.first => {
                set_aside(&segment.path, "it is a copy of another one");
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
    let number = ordered.iter().map(|segment| segment.header.life).min()?;
    let front = ordered.front()?;
    let mut life = Life::new(number, front.header.writer.clone(), front.header.target.clone());
    life.delivered = front.header.first;
    life.segments = ordered;
    Some(life)
}

/// The segments in the folder whose headers can be read.
fn segments(folder: &Path, known: &HashSet<PathBuf>) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        if !is_segment || known.contains(&path) || !entry.file_type()?.is_file() {
            continue;
        }
        let found = match Segment::find(path.clone()) {
            Err(error) if !is_lack_of_resources(&error) => {
                tracing::error!("the spool's segment {} is passed over: {error}", path.display());
                continue;
            }
            found => found?,
        };
        match found {
            Ok(segment) => segments.push(segment),
            // The exporter was killed when it made the file.
            Err(HeaderFlaw::Broken) if entry.metadata()?.len() == 0 => {
                let _ = fs::remove_file(&path);
            }
            Err(HeaderFlaw::Broken) => set_aside(&path, "its header is broken"),
            Err(HeaderFlaw::Version(version)) => {
                set_aside(
                    &path,
                    &format!("it has version {version} of the format, not known here"),
                );
            }
        }
    }
    Ok(segments)
}

/// Whether opening any file would fail the same way: then nothing is known about this one.
fn is_lack_of_resources(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// Renames a file so that it is kept for somebody to look at, and not read again.
fn set_aside(path: &Path, why: &str) {
    let aside = (0..1000)
        .map(|number| path.with_extension(format!("seg.aside{number}")))
        .find(|aside| fs::symlink_metadata(aside).is_err());
    let renamed = aside.as_ref().is_some_and(|aside| fs::rename(path, aside).is_ok());
    let (path, aside) = (path.display(), aside.unwrap_or_default());
    if renamed {
        tracing::warn!("the spool's segment {path} is set aside as {}: {why}", aside.display());
    } else {
        tracing::warn!("the spool's segment {path} is passed over: {why}");
    }
}

enum LockError {
    Held(String),
    Disk(io::Error),
}

/// Takes the lock, which the kernel frees when this process ends, however it ends.
fn lock(folder: &Path) -> Result<File, LockError> {
    let mut lock = open_file(&folder.join("lock")).map_err(LockError::Disk)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            // Only told to whom the lock is refused; a full disk may lack room for it.
            let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", process::id()));
            Ok(lock)
        }
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let read = lock.take(20).read_to_string(&mut pid);
            let number = pid.trim().parse::<u32>().ok().filter(|_| read.is_ok());
            Err(LockError::Held(number.map_or("unknown".to_owned(), |number| number.to_string())))
        }
        Err(error) => Err(LockError::Disk(error.into())),
    }
}

fn in_use(folder: &Path, pid: &str) -> String {
    format!(
        "the spool's folder {} is in use by another exporter (process id {pid}): stop that one, or \
         give this one a folder of its own by mirror.spool.directory",
        folder.display()
    )
}

/// Opens a file of ours to read and write it, and makes it where it is missing.
pub fn open_file(path: &Path) -> io::Result<File> {
    options().write(true).create(true).truncate(false).open(path)
}

/// Makes a file that must not exist.
pub fn create_file(path: &Path) -> io::Result<File> {
    options().write(true).create_new(true).open(path)
}

/// Opens a file to read it.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    options().open(path)
}

/// A link or a pipe that somebody put in a file's place is not followed, and not waited for.
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are positive")]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    options
}
