//! The queue from the inputs, each on a thread of its own, to the reader.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};

use super::{checkpoint::Checkpoint, meter::Input};
use crate::system::lock::{lock, wait_timeout};

/// Maximum bytes of all queued chunks.
const CAPACITY: usize = 16 << 20;

/// What a queued chunk costs in addition to its lines, approximately, bytes.
const OVERHEAD: usize = 256;

/// How often an input that waits for room checks whether it must stop.
const STOP_INTERVAL: Duration = Duration::from_millis(200);

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
    fn cost(&self) -> usize {
        self.lines.capacity() + OVERHEAD
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
}

#[derive(Debug, Default)]
struct Contents {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    failure: Option<String>,
    is_stopped: bool,
}

impl ChunkQueue {
    pub fn new() -> io::Result<Arc<Self>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Arc::new(Self {
            contents: Mutex::default(),
            room: Condvar::new(),
            filled: eventfd(0, flags)?,
            stop: eventfd(0, flags)?,
        }))
    }

    /// Adds a chunk, after waiting for room. Returns false if the input must stop; then the chunk was not added.
    pub fn push(&self, chunk: Chunk) -> bool {
        let mut contents = lock(&self.contents);
        loop {
            if contents.is_stopped {
                return false;
            }
            if contents.has_room(&chunk) {
                contents.add(chunk);
                drop(contents);
                signal(&self.filled);
                return true;
            }
            contents = wait_timeout(&self.room, contents, STOP_INTERVAL);
        }
    }

    /// Adds a chunk if there is room; otherwise returns it.
    pub fn try_push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut contents = lock(&self.contents);
        if !contents.has_room(&chunk) {
            return Err(chunk);
        }
        contents.add(chunk);
        drop(contents);
        signal(&self.filled);
        Ok(())
    }

    /// The next chunk.
    pub fn pop(&self) -> Option<Chunk> {
        let mut contents = lock(&self.contents);
        let Some(chunk) = contents.chunks.pop_front() else {
            // Under the lock, so that no signal of a later chunk is lost.
            let _ = rustix::io::read(&self.filled, &mut [0; 8]);
            return None;
        };
        contents.bytes -= chunk.cost();
        drop(contents);
        self.room.notify_all();
        Some(chunk)
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

    /// Makes all inputs stop.
    pub fn stop(&self) {
        lock(&self.contents).is_stopped = true;
        self.room.notify_all();
        signal(&self.stop);
    }

    pub fn is_stopped(&self) -> bool {
        lock(&self.contents).is_stopped
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
    fn has_room(&self, chunk: &Chunk) -> bool {
        self.chunks.is_empty() || self.bytes + chunk.cost() <= CAPACITY
    }

    fn add(&mut self, chunk: Chunk) {
        self.bytes += chunk.cost();
        self.chunks.push_back(chunk);
    }
}

fn signal(descriptor: &OwnedFd) {
    // Fails only if the counter is at its maximum, and then the descriptor is readable.
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(length: usize) -> Chunk {
        Chunk {
            lines: vec![b'x'; length],
            input: Input::Syslog,
            stream: 0,
            sender: None,
            checkpoint: None,
        }
    }

    fn is_readable(queue: &ChunkQueue) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(queue.filled(), PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn the_queue_is_bounded_and_signals_its_chunks() {
        let queue = ChunkQueue::new().unwrap();
        assert!(!is_readable(&queue));
        let mut added = 0_usize;
        while queue.try_push(chunk(1 << 20)).is_ok() {
            added += 1;
        }
        assert_eq!(added, 15);
        assert!(is_readable(&queue));
        assert!(std::iter::from_fn(|| queue.pop()).count() == added && !is_readable(&queue));
        // A chunk that is larger than the queue does not wait forever.
        assert!(queue.try_push(chunk(CAPACITY)).is_ok() && queue.try_push(chunk(1)).is_err());
    }

    #[test]
    fn a_full_queue_makes_the_input_wait_until_there_is_room_or_it_must_stop() {
        let queue = ChunkQueue::new().unwrap();
        assert!(queue.push(chunk(CAPACITY)));
        std::thread::scope(|scope| {
            let pushing = scope.spawn(|| queue.push(chunk(1)));
            while queue.pop().is_none_or(|chunk| chunk.lines.len() > 1) {
                std::thread::yield_now();
            }
            assert!(pushing.join().unwrap());
            assert!(queue.push(chunk(CAPACITY)));
            let pushing = scope.spawn(|| queue.push(chunk(1)));
            queue.stop();
            assert!(!pushing.join().unwrap());
        });
        assert!(!queue.wait(None, None).unwrap());
    }
}
