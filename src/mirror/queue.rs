//! The queue from the reader to the spooler: chunks of events, each handed over under one short lock.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};

use super::{account::Account, spool::RowMark, status::MirrorStatus};
use crate::{
    event::{CurrentNames, Event, Names, UsedNames},
    system::{
        clock::{steady_micros, unix_micros},
        lock::lock,
    },
};

/// Maximum number of queued events, about 20 MB: more than two seconds of 50,000 packets a second.
pub const CAPACITY: usize = 131_072;

/// Number of events of a full chunk, which is taken at once, however recent its events are. Only a batch that is larger has
/// a larger chunk.
pub(super) const CHUNK: usize = 4_096;

/// Maximum time that an event waits for others.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// Interval at which an idle spooler wakes.
const IDLE: Duration = Duration::from_secs(1);

/// The reader's handle to the mirror, and the owner of its account. Its lock is held no longer than the copy of
/// a batch takes.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    /// Whether the observer is called for the batches offered through this handle.
    is_observed: bool,
}

struct Shared {
    contents: Mutex<Contents>,
    names: CurrentNames,
    filled: Condvar,
    observer: OnceLock<Box<dyn QueueObserver>>,
}

/// Follows events on their way to the spool, by their number in the order in which they were accepted.
pub trait QueueObserver: Send + Sync {
    /// A batch was offered through an observed handle, and so many events are accepted so far, through all handles. Called
    /// before the spooler can take the batch, under the lock of the queue.
    fn offered(&self, accepted: u64);

    /// The rows of so many events are in the spool once it has all rows before `mark`. Called before they are appended.
    fn appending(&self, events: u64, mark: RowMark);

    /// So many events were spooled, filtered or dropped.
    fn processed(&self, events: u64);
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("contents", &self.contents).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Contents {
    /// In the order of their events; all except the last have no room for the batch after them.
    chunks: VecDeque<Chunk>,
    /// Events in all chunks.
    length: usize,
    /// Events that were accepted so far.
    accepted: u64,
    /// Those of them that were processed.
    processed: u64,
    /// Memory for the next chunk: the one that was taken before the last.
    spare: Vec<Event>,
    /// When the oldest event that the spooler processes was offered, microseconds since 1970.
    taken_since: Option<u64>,
    /// When the oldest row in the spool was appended, microseconds since 1970.
    spooled_since: Option<u64>,
    closed: bool,
    status: MirrorStatus,
}

/// Events that are taken at once.
#[derive(Debug)]
struct Chunk {
    events: Vec<Event>,
    /// When the first of them was offered: also in microseconds since 1970.
    since: (Instant, u64),
}

/// The result of [`Queue::take`].
#[derive(Clone, Debug)]
pub(super) enum QueueState {
    /// Events, moved into the spooler's buffer, and the table of their names.
    Events(Names),
    /// No events for a while.
    Idle,
    /// No events are left, and none will come.
    Closed,
}

impl Queue {
    /// An empty queue for a spool of at most this many bytes and events of these names.
    pub(super) fn new(spool_limit: u64, names: CurrentNames) -> Self {
        let status = MirrorStatus { spool_limit, ..MirrorStatus::default() };
        let contents = Mutex::new(Contents { status, ..Contents::default() });
        let shared = Shared { contents, names, filled: Condvar::new(), observer: OnceLock::new() };
        Self { shared: Arc::new(shared), is_observed: true }
    }

    /// Offers a batch to the mirror. Never waits: events that do not fit are dropped and counted.
    pub fn offer(&self, batch: &[Event]) {
        let mut state = self.lock();
        let taken = batch.len().min(CAPACITY - state.length);
        let before = state.length;
        state.accepted += taken as u64;
        if self.is_observed
            && let Some(observer) = self.shared.observer.get()
        {
            observer.offered(state.accepted);
        }
        if batch.is_empty() {
            return;
        }
        state.append(&batch[..taken]);
        state.status.account.offer(batch.len(), taken);
        // The spooler waits only for these, and each notification is a system call.
        if before == 0 || (before < CHUNK && state.length >= CHUNK) {
            drop(state);
            self.shared.filled.notify_one();
        }
    }

    /// A handle of a thread that reads none of the followed files: its batches are no news to the observer.
    #[must_use]
    pub fn unobserved(&self) -> Self {
        Self { is_observed: false, ..self.clone() }
    }

    /// Sets the observer. Only the first call has an effect.
    pub fn observe(&self, observer: impl QueueObserver + 'static) {
        // The first one stays.
        let _ = self.shared.observer.set(Box::new(observer));
    }

    /// Marks every name that an event in the queue refers to. Only [`Self::offer`] adds one.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for event in self.lock().chunks.iter().flat_map(|chunk| &chunk.events) {
            used.mark(event.prefix);
            used.mark(event.in_device);
            used.mark(event.out_device);
            used.mark(event.host);
            used.mark(event.source_network);
            used.mark(event.destination_network);
            used.mark(event.list);
        }
    }

    /// The current state of the mirror.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        let state = self.lock();
        let queued = state.chunks.front().map(|chunk| chunk.since.1);
        let oldest = [queued, state.taken_since, state.spooled_since].into_iter().flatten().min();
        let lag = oldest.map_or(0, |since| steady_micros().saturating_sub(since));
        MirrorStatus { lag: Duration::from_micros(lag), ..state.status.clone() }
    }

    /// Closes the queue: the spooler takes the remaining events, then ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.shared.filled.notify_all();
    }

    /// Waits for a full chunk, or until the oldest event has waited long enough, then swaps it for the `emptied`
    /// buffer. The account counts its events as queued until they are booked.
    pub(super) fn take(&self, emptied: &mut Vec<Event>) -> QueueState {
        emptied.clear();
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            let ready = state.length >= CHUNK || state.closed;
            let wait = match state.chunks.front() {
                Some(chunk) => MAX_WAIT.saturating_sub(chunk.since.0.elapsed()),
                None => IDLE.saturating_sub(began.elapsed()),
            };
            if ready || wait.is_zero() {
                break;
            }
            state = match self.shared.filled.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let Some(chunk) = state.chunks.pop_front() else {
            return if state.closed { QueueState::Closed } else { QueueState::Idle };
        };
        state.length -= chunk.events.len();
        state.taken_since = Some(chunk.since.1);
        state.spare = std::mem::replace(emptied, chunk.events);
        // Still under the lock: the ids of the events are of this table.
        QueueState::Events(self.shared.names.get())
    }

    /// All events taken last, of this number, are processed and booked.
    pub(super) fn mark_processed(&self, events: usize) {
        let mut state = self.lock();
        state.taken_since = None;
        state.processed += events as u64;
        let processed = state.processed;
        drop(state);
        if let Some(observer) = self.shared.observer.get() {
            observer.processed(processed);
        }
    }

    /// The rows of the next events, of this number, are about to be appended: they end at `mark`.
    pub(super) fn announce(&self, events: usize, mark: RowMark) {
        if let Some(observer) = self.shared.observer.get() {
            let processed = self.lock().processed;
            observer.appending(processed + events as u64, mark);
        }
    }

    /// Changes the account.
    pub(super) fn book(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.lock().status.account);
    }

    /// Counts rows that the database lost after it had confirmed them.
    pub(super) fn count_reverted(&self, rows: u64) {
        self.lock().status.reverted += rows;
    }

    /// Sets whether expired rows are kept because a clock looks wrong.
    pub(super) fn set_retention_held(&self, held: bool) {
        self.lock().status.retention_held = held;
    }

    /// Counts a panic.
    pub(super) fn count_panic(&self) {
        self.lock().status.panics += 1;
    }

    /// Sets the state of the spool.
    pub(super) fn set_spool(&self, size: u64, since: Option<u64>, other_target_rows: u64) {
        let mut state = self.lock();
        state.status.spool_size = size;
        state.status.other_target_rows = other_target_rows;
        state.spooled_since = since;
    }

    /// Sets whether the database accepts rows.
    pub(super) fn set_up(&self, up: bool) {
        self.lock().status.up = up;
    }

    /// Sets the servers of the database.
    pub(super) fn set_servers(&self, servers: Arc<[String]>) {
        self.lock().status.servers = servers;
    }

    /// Sets the connected server, by its index.
    pub(super) fn set_connected(&self, server: Option<usize>) {
        self.lock().status.connected = server;
    }

    /// Records a successful maintenance.
    pub(super) fn record_maintenance(&self) {
        self.lock().status.maintenance_timestamp = unix_micros() / 1_000_000;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // After a panic the account may be off by one batch; the reader continues.
        lock(&self.shared.contents)
    }
}

impl Contents {
    /// Appends a batch. It is in one chunk, so that all its rows are appended to the spool at once: its position in a file
    /// holds for all of them or for none.
    fn append(&mut self, batch: &[Event]) {
        if batch.is_empty() {
            return;
        }
        self.length += batch.len();
        let room = self.chunks.back().map_or(0, |last| CHUNK.saturating_sub(last.events.len()));
        if room < batch.len() {
            let mut events = std::mem::take(&mut self.spare);
            events.reserve_exact(CHUNK.max(batch.len()));
            self.chunks.push_back(Chunk { events, since: (Instant::now(), steady_micros()) });
        }
        if let Some(last) = self.chunks.back_mut() {
            last.events.extend_from_slice(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::fixture, mirror::account::DropReason};

    fn events(times: std::ops::Range<usize>) -> Vec<Event> {
        let event = |time| Event { time, ..fixture::unreadable() };
        times.map(|time| event(time as u64)).collect()
    }

    #[test]
    fn a_chunk_at_a_time_makes_room_and_gives_its_memory_back() {
        let queue = Queue::new(0, CurrentNames::new(Names::default()));
        // As many as fill a chunk.
        for start in (0..CAPACITY + 1_024).step_by(1_024) {
            queue.offer(&events(start..start + 1_024));
        }
        let dropped = queue.status().account.dropped[DropReason::QueueFull as usize];
        assert_eq!(queue.status().account.queued, CAPACITY as u64);
        assert!(dropped >= 1_024, "{dropped}");

        // What was taken is no more than a chunk, and as much fits again.
        let mut taken = Vec::new();
        assert!(matches!(queue.take(&mut taken), QueueState::Events(_)));
        queue.offer(&events(CAPACITY..CAPACITY + CHUNK + 1));
        assert_eq!(queue.status().account.dropped[DropReason::QueueFull as usize], dropped + 1);
        let mut times: Vec<_> = taken.iter().map(|event| event.time).collect();
        assert_eq!(times.len(), CHUNK);
        queue.close();
        while let QueueState::Events(_) = queue.take(&mut taken) {
            assert!(taken.len() <= CHUNK && taken.capacity() == CHUNK, "{}", taken.capacity());
            times.extend(taken.iter().map(|event| event.time));
        }
        assert!(matches!(queue.take(&mut taken), QueueState::Closed));
        assert!(times.is_sorted(), "out of order");
        assert_eq!(times.len(), CAPACITY + CHUNK);
        let state = queue.lock();
        assert!(state.chunks.is_empty() && state.length == 0);
        assert!(taken.capacity() + state.spare.capacity() <= 2 * CHUNK);
    }

    /// The position of a followed file belongs to the batches of one thread; their numbers count those of all threads.
    #[test]
    fn the_observer_is_called_for_its_thread_only() {
        struct Offers(Arc<Mutex<Vec<u64>>>);
        impl QueueObserver for Offers {
            fn offered(&self, accepted: u64) {
                lock(&self.0).push(accepted);
            }
            fn appending(&self, _: u64, _: RowMark) {}
            fn processed(&self, _: u64) {}
        }
        let queue = Queue::new(0, CurrentNames::new(Names::default()));
        let offers = Arc::default();
        queue.observe(Offers(Arc::clone(&offers)));
        let of_another_thread = queue.unobserved();
        queue.offer(&events(0..3));
        of_another_thread.offer(&events(0..5));
        queue.offer(&events(0..2));
        of_another_thread.offer(&[]);
        queue.offer(&[]);
        assert_eq!(*lock(&offers), [3, 10, 10]);
        assert_eq!(queue.status().account.queued, 10);
    }

    /// A kill between two chunks must not divide a batch, which has one position.
    #[test]
    fn a_batch_is_in_one_chunk() {
        let queue = Queue::new(0, CurrentNames::new(Names::default()));
        for size in [100, CHUNK - 100, 1, CHUNK, 2 * CHUNK + 1, 1, 2] {
            queue.offer(&events(0..size));
        }
        queue.close();
        let mut taken = Vec::new();
        let mut sizes = Vec::new();
        while let QueueState::Events(_) = queue.take(&mut taken) {
            sizes.push(taken.len());
        }
        assert_eq!(sizes, [CHUNK, 1, CHUNK, 2 * CHUNK + 1, 3]);
    }
}
