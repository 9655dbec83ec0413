//! The queue from the reader to the spooler: chunks of events, each handed over under one short lock.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::account::Account;
use crate::event::{CurrentNames, Event, Names, UsedNames};

/// Most events that wait, some 20 MB: more than two seconds of 50,000 packets a second.
pub const CAPACITY: usize = 131_072;

/// Events of a chunk. A full one is taken, however young its events are.
pub(super) const CHUNK: usize = 4_096;

/// So long an event waits for others, at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// The spooler looks around so often when nothing comes.
const IDLE: Duration = Duration::from_secs(1);

/// The reader's handle to the mirror, and everybody's to its account. Nobody holds its lock for more
/// than a copy of a batch.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    names: CurrentNames,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their events. All but the last are full.
    chunks: VecDeque<Chunk>,
    /// Events in all chunks.
    length: usize,
    /// Memory for the next chunk: the one that was taken before the last.
    spare: Vec<Event>,
    /// When the first of those was offered that the spooler is looking at, microseconds since 1970.
    taken_since: Option<u64>,
    /// When the oldest row in the spool was appended, microseconds since 1970.
    spooled_since: Option<u64>,
    closed: bool,
    figures: Figures,
}

/// Events that are taken at once.
#[derive(Debug)]
struct Chunk {
    events: Vec<Event>,
    /// When the first of them was offered: also in microseconds since 1970.
    since: (Instant, u64),
}

/// The mirror at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Where every row is.
    pub account: Account,
    /// Whether the database took what it was last given, or answered when there was nothing.
    pub up: bool,
    /// Age of the oldest packet that the database does not hold yet; 0 when it holds them all.
    pub lag: Duration,
    /// Bytes of the spool on disk.
    pub spool_size: u64,
    /// Rows in it that are for another database, and stay.
    pub other_target_rows: u64,
    /// Most bytes it may have.
    pub spool_limit: u64,
    /// Whether no row is dropped, because a clock looks wrong.
    pub retention_held: bool,
    /// How often a thread of the mirror panicked.
    pub panics: u64,
    /// When the database's house was last kept without trouble, seconds since 1970; 0 for never.
    pub upkeep_timestamp: u64,
}

/// What the spooler finds in the queue.
#[derive(Clone, Debug)]
pub(super) enum Taken {
    /// Events, moved into the spooler's buffer, and the table of their names.
    Events(Names),
    /// Nothing for a while.
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl Queue {
    /// An empty queue in front of a spool of so many bytes, for events of these names.
    pub(super) fn new(spool_limit: u64, names: CurrentNames) -> Self {
        let figures = Figures { spool_limit, ..Figures::default() };
        let state = Mutex::new(State { figures, ..State::default() });
        Self(Arc::new(Shared { state, names, filled: Condvar::new() }))
    }

    /// Offers a batch to the mirror. Never waits for it: what does not fit is dropped and counted.
    pub fn offer(&self, batch: &[Event]) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.lock();
        let taken = batch.len().min(CAPACITY - state.length);
        let first = state.length == 0;
        state.append(&batch[..taken]);
        state.figures.account.offer(batch.len(), taken);
        if first || state.length >= CHUNK {
            drop(state);
            self.0.filled.notify_one();
        }
    }

    /// Marks every name that an event in the queue refers to. Only [`Self::offer`] adds one.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for event in self.lock().chunks.iter().flat_map(|chunk| &chunk.events) {
            used.mark(event.prefix);
            used.mark(event.in_device);
            used.mark(event.out_device);
        }
    }

    /// The mirror as it stands.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let state = self.lock();
        let queued = state.chunks.front().map(|chunk| chunk.since.1);
        let oldest = [queued, state.taken_since, state.spooled_since].into_iter().flatten().min();
        let lag = oldest.map_or(0, |since| now().saturating_sub(since));
        Figures { lag: Duration::from_micros(lag), ..state.figures }
    }

    /// No event comes any more: what is here is taken, then the spooler ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.0.filled.notify_all();
    }

    /// Waits for a full chunk, or until the oldest event has waited long enough, and swaps it for the
    /// `emptied` buffer. Its events stay queued in the account until told otherwise.
    pub(super) fn take(&self, emptied: &mut Vec<Event>) -> Taken {
        emptied.clear();
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            let ready = state.length >= CHUNK || state.closed;
            let wait = match state.chunks.front() {
                Some(chunk) => PATIENCE.saturating_sub(chunk.since.0.elapsed()),
                None => IDLE.saturating_sub(began.elapsed()),
            };
            if ready || wait.is_zero() {
                break;
            }
            state = match self.0.filled.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let Some(chunk) = state.chunks.pop_front() else {
            return if state.closed { Taken::End } else { Taken::Nothing };
        };
        state.length -= chunk.events.len();
        state.taken_since = Some(chunk.since.1);
        state.spare = std::mem::replace(emptied, chunk.events);
        // Still under the lock: what is taken is of this table.
        Taken::Events(self.0.names.get())
    }

    /// Everything that was taken has been looked at, and stands elsewhere in the account.
    pub(super) fn looked(&self) {
        self.lock().taken_since = None;
    }

    /// Books a change.
    pub(super) fn book(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.lock().figures.account);
    }

    /// Sets whether rows are kept beyond their time, because a clock looks wrong.
    pub(super) fn tell_retention_held(&self, held: bool) {
        self.lock().figures.retention_held = held;
    }

    /// Counts a panic.
    pub(super) fn count_panic(&self) {
        self.lock().figures.panics += 1;
    }

    /// Tells how the spool stands.
    pub(super) fn tell_spool(&self, size: u64, since: Option<u64>, other_target_rows: u64) {
        let mut state = self.lock();
        state.figures.spool_size = size;
        state.figures.other_target_rows = other_target_rows;
        state.spooled_since = since;
    }

    /// Tells whether the database takes rows.
    pub(super) fn tell_up(&self, up: bool) {
        self.lock().figures.up = up;
    }

    /// Tells that the database's house was kept.
    pub(super) fn tell_upkeep(&self) {
        self.lock().figures.upkeep_timestamp = wall_clock() / 1_000_000;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole when its guard goes, but for a panic within: then the account may be
        // off by one batch, and the reader goes on.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts events behind the others.
    fn append(&mut self, mut events: &[Event]) {
        self.length += events.len();
        while !events.is_empty() {
            let room = self.chunks.back().map_or(0, |last| CHUNK - last.events.len());
            let (some, rest) = events.split_at(room.min(events.len()));
            if let Some(last) = self.chunks.back_mut() {
                last.events.extend_from_slice(some);
            }
            events = rest;
            if !events.is_empty() {
                let mut memory = std::mem::take(&mut self.spare);
                memory.reserve_exact(CHUNK);
                self.chunks.push_back(Chunk { events: memory, since: (Instant::now(), now()) });
            }
        }
    }
}

/// Microseconds since 1970, by the clock at the first call and the time that went by since then: ages
/// measured by it are true when somebody sets the clock.
pub(super) fn now() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, wall) = START.get_or_init(|| (Instant::now(), wall_clock()));
    wall.saturating_add(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Microseconds since 1970; 0 for a clock set before.
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
