//! The spool: rows on their way to the database, on disk, in order, until it holds them.
//!
//! # The account
//!
//! Every row has a number in its life, and every number is counted once:
//! `appended + recovered = delivered + lost + waiting`.
//!
//! - *appended*: the rows of each [`Spool::append`] that was not refused;
//! - *recovered*: what [`Spool::take_recovered`] returns, summed up: the numbers of earlier lives
//!   that are not known to be delivered, also those whose bytes turn out to be broken;
//! - *lost*: the sum of [`Portion::lost`], each counted by whoever took the portion when it calls
//!   [`Spool::delivered`] with the portion's `to` or more; not before, because until then the same
//!   portion may be given again;
//! - *delivered*: what [`Spool::delivered`] returns, summed up: all numbers passed but those that the
//!   portion given last declared lost, if they were all passed;
//! - *waiting*: [`Spool::waiting`].
//!
//! # How it is kept
//!
//! `folder` has the lock and what earlier lives left, `life` the segments of one run, `segment`
//! one file, `format` its bytes, `tail` the rows in memory while the disk does not
//! take them: always behind all rows on disk, and written there when it takes them again.

mod folder;
mod format;
mod life;
mod others;
mod position;
mod reading;
mod segment;
mod tail;
mod trouble;
mod write;

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    path::PathBuf,
    process,
    time::{Duration, Instant, SystemTime},
};

use self::{
    folder::{Folder, Unusable},
    format::{HOST_MAX, TARGET_MAX},
    life::Life,
    position::Position,
    reading::Reading,
    tail::Tail,
    trouble::explain,
};
use super::{row::Row, store::Writer};

pub use others::{OtherRows, OtherTarget, rows_of_others};

/// How long the disk is left alone after it failed.
const RETRY: Duration = Duration::from_secs(1);

/// Where the spool is and how big it may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolPlan {
    /// Its folder, made when missing, for one exporter alone.
    pub directory: PathBuf,
    /// Most bytes of all segments; 0 keeps nothing on disk.
    pub max_size: u64,
    /// Name of this host, for the rows of this life.
    pub host: String,
    /// The database that gets the rows, as [`Target::identity`](super::Target::identity) writes it.
    pub target: String,
    /// What becomes of rows that are for another one.
    pub other_target: OtherTarget,
}

/// The rows that no database holds yet.
///
/// Rows get a number when they are appended, counted over this life of the exporter. What an earlier
/// life left is delivered first, under its own writer.
///
/// Dropping it, or a `kill -9`, loses nothing that is on disk.
#[derive(Debug)]
pub struct Spool {
    plan: SpoolPlan,
    /// `None` while it cannot be used, and for a plan without a size.
    folder: Option<Folder>,
    earlier: VecDeque<Life>,
    present: Life,
    /// Sessions whose rows are for another database, and stay.
    others: Vec<Life>,
    tail: Tail,
    /// Number of the next row to be appended.
    next: u64,
    recovered: u64,
    /// A writer of an earlier session whose rows are all delivered.
    ended: Option<[u8; 16]>,
    discarded: u64,
    /// The portion given last.
    given: Option<Given>,
    trouble: Option<String>,
    /// Why rows on disk cannot be read at the moment.
    unreadable: Option<String>,
    /// When the disk may be tried again, or looked at whether it is still ours.
    due: Instant,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Given {
    writer: [u8; 16],
    to: u64,
    lost: u64,
}

/// Rows to deliver next: either rows, or numbers of rows that are lost, never both.
#[derive(Debug, PartialEq)]
pub struct Portion {
    /// Whose rows these are.
    pub writer: Writer,
    /// Number of the first row.
    pub from: u64,
    /// Number of the row behind the last one.
    pub to: u64,
    /// The rows; none when `lost` is not 0.
    pub rows: Vec<Row>,
    /// How many rows cannot be read back: 0, or all from `from` to `to`. Counted as lost once, when
    /// [`Spool::delivered`] is called with `to` or more.
    pub lost: u64,
    /// When the oldest of them was appended, microseconds since 1970.
    pub since: u64,
}

/// Why rows were not appended.
#[derive(Debug, thiserror::Error)]
pub enum SpoolRefusal {
    /// The spool has its full size.
    #[error("the spool is full")]
    Full,
    /// The disk does not take them, and memory has as many as it may.
    #[error("{0}")]
    Failed(String),
}

/// Why there can be no spool at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpoolInUse(pub String);

impl Spool {
    /// Opens the spool. A folder that cannot be used is no error: rows are then kept in memory, a few,
    /// and the folder is tried again now and then. With a `max_size` of 0 the folder is not looked at.
    ///
    /// # Errors
    /// Another exporter uses the folder.
    pub fn open(plan: SpoolPlan) -> Result<Self, SpoolInUse> {
        let writer = Writer { id: random_id(), host: cut(&plan.host, HOST_MAX).to_owned() };
        let target = cut(&plan.target, TARGET_MAX).to_owned();
        let mut spool = Self {
            plan,
            folder: None,
            earlier: VecDeque::new(),
            present: Life::new(0, writer, Some(target)),
            others: Vec::new(),
            tail: Tail::default(),
            next: 0,
            recovered: 0,
            ended: None,
            discarded: 0,
            given: None,
            trouble: None,
            unreadable: None,
            due: Instant::now(),
            scratch: Vec::new(),
        };
        if spool.plan.max_size > 0
            && let Err(unusable) = spool.attach()
        {
            match unusable {
                Unusable::InUse(why) => return Err(SpoolInUse(why)),
                Unusable::Disk(why) => spool.fail(why),
            }
        }
        Ok(spool)
    }

    /// Puts rows behind the others. `now` is microseconds since 1970.
    ///
    /// # Errors
    /// Nothing of them was taken.
    pub fn append(&mut self, rows: &[Row], now: u64) -> Result<(), SpoolRefusal> {
        if rows.is_empty() {
            return Ok(());
        }
        self.look_after_the_folder();
        match self.write_to_disk(rows, now) {
            write::Outcome::Written => self.trouble = None,
            write::Outcome::Full => return Err(SpoolRefusal::Full),
            write::Outcome::Unusable => {
                if !self.tail.push(self.next, rows, now) {
                    return Err(self
                        .trouble
                        .clone()
                        .map_or(SpoolRefusal::Full, SpoolRefusal::Failed));
                }
            }
        }
        self.next += rows.len() as u64;
        Ok(())
    }

    /// The oldest rows that are not delivered; `None` when there are none, or when they cannot be read
    /// at the moment, which [`Self::trouble`] explains.
    ///
    /// They are what was appended at once, or more than that while it is no more than `most`. Asked
    /// again without [`Self::delivered`] in between it gives the same rows, whatever `most` is.
    pub fn next(&mut self, most: usize) -> Option<Portion> {
        self.look_after_the_folder();
        let life = self.earlier.front_mut().unwrap_or(&mut self.present);
        let (writer, from) = (life.writer.clone(), life.delivered);
        let again =
            self.given.as_ref().filter(|given| given.writer == writer.id && given.to > from);
        let (most, limit) = again.map_or((most, u64::MAX), |given| (usize::MAX, given.to));
        let mut reading = Reading::new(from, most, limit);
        match life.read(&mut reading) {
            // Rows in memory are behind all of this life's rows on disk.
            Ok(true) if self.earlier.is_empty() => self.tail.read(&mut reading),
            Ok(_) => {}
            Err(error) => {
                self.unreadable = Some(explain("read a segment", &self.plan.directory, &error));
                return None;
            }
        }
        self.unreadable = None;
        let Reading { rows, next, since, lost, .. } = reading;
        let portion = match lost {
            None if rows.is_empty() => return None,
            None => Portion { writer, from, to: next, rows, lost: 0, since },
            Some(to) => {
                let since = self.oldest().unwrap_or_default();
                Portion { writer, from, to, rows, lost: to - from, since }
            }
        };
        self.given = Some(Given { writer: portion.writer.id, to: portion.to, lost: portion.lost });
        Some(portion)
    }

    /// Whose rows come next, and how many of that life are known to be delivered.
    #[must_use]
    pub fn position(&self) -> (Writer, u64) {
        let life = self.earlier.front().unwrap_or(&self.present);
        (life.writer.clone(), life.delivered)
    }

    /// Whether these are rows of an earlier session.
    #[must_use]
    pub fn is_earlier(&self, writer: &Writer) -> bool {
        self.earlier.iter().any(|life| life.writer.id == writer.id)
    }

    /// The database holds this writer's rows up to this number: they go, also those that were not
    /// asked for yet. Returns how many rows that were, without those that the portion given last
    /// declared lost when all of it is passed.
    pub fn delivered(&mut self, writer: &Writer, to: u64) -> u64 {
        let earlier = self.earlier.iter().position(|life| life.writer.id == writer.id);
        let is_front = earlier == Some(0) || self.earlier.is_empty();
        let (life, end) = match earlier {
            Some(index) => {
                let life = &mut self.earlier[index];
                let end = life.end();
                (life, end)
            }
            None if writer.id == self.present.writer.id => (&mut self.present, self.next),
            None => return 0,
        };
        let to = to.min(end);
        if to <= life.delivered {
            return 0;
        }
        let passed = to - life.delivered;
        let position = Position { life: life.number, writer: writer.id, delivered: to };
        let mut noted = Ok(());
        if let Some(folder) = self.folder.as_mut().filter(|_| is_front) {
            // Before any file goes: a life without a position counts from its first file.
            noted = folder.position.write(position);
            folder.unsynced = true;
        }
        let noted = noted.and(life.pass(to, earlier.is_none()));
        match earlier {
            Some(index) if self.earlier[index].segments.is_empty() => {
                self.earlier.remove(index);
            }
            Some(_) => {}
            None => self.tail.pass(to),
        }
        if let Err(error) = noted {
            self.trouble = Some(explain("change files", &self.plan.directory, &error));
        }
        let given = self.given.take_if(|given| given.writer == writer.id);
        passed - given.filter(|given| to >= given.to).map_or(0, |given| given.lost)
    }

    /// How many rows are neither delivered nor passed over as lost.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let earlier = self.earlier.iter().map(|life| life.end() - life.delivered).sum::<u64>();
        earlier + (self.next - self.present.delivered)
    }

    /// Rows that an earlier life left, found since this was last asked.
    pub fn take_recovered(&mut self) -> u64 {
        std::mem::take(&mut self.recovered)
    }

    /// A writer whose session was killed after its last row was delivered: the database may forget it.
    /// Returned once.
    pub fn take_ended(&mut self) -> Option<Writer> {
        let id = self.ended.take()?;
        Some(Writer { id, host: self.present.writer.host.clone() })
    }

    /// Rows for another database that were removed since this was last asked: see [`OtherTarget::Drop`].
    /// They are recovered rows besides those of [`Self::take_recovered`].
    pub fn take_discarded(&mut self) -> u64 {
        std::mem::take(&mut self.discarded)
    }

    /// Rows that stay in the spool for other databases. They are not waiting rows.
    #[must_use]
    pub fn others(&self) -> Vec<OtherRows> {
        others::sum(self.others.iter())
    }

    /// When the oldest row was appended, microseconds since 1970; `None` when there are none.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let life = self.earlier.front().unwrap_or(&self.present);
        life.oldest().or_else(|| self.tail.oldest())
    }

    /// Why the disk is not used at the moment, for the log.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().or(self.unreadable.as_deref())
    }

    /// Bytes on disk, those for other databases included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lives().map(Life::size).sum()
    }

    fn lives(&self) -> impl Iterator<Item = &Life> {
        self.earlier.iter().chain([&self.present]).chain(&self.others)
    }

    /// Asks the disk to keep what was appended even if the power goes, and to remember what was
    /// removed: before [`Store::forget`](crate::mirror::store::Store::forget), lest removed rows come
    /// back to a database that no longer knows them.
    pub fn sync(&mut self) {
        let unsynced = self.present.segments.iter_mut().filter(|segment| segment.unsynced);
        let files = unsynced.map(segment::Segment::sync).fold(Ok(()), io::Result::and);
        let folder = self.folder.as_mut().map_or(Ok(()), Folder::sync);
        if let Err(error) = files.and(folder) {
            self.trouble = Some(explain("sync", &self.plan.directory, &error));
        }
    }

    /// Tries a folder again that could not be used, and looks whether it is still there.
    fn look_after_the_folder(&mut self) {
        let now = Instant::now();
        if self.plan.max_size == 0 || now < self.due {
            return;
        }
        if self.folder.as_ref().is_some_and(|folder| !folder.is_gone()) {
            // A disk that failed is tried by the next row.
            if self.trouble.is_none() {
                self.due = now + RETRY;
            }
            return;
        }
        // What is open can still be read.
        self.present.close(false);
        self.folder = None;
        if let Err(Unusable::InUse(why) | Unusable::Disk(why)) = self.attach() {
            self.fail(why);
        }
    }

    /// Opens the folder, and puts what is found there in front of the present life.
    fn attach(&mut self) -> Result<(), Unusable> {
        let segments = self.lives().flat_map(|life| &life.segments);
        let known: HashSet<_> = segments.map(|segment| segment.path.clone()).collect();
        let writers: HashSet<_> = self.lives().map(|life| life.writer.id).collect();
        let (folder, mut found) = Folder::open(&self.plan.directory, &known)?;
        let target = self.present.target.clone().unwrap_or_default();
        others::mark(&self.plan.directory, found.lives.iter_mut(), &target).map_err(|error| {
            Unusable::Disk(explain("mark segments", &self.plan.directory, &error))
        })?;
        let before = self.others.len();
        for mut life in found.lives {
            // Ours, and not among the known ones: somebody renamed it.
            if writers.contains(&life.writer.id) {
                continue;
            }
            let is_ours = life.target.as_ref() == Some(&target);
            match self.plan.other_target {
                OtherTarget::Keep if !is_ours => {
                    self.others.push(life);
                    continue;
                }
                OtherTarget::Drop if !is_ours => {
                    let (rows, end) = (life.end() - life.delivered, life.end());
                    let target = life.target.as_deref().unwrap_or_default();
                    tracing::warn!(rows, target, "mirror: rows for another database are dropped");
                    self.discarded = self.discarded.saturating_add(rows);
                    // What cannot be removed now is dropped again at the next start.
                    let _ = life.pass(end, false);
                    continue;
                }
                OtherTarget::Keep | OtherTarget::Deliver | OtherTarget::Drop => {}
            }
            self.recovered = self.recovered.saturating_add(life.end() - life.delivered);
            let place = self.earlier.partition_point(|other| other.number <= life.number);
            self.earlier.insert(place, life);
        }
        self.ended = found.ended.filter(|ended| !writers.contains(ended));
        for other in others::sum(self.others[before..].iter()) {
            tracing::warn!(
                rows = other.rows,
                bytes = other.bytes,
                target = other.target,
                "mirror: rows for another database stay in the spool until mirror.url names it again; \
                 mirror.spool.other_target = \"deliver\" gives them to this database, \"drop\" removes them"
            );
        }
        // Never a name again that a segment had in a folder that is gone.
        self.present.number = found.next_life.max(self.present.number + 1);
        self.folder = Some(folder);
        self.trouble = None;
        self.due = Instant::now() + RETRY;
        Ok(())
    }

    /// The disk does not do: rows stay in memory until it is tried again.
    fn fail(&mut self, why: String) {
        self.trouble = Some(why);
        self.due = Instant::now() + RETRY;
    }
}

/// A name, cut to at most so many bytes.
fn cut(name: &str, most: usize) -> &str {
    let end = (0..=most.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or_default()]
}

/// An id that no other writer has. The standard library's hash keys are random, from the operating
/// system, and no call here can fail.
pub(super) fn random_id() -> [u8; 16] {
    let seed = (process::id(), SystemTime::now());
    let mut id = [0; 16];
    for half in id.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(seed).to_le_bytes());
    }
    id
}
