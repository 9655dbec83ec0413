//! Log lines on their way to standard error, which never wait for whoever reads them.
//!
//! A hung log driver, a full pipe or a terminal stopped by Ctrl-S blocks a write without limit. Lines go to a bounded queue, and a thread of its own writes them. A line for which there is no room is
//! counted; one line says how many were left out once the reader is back.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Most bytes that wait: some 1,500 lines.
const MOST: usize = 256 << 10;

/// Bytes a write: a pipe, a socket or a terminal that is ready has room for as many (`PIPE_BUF`,
/// pipe(7)), so that such a write does not block.
const CHUNK: usize = 4096;

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

static WRITER: Writer = Writer { queue: Mutex::new(Queue::new()), changed: Condvar::new() };

/// Lines that were left out since the start.
pub(super) fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Starts the thread that writes. It has the rights of the thread that calls this; until then, a
/// line is written at once where that does not block, and queued otherwise.
pub(super) fn start() -> io::Result<()> {
    thread::Builder::new().name("log".into()).spawn(|| WRITER.run())?;
    WRITER.lock().has_thread = true;
    Ok(())
}

/// Waits until every line is written, for as long as `limit` at most.
pub(super) fn finish(limit: Option<Duration>) {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut queue = WRITER.lock();
    while queue.has_thread && !queue.bytes.is_empty() {
        queue = match left(deadline) {
            None => WRITER.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(Duration::ZERO) => return,
            Some(left) => {
                let waited = WRITER.changed.wait_timeout(queue, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
    // A start that failed: no thread was started.
    while queue.write_before(deadline) {}
}

/// What is left until then; `None` for no end.
fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// One line; queued when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        WRITER.push(&self.0);
    }
}

struct Writer {
    queue: Mutex<Queue>,
    /// Something was queued or written.
    changed: Condvar,
}

struct Queue {
    bytes: VecDeque<u8>,
    has_thread: bool,
    /// The queue was full, and is not empty yet: what comes now is left out too, so that one gap is one gap.
    is_overrun: bool,
    /// Lines that were left out and not mentioned yet.
    unmentioned: u64,
}

impl Writer {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No step between two consistent states panics.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        queue.push(line);
        if queue.has_thread {
            self.changed.notify_all();
        } else {
            while queue.write_before(Some(Instant::now())) {}
        }
    }

    /// Writes whatever is queued, for as long as the process lives.
    fn run(&self) {
        loop {
            let mut queue = self.lock();
            while queue.bytes.is_empty() {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let chunk = queue.chunk();
            drop(queue);
            // Without the lock: a file on a network file system blocks though it is ready.
            let written = write_when_ready(&chunk, None);
            let mut queue = self.lock();
            queue.account(written);
            let mention = queue.take_unmentioned(written);
            drop(queue);
            self.changed.notify_all();
            if let Some(lines) = mention {
                tracing::warn!(lines, "left out log lines: standard error was not read");
            }
        }
    }
}

impl Queue {
    const fn new() -> Self {
        Self { bytes: VecDeque::new(), has_thread: false, is_overrun: false, unmentioned: 0 }
    }

    fn push(&mut self, line: &[u8]) {
        self.is_overrun |= self.bytes.len() + line.len() > MOST;
        if self.is_overrun {
            self.leave_out(1);
        } else {
            self.bytes.extend(line);
        }
    }

    fn leave_out(&mut self, lines: u64) {
        self.unmentioned += lines;
        LEFT_OUT.fetch_add(lines, Ordering::Relaxed);
    }

    /// The next bytes to write.
    fn chunk(&self) -> Vec<u8> {
        self.bytes.iter().take(CHUNK).copied().collect()
    }

    /// Writes a chunk if that is possible before the deadline; says whether to go on.
    fn write_before(&mut self, deadline: Option<Instant>) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let written = write_when_ready(&self.chunk(), deadline);
        self.account(written);
        written != Ok(0)
    }

    /// Removes what was written, or everything when writing fails: a full disk, a closed pipe.
    fn account(&mut self, written: Result<usize, Errno>) {
        if let Ok(written) = written {
            self.bytes.drain(..written);
        } else {
            let lines = self.bytes.iter().filter(|byte| **byte == b'\n').count();
            self.bytes.clear();
            self.leave_out(lines as u64);
        }
        self.is_overrun &= !self.bytes.is_empty();
    }

    /// How many lines are to be mentioned now: only where the last line could be written.
    fn take_unmentioned(&mut self, written: Result<usize, Errno>) -> Option<u64> {
        let is_back = written.is_ok() && self.bytes.is_empty() && self.unmentioned > 0;
        is_back.then(|| std::mem::take(&mut self.unmentioned))
    }
}

/// Writes to standard error once there is room; 0 bytes if there was none before the deadline.
fn write_when_ready(chunk: &[u8], deadline: Option<Instant>) -> Result<usize, Errno> {
    let stderr = io::stderr();
    loop {
        let limit = left(deadline).and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], limit.as_ref()) {
            Ok(0) => return Ok(0),
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        match rustix::io::write(&stderr, chunk) {
            // Another process has filled it since.
            Err(Errno::AGAIN | Errno::INTR) => {}
            written => return written,
        }
    }
}
