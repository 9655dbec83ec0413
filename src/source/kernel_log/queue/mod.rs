//! The queue from the inputs, each on a thread of its own, to the reader.
//!
//! Each input and each sender has a lane. The reader takes from the lane for which it has worked least, so that a flood in
//! one lane, or lines that repeat packets thousands of times, delay the others only by their own share.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
    io,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};

use super::{checkpoint::Checkpoint, line_reader::Repeated, meter::Input};
use crate::system::{
    host_network,
    lock::{lock, wait_timeout},
};

/// Maximum bytes of all queued chunks, except those within [`RESERVED`]. One lane can have half of it.
const CAPACITY: usize = 16 << 20;

/// Bytes that each lane can have, however full the others are.
const RESERVED: usize = 256 << 10;

/// What a queued chunk costs in addition to its lines, approximately, bytes.
const OVERHEAD: usize = 256;

/// Number of lanes of syslog senders, which share them by the hashes of their networks.
const SENDER_LANES: usize = 16;

/// One lane for each input; that of syslog is not used.
const LANES: usize = Input::ALL.len() + SENDER_LANES;

/// How often an input that waits for room checks whether it must stop.
const STOP_INTERVAL: Duration = Duration::from_millis(200);

/// How long the inputs can add their last lines after they must stop.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Number of lines by [`Input`].
pub(super) type LineCounts = [u64; Input::ALL.len()];

/// Whole lines of one input.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Lines, each with its line break. The last one can lack it.
    pub lines: Vec<u8>,
    pub input: Input,
    /// Identifies the file, connection or sender: a line that says "last message repeated" means the line before it.
    pub stream: u64,
    /// Address of the host that sent the lines.
    pub sender: Option<IpAddr>,
    /// The position in the file after the lines.
    pub checkpoint: Option<Checkpoint>,
}

impl Chunk {
    /// Lines of a followed file of this number, which are before this offset.
    pub fn of_file(lines: Vec<u8>, id: u64, offset: u64) -> Self {
        let checkpoint = Some(Checkpoint { id, offset });
        Self { lines, input: Input::File, stream: id, sender: None, checkpoint }
    }
}

/// A chunk, and how far it was read.
#[derive(Debug)]
pub(super) struct QueuedChunk {
    pub chunk: Chunk,
    /// Bytes of the lines that were read.
    pub done: usize,
    /// What the last of these lines still repeats.
    pub repeated: Option<Repeated>,
    lane: usize,
}

impl QueuedChunk {
    fn cost(&self) -> usize {
        self.chunk.lines.capacity() + OVERHEAD
    }

    /// The position in the file after the lines that were read, unless it is inside a line.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let Checkpoint { id, offset } = self.chunk.checkpoint?;
        let unread = self.chunk.lines.len() - self.done;
        self.repeated.is_none().then_some(Checkpoint { id, offset: offset - unread as u64 })
    }

    /// Whether every line was read.
    pub fn is_done(&self) -> bool {
        self.done == self.chunk.lines.len() && self.repeated.is_none()
    }

    /// Number of lines that were not read to their ends.
    fn unread(&self) -> u64 {
        let rest = &self.chunk.lines[self.done..];
        let is_open = rest.last().is_some_and(|last| *last != b'\n');
        let lines = memchr::memchr_iter(b'\n', rest).count() + usize::from(is_open);
        lines as u64 + u64::from(self.repeated.is_some())
    }
}

/// The bounded queue.
#[derive(Debug)]
pub(super) struct ChunkQueue {
    contents: Mutex<Contents>,
    room: Condvar,
    /// Readable while there are chunks, or an input ended.
    filled: OwnedFd,
    /// Readable once the inputs must stop.
    stop: OwnedFd,
    /// Distributes the senders to the lanes, so that none can choose the lane of another.
    hash: RandomState,
}

#[derive(Debug)]
struct Contents {
    lanes: [Lane; LANES],
    bytes: usize,
    /// The work for the lane that was served last. A lane that was empty begins there: it saves up nothing.
    clock: u64,
    failure: Option<String>,
    /// Set once the inputs must stop: until then, they can add their last lines.
    deadline: Option<Instant>,
    /// Lines that were not added before the deadline.
    lost: LineCounts,
}

#[derive(Debug, Default)]
struct Lane {
    chunks: VecDeque<QueuedChunk>,
    bytes: usize,
    /// What the reader has done for it: lines and packets.
    work: u64,
}

impl ChunkQueue {
    pub fn new() -> io::Result<Arc<Self>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let contents = Contents {
            lanes: std::array::from_fn(|_| Lane::default()),
            bytes: 0,
            clock: 0,
            failure: None,
            deadline: None,
            lost: LineCounts::default(),
        };
        Ok(Arc::new(Self {
            contents: Mutex::new(contents),
            room: Condvar::new(),
            filled: eventfd(0, flags)?,
            stop: eventfd(0, flags)?,
            hash: RandomState::new(),
        }))
    }

    fn queued(&self, chunk: Chunk) -> QueuedChunk {
        let lane = match chunk.sender {
            Some(sender) => {
                let hash = self.hash.hash_one(host_network(sender)) % SENDER_LANES as u64;
                Input::ALL.len() + usize::try_from(hash).unwrap_or(0)
            }
            None => chunk.input as usize,
        };
        QueuedChunk { chunk, done: 0, repeated: None, lane }
    }

    /// Adds a chunk, after waiting for room. Returns false if the input must stop and there was no room in time; then the
    /// lines of the chunk are lost.
    pub fn push(&self, chunk: Chunk) -> bool {
        let chunk = self.queued(chunk);
        let mut contents = lock(&self.contents);
        loop {
            if contents.has_room(&chunk) {
                contents.add(chunk);
                drop(contents);
                signal(&self.filled);
                return true;
            }
            if contents.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                contents.lose(&chunk);
                return false;
            }
            contents = wait_timeout(&self.room, contents, STOP_INTERVAL);
        }
    }

    /// Adds a chunk if there is room; otherwise returns it.
    pub fn try_push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let chunk = self.queued(chunk);
        let mut contents = lock(&self.contents);
        if !contents.has_room(&chunk) {
            return Err(chunk.chunk);
        }
        contents.add(chunk);
        drop(contents);
        signal(&self.filled);
        Ok(())
    }

    /// Counts the lines of a chunk as lost.
    pub fn lose(&self, chunk: Chunk) {
        lock(&self.contents).lose(&self.queued(chunk));
    }

    /// The next chunk. [`Self::worked`] must follow.
    pub fn pop(&self) -> Option<QueuedChunk> {
        let mut contents = lock(&self.contents);
        let Some(chunk) = contents.next() else {
            // Under the lock, so that no signal of a later chunk is lost.
            let _ = rustix::io::read(&self.filled, &mut [0; 8]);
            return None;
        };
        drop(contents);
        self.room.notify_all();
        Some(chunk)
    }

    /// Takes back a chunk that was read a bit further. It stays the first of its lane if it is not done. `work` is the
    /// number of lines and packets.
    pub fn worked(&self, chunk: QueuedChunk, work: u64) {
        let mut contents = lock(&self.contents);
        contents.lanes[chunk.lane].work += work.max(1);
        if !chunk.is_done() {
            contents.put_back(chunk);
        }
    }

    /// Removes everything. Returns the numbers of the lines that were not read, and of those that were not added.
    pub fn clear(&self) -> LineCounts {
        let mut contents = lock(&self.contents);
        while let Some(chunk) = contents.next() {
            contents.lose(&chunk);
        }
        std::mem::take(&mut contents.lost)
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.contents).lanes.iter().all(|lane| lane.chunks.is_empty())
    }

    /// Reports that an input failed, and why.
    pub fn fail(&self, reason: String) {
        lock(&self.contents).failure.get_or_insert(reason);
        signal(&self.filled);
    }

    /// Why an input failed.
    pub fn failure(&self) -> Option<String> {
        lock(&self.contents).failure.clone()
    }

    /// Makes all inputs stop, after they added what they have received.
    pub fn stop(&self) {
        lock(&self.contents).deadline.get_or_insert_with(|| Instant::now() + LAST_LINES);
        self.room.notify_all();
        signal(&self.stop);
    }

    pub fn is_stopped(&self) -> bool {
        lock(&self.contents).deadline.is_some()
    }

    /// Whether the time for last lines is over.
    pub fn is_over(&self) -> bool {
        lock(&self.contents).deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The descriptor to poll: readable while there are chunks.
    pub fn filled(&self) -> BorrowedFd<'_> {
        self.filled.as_fd()
    }

    /// Wakes the reader, to check whether an input ended.
    pub fn wake(&self) {
        signal(&self.filled);
    }

    /// Waits until `input` is readable or the timeout passes; false if the inputs must stop.
    pub fn wait(
        &self,
        input: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<bool> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut polled = vec![PollFd::new(&self.stop, PollFlags::IN)];
        polled.extend(input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(polled[0].revents().is_empty()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Contents {
    fn has_room(&self, chunk: &QueuedChunk) -> bool {
        let lane = &self.lanes[chunk.lane];
        let bytes = lane.bytes + chunk.cost();
        lane.chunks.is_empty()
            || bytes <= RESERVED
            || bytes <= CAPACITY / 2 && self.bytes + chunk.cost() <= CAPACITY
    }

    fn add(&mut self, chunk: QueuedChunk) {
        let lane = &mut self.lanes[chunk.lane];
        if lane.chunks.is_empty() {
            lane.work = lane.work.max(self.clock);
        }
        self.bytes += chunk.cost();
        lane.bytes += chunk.cost();
        lane.chunks.push_back(chunk);
    }

    fn put_back(&mut self, chunk: QueuedChunk) {
        let lane = &mut self.lanes[chunk.lane];
        self.bytes += chunk.cost();
        lane.bytes += chunk.cost();
        lane.chunks.push_front(chunk);
    }

    /// Takes the first chunk of the lane with the least work.
    fn next(&mut self) -> Option<QueuedChunk> {
        let waiting = self.lanes.iter_mut().filter(|lane| !lane.chunks.is_empty());
        let lane = waiting.min_by_key(|lane| lane.work)?;
        let chunk = lane.chunks.pop_front()?;
        self.clock = lane.work;
        lane.bytes -= chunk.cost();
        self.bytes -= chunk.cost();
        Some(chunk)
    }

    fn lose(&mut self, chunk: &QueuedChunk) {
        // The positions in files keep their lines.
        if chunk.chunk.input != Input::File {
            self.lost[chunk.chunk.input as usize] += chunk.unread();
        }
    }
}

/// Whether a descriptor can be read without waiting.
pub(super) fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

fn signal(descriptor: &OwnedFd) {
    // Fails only if the counter is at its maximum, and then the descriptor is readable.
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}

#[cfg(test)]
mod tests;
