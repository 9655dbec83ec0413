//! The queue from the readers to the thread of one output, and the output's account.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::{account::OutputAccount, messages::PacketMessages, status::OutputStatus};
use crate::{
    event::{CurrentNames, Event, Names, UsedNames},
    system::lock::{lock, wait_timeout},
};

/// Number of events that are taken without a wait for more.
const CHUNK: usize = 4_096;

/// Maximum time that an event waits for others.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Interval at which an idle thread wakes.
const IDLE: Duration = Duration::from_secs(1);

/// A batch of packets, shared by the queues of all outputs.
#[derive(Clone, Debug, Default)]
pub(super) struct PacketBatch {
    pub(super) events: Arc<Vec<Event>>,
    /// Empty if the output does not need them.
    pub(super) messages: Arc<PacketMessages>,
}

impl PacketBatch {
    fn size(&self) -> usize {
        size_of_val(self.events.as_slice()) + self.messages.size()
    }
}

/// The queue of one output. Its lock is never held while something is written.
#[derive(Debug)]
pub(super) struct OutputQueue {
    name: String,
    /// Maximum memory of the queued batches, bytes.
    limit: usize,
    /// Whether the output needs the messages of packets.
    needs_messages: bool,
    names: CurrentNames,
    contents: Mutex<QueueContents>,
    changed: Condvar,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request or a state of its own")]
struct QueueContents {
    batches: VecDeque<PacketBatch>,
    /// Events in the batches.
    events: usize,
    /// Memory of the batches, bytes.
    size: usize,
    /// When the first batch was offered.
    since: Option<Instant>,
    /// Whether the output's thread waits for a change.
    is_waiting: bool,
    is_closed: bool,
    /// Whether the target is to be opened again.
    reopen: bool,
    account: OutputAccount,
    is_up: bool,
}

/// The result of [`OutputQueue::take`].
pub(super) enum TakenBatches {
    /// Batches were moved to the caller, whose events have names of this table.
    Some(Names),
    /// There were none for a while, or the target is to be opened again.
    None,
    /// None are left, and none will come.
    Closed,
}

impl OutputQueue {
    /// An empty queue of at most `limit` bytes for events of these names, with or without their messages.
    pub(super) fn new(
        name: String,
        limit: usize,
        needs_messages: bool,
        names: CurrentNames,
    ) -> Self {
        let contents = Mutex::new(QueueContents::default());
        Self { name, limit, needs_messages, names, contents, changed: Condvar::new() }
    }

    /// Offers a batch. Never waits: a batch that does not fit is dropped and counted.
    pub(super) fn offer(&self, batch: &PacketBatch) {
        let events = Arc::clone(&batch.events);
        let batch = if self.needs_messages {
            batch.clone()
        } else {
            PacketBatch { events, ..PacketBatch::default() }
        };
        let mut contents = self.lock();
        let size = batch.size();
        let fits = contents.size + size <= self.limit;
        contents.account.offer(batch.events.len() as u64, fits);
        if !fits {
            return;
        }
        let (is_first, was_ready) = (contents.events == 0, self.has_chunk(&contents));
        contents.events += batch.events.len();
        contents.size += size;
        contents.batches.push_back(batch);
        if is_first {
            contents.since = Some(Instant::now());
        }
        // Each notification is a system call, and the thread waits only for these.
        let is_due = is_first || (!was_ready && self.has_chunk(&contents));
        if is_due && contents.is_waiting {
            drop(contents);
            self.changed.notify_one();
        }
    }

    /// Whether there are enough events to be taken at once, or so many bytes that the next ones might not fit.
    fn has_chunk(&self, contents: &QueueContents) -> bool {
        contents.events >= CHUNK || contents.size >= self.limit / 2
    }

    /// Marks every name that a queued event refers to.
    pub(super) fn mark_names(&self, used: &mut UsedNames) {
        for event in self.lock().batches.iter().flat_map(|batch| batch.events.iter()) {
            for name in [
                event.prefix,
                event.in_device,
                event.out_device,
                event.host,
                event.source_network,
                event.destination_network,
                event.list,
            ] {
                used.mark(name);
            }
        }
    }

    /// Waits for a chunk of events, or until the oldest one has waited long enough, and moves their batches to `taken`. The
    /// account counts them as queued until they are booked.
    pub(super) fn take(&self, taken: &mut Vec<PacketBatch>) -> TakenBatches {
        let began = Instant::now();
        let mut contents = self.lock();
        loop {
            let waited = contents.since.map_or_else(|| began.elapsed(), |since| since.elapsed());
            let limit = if contents.events == 0 { IDLE } else { MAX_WAIT };
            let is_ready = self.has_chunk(&contents) || contents.is_closed || contents.reopen;
            if is_ready || waited >= limit {
                break;
            }
            contents = self.wait(contents, limit.saturating_sub(waited));
        }
        if contents.batches.is_empty() {
            let is_closed = contents.is_closed && !contents.reopen;
            return if is_closed { TakenBatches::Closed } else { TakenBatches::None };
        }
        let mut events = 0;
        while events < CHUNK
            && let Some(batch) = contents.batches.pop_front()
        {
            events += batch.events.len();
            contents.size -= batch.size();
            taken.push(batch);
        }
        contents.events -= events;
        contents.since = (contents.events > 0).then(Instant::now);
        // Still under the lock: the ids of the events are of this table.
        TakenBatches::Some(self.names.get())
    }

    /// Waits for at most `time`, until the target is to be opened again or the queue is closed.
    pub(super) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut contents = self.lock();
        while !contents.reopen && !contents.is_closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            contents = self.wait(contents, left);
        }
    }

    fn wait<'a>(
        &'a self,
        mut contents: MutexGuard<'a, QueueContents>,
        limit: Duration,
    ) -> MutexGuard<'a, QueueContents> {
        contents.is_waiting = true;
        let mut contents = wait_timeout(&self.changed, contents, limit);
        contents.is_waiting = false;
        contents
    }

    /// Whether the queue is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Closes the queue: the thread takes the remaining batches, then ends.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Requests that the target is opened again.
    pub(super) fn request_reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Whether the target is to be opened again; resets the request.
    pub(super) fn take_reopen(&self) -> bool {
        std::mem::take(&mut self.lock().reopen)
    }

    /// Changes the account.
    pub(super) fn book(&self, change: impl FnOnce(&mut OutputAccount)) {
        change(&mut self.lock().account);
    }

    /// Sets whether the target accepts rows.
    pub(super) fn set_up(&self, is_up: bool) {
        self.lock().is_up = is_up;
    }

    /// The state at this moment.
    pub(super) fn status(&self) -> OutputStatus {
        let contents = self.lock();
        OutputStatus { name: self.name.clone(), account: contents.account, is_up: contents.is_up }
    }

    fn lock(&self) -> MutexGuard<'_, QueueContents> {
        lock(&self.contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::fixture, output::account::OutputDropReason};

    fn batch(events: usize) -> PacketBatch {
        let events = vec![fixture::unreadable(); events].into();
        PacketBatch { events, messages: Arc::default() }
    }

    fn queue(limit: usize) -> OutputQueue {
        OutputQueue::new("a".into(), limit, true, CurrentNames::new(Names::default()))
    }

    #[test]
    fn a_queue_that_is_half_full_wakes_the_thread() {
        let mut messages = PacketMessages::default();
        messages.push(&[0; 6_000]);
        let batch = PacketBatch { messages: messages.into(), ..batch(1) };
        let queue = queue(10_000);
        let (mut taken, began) = (Vec::new(), Instant::now());
        queue.offer(&batch);
        assert!(matches!(queue.take(&mut taken), TakenBatches::Some(_)));
        assert!(began.elapsed() < MAX_WAIT, "{:?}", began.elapsed());
        assert_eq!(taken[0].messages.get(0).len(), 6_000);
        // Packets that wait do not count the bytes that the output does not need.
        let without =
            OutputQueue::new("a".into(), 10_000, false, CurrentNames::new(Names::default()));
        (0..5).for_each(|_| without.offer(&batch));
        assert_eq!(without.status().account.queued, 5);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let queue = queue(10 * size_of::<Event>());
        for _ in 0..3 {
            queue.offer(&batch(4));
        }
        let account = queue.status().account;
        assert_eq!((account.offered, account.queued), (12, 8));
        assert_eq!(account.dropped[OutputDropReason::QueueFull as usize], 4);
        let mut taken = Vec::new();
        assert!(matches!(queue.take(&mut taken), TakenBatches::Some(_)));
        assert_eq!(taken.len(), 2);
        // There is room again, and the taken ones count until they are booked.
        queue.offer(&batch(10));
        assert_eq!(queue.status().account.queued, 18);
        queue.book(|account| account.write(8));
        let account = queue.status().account;
        assert_eq!((account.queued, account.written, account.offered), (10, 8, 22));
    }

    #[test]
    fn a_closed_queue_gives_the_rest_and_then_ends() {
        let queue = queue(1 << 20);
        queue.offer(&batch(3));
        queue.request_reopen();
        queue.close();
        queue.pause(IDLE);
        let mut taken = Vec::new();
        assert!(matches!(queue.take(&mut taken), TakenBatches::Some(_)));
        assert!(matches!(queue.take(&mut taken), TakenBatches::None));
        assert!(queue.take_reopen() && !queue.take_reopen());
        assert!(matches!(queue.take(&mut taken), TakenBatches::Closed));
    }
}
