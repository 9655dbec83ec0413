//! The queue from the reader to the spooler: whole batches under one short lock.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::account::Account;
use crate::{
    event::Event,
    system::{clock::unix_micros, lock::lock},
};

/// Maximum number of queued events, about 20 MB: more than two seconds of 50,000 packets a second.
pub const CAPACITY: usize = 131_072;

/// Number of events that is processed at once, however recent they are.
const BATCH: usize = 4_096;

/// Maximum time that an event waits for others.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// Interval at which an idle spooler wakes.
const IDLE: Duration = Duration::from_secs(1);

/// The reader's handle to the mirror, and the owner of its account. Its lock is held no longer than the copy of
/// a batch takes.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// When the first of them was offered; also in microseconds since 1970.
    since: Option<(Instant, u64)>,
    /// When the oldest event that the spooler processes was offered, microseconds since 1970.
    taken_since: Option<u64>,
    /// When the oldest row in the spool was appended, microseconds since 1970.
    spooled_since: Option<u64>,
    closed: bool,
    figures: MirrorStatus,
}

/// The state of the mirror at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MirrorStatus {
    /// Where every row is.
    pub account: Account,
    /// Whether the database accepted the last rows, or answered the last ping.
    pub up: bool,
    /// Age of the oldest packet that the database does not hold yet; 0 for none.
    pub lag: Duration,
    /// Bytes of the spool on disk.
    pub spool_size: u64,
    /// Rows in it for another database.
    pub other_target_rows: u64,
    /// Maximum size of the spool, bytes.
    pub spool_limit: u64,
    /// Whether expired rows are kept because a clock looks wrong.
    pub retention_held: bool,
    /// Panics in the mirror's threads.
    pub panics: u64,
    /// Time of the last successful maintenance, seconds since 1970; 0 for never.
    pub maintenance_timestamp: u64,
}

/// The result of [`Queue::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    /// Events, moved into the spooler's buffer.
    Events,
    /// No events for a while.
    Idle,
    /// No events are left, and none will come.
    Closed,
}

impl Queue {
    /// An empty queue for a spool of at most this many bytes.
    pub(super) fn new(spool_limit: u64) -> Self {
        let figures = MirrorStatus { spool_limit, ..MirrorStatus::default() };
        let state = Mutex::new(State { figures, ..State::default() });
        Self(Arc::new(Shared { state, filled: Condvar::new() }))
    }

    /// Offers a batch to the mirror. Never waits: events that do not fit are dropped and counted.
    pub fn offer(&self, batch: &[Event]) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.lock();
        let taken = batch.len().min(CAPACITY - state.events.len());
        state.events.extend_from_slice(&batch[..taken]);
        state.figures.account.offer(batch.len(), taken);
        let first = state.since.is_none();
        state.since.get_or_insert_with(|| (Instant::now(), unix_micros()));
        if first || state.events.len() >= BATCH {
            drop(state);
            self.0.filled.notify_one();
        }
    }

    /// The current state of the mirror.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        let state = self.lock();
        let queued = state.since.map(|(_, since)| since);
        let oldest = [queued, state.taken_since, state.spooled_since].into_iter().flatten().min();
        let lag = oldest.map_or(0, |since| unix_micros().saturating_sub(since));
        MirrorStatus { lag: Duration::from_micros(lag), ..state.figures }
    }

    /// Closes the queue: the spooler takes the remaining events, then ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.0.filled.notify_all();
    }

    /// Waits for enough events, or until the oldest has waited long enough, then swaps them for the `emptied`
    /// buffer. The account counts them as queued until they are booked.
    pub(super) fn take(&self, emptied: &mut Vec<Event>) -> QueueState {
        emptied.clear();
        if emptied.capacity() > 4 * BATCH {
            // Gives back the memory that a burst used.
            *emptied = Vec::new();
        }
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            let ready = state.events.len() >= BATCH || state.closed;
            let wait = match state.since {
                Some((since, _)) => MAX_WAIT.saturating_sub(since.elapsed()),
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
        if state.events.is_empty() {
            return if state.closed { QueueState::Closed } else { QueueState::Idle };
        }
        std::mem::swap(&mut state.events, emptied);
        state.taken_since = state.since.take().map(|(_, since)| since);
        QueueState::Events
    }

    /// All events taken last are processed and booked.
    pub(super) fn mark_processed(&self) {
        self.lock().taken_since = None;
    }

    /// Changes the account.
    pub(super) fn book(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.lock().figures.account);
    }

    /// Sets whether expired rows are kept because a clock looks wrong.
    pub(super) fn set_retention_held(&self, held: bool) {
        self.lock().figures.retention_held = held;
    }

    /// Counts a panic.
    pub(super) fn count_panic(&self) {
        self.lock().figures.panics += 1;
    }

    /// Sets the state of the spool.
    pub(super) fn set_spool(&self, size: u64, since: Option<u64>, other_target_rows: u64) {
        let mut state = self.lock();
        state.figures.spool_size = size;
        state.figures.other_target_rows = other_target_rows;
        state.spooled_since = since;
    }

    /// Sets whether the database accepts rows.
    pub(super) fn set_up(&self, up: bool) {
        self.lock().figures.up = up;
    }

    /// Records a successful maintenance.
    pub(super) fn record_maintenance(&self) {
        self.lock().figures.maintenance_timestamp = unix_micros() / 1_000_000;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic the account may be off by one batch; the reader continues.
        lock(&self.0.state)
    }
}
