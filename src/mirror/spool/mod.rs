//! The spool: rows on disk, in order, until the database holds them.
//!
//! # The account
//!
//! Every row has a number in its session, and every number is counted once:
//! `appended + recovered = delivered + lost + waiting`.
//!
//! - *appended*: the rows of each successful [`Spool::append`];
//! - *recovered*: the sum of [`Spool::take_recovered`]: the numbers of earlier sessions that are not known to be
//!   delivered, including those whose bytes are damaged;
//! - *lost*: the sum of [`Portion::lost`], counted by the caller when it calls [`Spool::delivered`] with the
//!   portion's `to` or more; not before, because until then the same portion may be returned again;
//! - *delivered*: the sum of [`Spool::delivered`]: all numbers passed, except those that the last portion
//!   declared lost, once they are all passed;
//! - *waiting*: [`Spool::waiting`].
//!
//! # Files
//!
//! `directory` owns the lock and finds earlier sessions, `session` owns the segments of one run, `segment` one
//! file, `format` its bytes, `memory_buffer` the rows in memory while the disk fails: these always come after
//! all rows on disk, and are written there when it works again.

mod attach;
mod deliver;
mod directory;
mod format;
mod io_error;
mod memory_buffer;
mod open;
mod other_targets;
mod portion_reader;
mod position;
mod segment;
mod session;
mod write;

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use self::{
    directory::{DirectoryError, SpoolDirectory},
    format::{HOST_MAX, TARGET_MAX},
    io_error::explain,
    memory_buffer::MemoryBuffer,
    session::Session,
};
use super::{row::Row, store::Writer};
use crate::system::random;

pub use directory::is_spool_file;
pub use other_targets::{OtherRows, OtherTarget, rows_of_others};

/// Pause between attempts after an I/O error.
const RETRY: Duration = Duration::from_secs(1);

/// Location and size of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlan {
    /// Its directory, created when missing, for one exporter only.
    pub directory: PathBuf,
    /// Maximum bytes of all segments; 0 stores nothing on disk.
    pub max_size: u64,
    /// Name of this host in the rows of this session.
    pub host: String,
    /// The database of the rows, as [`Servers::identity`](super::target::Servers::identity) writes it.
    pub target: String,
    /// How to treat rows for another database.
    pub other_target: OtherTarget,
}

/// The rows that no database holds yet.
///
/// Rows are numbered when they are appended, counted in this session. Rows of an earlier session are
/// delivered first, under their own writer.
///
/// Dropping it, or `kill -9`, loses nothing that is on disk.
#[derive(Debug)]
pub struct Spool {
    plan: SpoolPlan,
    /// `None` while it cannot be used, and for a size of 0.
    directory: Option<SpoolDirectory>,
    earlier: VecDeque<Session>,
    present: Session,
    /// Sessions for another database, which stay.
    others: Vec<Session>,
    memory_buffer: MemoryBuffer,
    /// Number of the next appended row.
    next: u64,
    recovered: u64,
    /// A writer of an earlier session whose rows are all delivered.
    ended: Option<[u8; 16]>,
    /// How many rows each writer of an earlier session is known to have appended.
    appended: Vec<RowMark>,
    discarded: u64,
    /// The portion returned last.
    last_portion: Option<LastPortion>,
    /// The end of the batch that was sent last, if the same batch has to be sent again.
    sent: Option<RowMark>,
    io_error: Option<String>,
    /// Why rows on disk cannot be read at the moment.
    unreadable: Option<String>,
    /// When to retry the disk, or to check that the directory still exists.
    due: Instant,
    scratch: Vec<u8>,
}

/// Rows to deliver next: either rows, or numbers of lost rows, never both.
#[derive(Debug, PartialEq)]
pub struct Portion {
    /// Writer of the rows.
    pub writer: Writer,
    /// Number of the first row.
    pub from: u64,
    /// Number of the row after the last one.
    pub to: u64,
    /// The rows; empty when `lost` is not 0.
    pub rows: Vec<Row>,
    /// Number of rows that cannot be read back: 0, or all from `from` to `to`. Counted as lost once, when
    /// [`Spool::delivered`] is called with `to` or more.
    pub lost: u64,
    /// When the oldest of them was appended, microseconds since 1970.
    pub since: u64,
}

/// A point in the rows of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMark {
    /// Id of the writer.
    pub writer: [u8; 16],
    /// Number of the row after the point.
    pub end: u64,
}

/// Why rows were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The spool has its maximum size.
    #[error("the spool is full")]
    Full,
    /// The disk fails, and the memory buffer is full.
    #[error("{0}")]
    Failed(String),
}

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpoolInUse(pub String);

impl Spool {
    /// Opens the spool. An unusable directory is no error: rows then stay in memory, up to a limit, and the
    /// directory is retried. With a `max_size` of 0 the directory is not used.
    ///
    /// # Errors
    /// Another exporter uses the directory.
    pub fn open(plan: SpoolPlan) -> Result<Self, SpoolInUse> {
        let writer = Writer { id: random::id(), host: truncated(&plan.host, HOST_MAX).to_owned() };
        let target = truncated(&plan.target, TARGET_MAX).to_owned();
        let mut spool = Self {
            plan,
            directory: None,
            earlier: VecDeque::new(),
            present: Session::new(0, writer, Some(target)),
            others: Vec::new(),
            memory_buffer: MemoryBuffer::default(),
            next: 0,
            recovered: 0,
            ended: None,
            appended: Vec::new(),
            discarded: 0,
            last_portion: None,
            sent: None,
            io_error: None,
            unreadable: None,
            due: Instant::now(),
            scratch: Vec::new(),
        };
        if spool.plan.max_size > 0
            && let Err(unusable) = spool.attach()
        {
            match unusable {
                DirectoryError::InUse(why) => return Err(SpoolInUse(why)),
                DirectoryError::Io(why) => spool.fail(why),
            }
        }
        Ok(spool)
    }

    /// Appends rows. `now` is microseconds since 1970.
    ///
    /// # Errors
    /// No row was appended.
    pub fn append(&mut self, rows: &[Row], now: u64) -> Result<(), AppendError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.check_directory();
        match self.write_to_disk(rows, now) {
            write::WriteOutcome::Written => self.io_error = None,
            write::WriteOutcome::Full => return Err(AppendError::Full),
            write::WriteOutcome::Unusable => {
                if !self.memory_buffer.push(self.next, rows, now) {
                    return Err(self
                        .io_error
                        .clone()
                        .map_or(AppendError::Full, AppendError::Failed));
                }
            }
        }
        self.next += rows.len() as u64;
        Ok(())
    }

    /// The point after so many more rows.
    #[must_use]
    pub fn mark_after(&self, rows: usize) -> RowMark {
        RowMark { writer: self.present.writer.id, end: self.next + rows as u64 }
    }

    /// Whether an earlier session is known to have appended all rows before this point.
    #[must_use]
    pub fn has_appended(&self, mark: RowMark) -> bool {
        mark.end == 0
            || self
                .appended
                .iter()
                .any(|known| known.writer == mark.writer && known.end >= mark.end)
    }

    /// Number of rows that are neither delivered nor counted as lost.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let earlier =
            self.earlier.iter().map(|session| session.end() - session.delivered).sum::<u64>();
        earlier + (self.next - self.present.delivered)
    }

    /// Number of rows of earlier sessions that were found since the last call.
    pub fn take_recovered(&mut self) -> u64 {
        std::mem::take(&mut self.recovered)
    }

    /// A writer whose run was killed after its last row was delivered: the database may forget it. Returned
    /// once.
    pub fn take_ended(&mut self) -> Option<Writer> {
        let id = self.ended.take()?;
        Some(Writer { id, host: self.present.writer.host.clone() })
    }

    /// Number of rows for another database that were removed since the last call: see [`OtherTarget::Drop`].
    /// These are recovered rows, in addition to those of [`Self::take_recovered`].
    pub fn take_discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded)
    }

    /// Rows in the spool for other databases. They do not count as waiting.
    #[must_use]
    pub fn others(&self) -> Vec<OtherRows> {
        other_targets::sum(self.others.iter())
    }

    /// When the oldest row was appended, microseconds since 1970; `None` when there are none.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let session = self.earlier.front().unwrap_or(&self.present);
        session.oldest().or_else(|| self.memory_buffer.oldest())
    }

    /// Why the disk is not used at the moment, for the log.
    #[must_use]
    pub fn io_error(&self) -> Option<&str> {
        self.io_error.as_deref().or(self.unreadable.as_deref())
    }

    /// Bytes on disk, including those for other databases.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.sessions().map(Session::size).sum()
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.earlier.iter().chain([&self.present]).chain(&self.others)
    }

    /// Syncs appended rows and removed files to disk. Required before
    /// [`Store::forget`](crate::mirror::store::Store::forget): otherwise a power loss could bring removed rows
    /// back, for a database that has forgotten their writer.
    pub fn sync(&mut self) {
        let unsynced = self.present.segments.iter_mut().filter(|segment| segment.unsynced);
        let files = unsynced.map(segment::Segment::sync).fold(Ok(()), io::Result::and);
        let directory = self.directory.as_mut().map_or(Ok(()), SpoolDirectory::sync);
        if let Err(error) = files.and(directory) {
            self.io_error = Some(explain("sync", &self.plan.directory, &error));
        }
    }
}

#[derive(Debug)]
struct LastPortion {
    writer: [u8; 16],
    to: u64,
    lost: u64,
}

/// A name, truncated to at most `max` bytes at a character boundary.
fn truncated(name: &str, max: usize) -> &str {
    let end = (0..=max.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or_default()]
}
