//! Writes log lines to standard error without blocking the threads that log.
//!
//! A hung log driver, a full pipe or a terminal stopped by Ctrl-S blocks a write without limit. Lines go to a
//! bounded queue, which a separate thread writes. Lines that exceed the queue are dropped and counted; when the
//! queue is empty again, a line reports their number.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::apostrophes;
use crate::system::{
    lock::{lock, wait, wait_timeout},
    untrusted_text::lines,
};

/// Maximum size of the queue in bytes: about 1,500 lines.
const MAX_QUEUED: usize = 256 << 10;

/// Bytes of one write. A pipe, a socket or a terminal that is ready has room for this many (`PIPE_BUF`,
/// pipe(7)), so the write does not block.
const CHUNK: usize = 4096;

static DROPPED: AtomicU64 = AtomicU64::new(0);

static WRITER: LogWriter =
    LogWriter { queue: Mutex::new(LineQueue::new()), changed: Condvar::new() };

/// Number of lines dropped since the start because standard error was not read.
pub(super) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts the thread that writes, with the privileges of the calling thread. Until then, a
/// line is written at once if that does not block, and queued otherwise.
pub(super) fn start() -> io::Result<()> {
    thread::Builder::new().name("log".into()).spawn(|| WRITER.run())?;
    WRITER.lock().has_thread = true;
    Ok(())
}

/// Waits until every line is written, for at most `limit`.
pub(super) fn finish(limit: Option<Duration>) {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut queue = WRITER.lock();
    while queue.has_thread && !queue.bytes.is_empty() {
        queue = match remaining(deadline) {
            None => wait(&WRITER.changed, queue),
            Some(Duration::ZERO) => return,
            Some(limit) => wait_timeout(&WRITER.changed, queue, limit),
        };
    }
    // After a failed start no thread was started.
    while queue.write_before(deadline) {}
}

/// Time until the deadline; `None` without a deadline.
fn remaining(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// One log line, which is queued when it is dropped. It can contain names of files and other text from outside.
#[derive(Debug, Default)]
pub(super) struct LogLine(Vec<u8>);

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let line = apostrophes::unescaped(&String::from_utf8_lossy(&self.0));
        WRITER.push(lines(&line).as_bytes());
    }
}

struct LogWriter {
    queue: Mutex<LineQueue>,
    /// Notified when bytes were queued or written.
    changed: Condvar,
}

struct LineQueue {
    bytes: VecDeque<u8>,
    has_thread: bool,
    /// The queue was full and is not empty yet: new lines are dropped too, so that there is one gap and not many.
    is_overrun: bool,
    /// Number of dropped lines that no line has reported yet.
    unreported: u64,
}

impl LogWriter {
    fn lock(&self) -> MutexGuard<'_, LineQueue> {
        // No step between two consistent states panics.
        lock(&self.queue)
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

    /// Writes queued bytes until the process ends.
    fn run(&self) {
        loop {
            let mut queue = self.lock();
            while queue.bytes.is_empty() {
                queue = wait(&self.changed, queue);
            }
            let chunk = queue.chunk();
            drop(queue);
            // Without the lock: a write to a file on a network file system blocks even if poll(2) reports it ready.
            let written = write_when_ready(&chunk, None);
            let mut queue = self.lock();
            queue.record(written);
            let unreported = queue.take_unreported(written);
            drop(queue);
            self.changed.notify_all();
            if let Some(lines) = unreported {
                tracing::warn!(lines, "dropped log lines: standard error was not read");
            }
        }
    }
}

impl LineQueue {
    const fn new() -> Self {
        Self { bytes: VecDeque::new(), has_thread: false, is_overrun: false, unreported: 0 }
    }

    fn push(&mut self, line: &[u8]) {
        self.is_overrun |= self.bytes.len() + line.len() > MAX_QUEUED;
        if self.is_overrun {
            self.count_dropped(1);
        } else {
            self.bytes.extend(line);
        }
    }

    fn count_dropped(&mut self, lines: u64) {
        self.unreported += lines;
        DROPPED.fetch_add(lines, Ordering::Relaxed);
    }

    /// The next bytes to write.
    fn chunk(&self) -> Vec<u8> {
        self.bytes.iter().take(CHUNK).copied().collect()
    }

    /// Writes a chunk if that is possible before the deadline. Returns whether to continue.
    fn write_before(&mut self, deadline: Option<Instant>) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let written = write_when_ready(&self.chunk(), deadline);
        self.record(written);
        written != Ok(0)
    }

    /// Removes the written bytes, or all bytes if writing failed, as on a full disk or a closed pipe.
    fn record(&mut self, written: Result<usize, Errno>) {
        if let Ok(written) = written {
            self.bytes.drain(..written);
        } else {
            let lines = self.bytes.iter().filter(|byte| **byte == b'\n').count();
            self.bytes.clear();
            self.count_dropped(lines as u64);
        }
        self.is_overrun &= !self.bytes.is_empty();
    }

    /// The number of dropped lines to report now, once the queue is written.
    fn take_unreported(&mut self, written: Result<usize, Errno>) -> Option<u64> {
        let is_due = written.is_ok() && self.bytes.is_empty() && self.unreported > 0;
        is_due.then(|| std::mem::take(&mut self.unreported))
    }
}

/// Writes to standard error when there is room. Returns 0 if there was no room before the deadline.
fn write_when_ready(chunk: &[u8], deadline: Option<Instant>) -> Result<usize, Errno> {
    let stderr = io::stderr();
    loop {
        let limit = remaining(deadline).and_then(|limit| Timespec::try_from(limit).ok());
        match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], limit.as_ref()) {
            Ok(0) => return Ok(0),
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        match rustix::io::write(&stderr, chunk) {
            // Another process filled it in the meantime.
            Err(Errno::AGAIN | Errno::INTR) => {}
            written => return written,
        }
    }
}
