//! Reads packets from lines of the kernel log: `/dev/kmsg`, followed files, syslog messages and standard input.
//!
//! Each input runs on a thread of its own and puts whole lines into one bounded queue. While the queue is full the inputs
//! wait: the kernel's ring buffer, the files and the senders of connections hold the lines. Only datagrams are dropped, and
//! counted. The reader's thread takes the lines from the queue and
//! reads the packets in them.

mod checkpoint;
pub mod config;
mod follow;
mod kmsg;
mod line_reader;
mod line_splitter;
mod log_file;
pub mod meter;
mod queue;
mod stdin;
pub mod syslog;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::BorrowedFd,
    time::{ClockId, clock_gettime},
};

pub use checkpoint::Checkpoint;
pub use config::KernelLogConfig;
pub use follow::{Pattern, Positions, SpoolMark, create_state_file};
pub use kmsg::{DEVICE, KmsgError, check_kmsg};
pub use log_file::{LogFile, LogFileError, first_time};
pub use meter::{Input, LineMeter, LineMetrics};

use self::{
    config::StartAt,
    follow::{Follower, open_positions},
    kmsg::Kmsg,
    line_reader::{LineReader, Origin, TimeLimits},
    queue::{ChunkQueue, QueuedChunk},
    syslog::SyslogSockets,
};
use super::{ReadOutcome, Record, Source, log::line_time::Zone};
use crate::system::{clock::unix_micros, host_name};

/// Group of the packets of lines.
pub const LINES_GROUP: u16 = 0;

/// Maximum number of records of one [`Source::fill`].
const BATCH: u32 = 1024;

/// Time limit for reading the lines in the queue after the inputs were stopped. The shutdown waits longer.
const DRAIN: Duration = Duration::from_secs(2);

/// What needs privileges, or files that are not readable later.
#[derive(Debug)]
pub struct KernelLogResources {
    kmsg: Option<Kmsg>,
    syslog: SyslogSockets,
    zone: Zone,
    host: String,
}

impl KernelLogResources {
    /// Opens `/dev/kmsg` if it is configured, and the sockets of the syslog listener.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn open(config: &KernelLogConfig) -> anyhow::Result<Self> {
        let kmsg = config.kmsg.then(|| Kmsg::open(config.from)).transpose()?;
        let syslog = SyslogSockets::open(&config.syslog, &config.allow, &config.tls)?;
        let host = host_name();
        Ok(Self { kmsg, syslog, zone: Zone::system(), host })
    }
}

/// A [`Source`] of packets in lines of the kernel log.
pub struct KernelLog {
    queue: Arc<ChunkQueue>,
    inputs: Vec<InputThread>,
    reader: LineReader,
    meter: Arc<LineMeter>,
    positions: Option<Arc<Positions>>,
    /// Saves the positions.
    saver: Option<JoinHandle<()>>,
    /// The position to save once the batch was handed over.
    checkpoint: Option<Checkpoint>,
    /// When the rest of the queue counts as lost; `None` before [`Source::close`].
    drained_by: Option<Instant>,
}

struct InputThread {
    name: &'static str,
    thread: JoinHandle<()>,
    /// Whether it may end: standard input has an end.
    can_end: bool,
}

impl KernelLog {
    /// Starts the inputs. `has_spooled` returns whether an earlier run spooled all rows before a point.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        config: &KernelLogConfig,
        resources: KernelLogResources,
        has_spooled: &dyn Fn(SpoolMark) -> bool,
    ) -> io::Result<Self> {
        let queue = ChunkQueue::new()?;
        let meter = Arc::<LineMeter>::default();
        let reader = LineReader::new(resources.zone, Arc::clone(&meter), &resources.host);
        let mut log = Self {
            queue,
            inputs: Vec::new(),
            reader,
            meter,
            positions: None,
            saver: None,
            checkpoint: None,
            drained_by: None,
        };
        if let Some(kmsg) = resources.kmsg {
            let meter = Arc::clone(&log.meter);
            log.spawn("kmsg", false, move |queue| kmsg.run(queue, &meter))?;
        }
        resources.syslog.log();
        for run in resources.syslog.threads(&log.queue, &log.meter) {
            log.spawn("syslog", false, run)?;
        }
        if config.reads_stdin() {
            let meter = Arc::clone(&log.meter);
            log.spawn("stdin", true, move |queue| stdin::run(queue, &meter))?;
        }
        let patterns = config.patterns();
        if !patterns.is_empty() {
            let (positions, saved) = open_positions(&config.state_file, has_spooled);
            log.positions = Some(Arc::clone(&positions));
            let saving = Arc::clone(&positions);
            let thread = thread::Builder::new().name("positions".into());
            log.saver = Some(thread.spawn(move || saving.run())?);
            let shared = (Arc::clone(&log.queue), Arc::clone(&log.meter));
            let follower =
                Follower::new(patterns, config.from == StartAt::Start, shared, (positions, saved));
            log.spawn("log-files", false, move |_| follower.run())?;
        }
        Ok(log)
    }

    fn spawn(
        &mut self,
        name: &'static str,
        can_end: bool,
        run: impl FnOnce(&ChunkQueue) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            if let Err(error) = run(&queue) {
                queue.fail(format!("cannot read the kernel log ({name}): {error}"));
            }
            queue.wake();
        })?;
        self.inputs.push(InputThread { name, thread, can_end });
        Ok(())
    }

    /// The counts of lines.
    #[must_use]
    pub fn meter(&self) -> Arc<LineMeter> {
        Arc::clone(&self.meter)
    }

    /// The positions in the followed files, if any are followed.
    #[must_use]
    pub fn positions(&self) -> Option<Arc<Positions>> {
        self.positions.clone()
    }

    /// The descriptor to poll: readable while there are lines.
    pub(in crate::source) fn descriptor(&self) -> BorrowedFd<'_> {
        self.queue.filled()
    }

    /// Reads the next lines without waiting.
    pub(in crate::source) fn read(
        &mut self,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        if self.drained_by.is_some_and(|end| Instant::now() >= end) {
            return Ok(self.end());
        }
        let Some(mut chunk) = self.queue.pop() else { return self.without_lines() };
        let (lines, records) = self.read_chunk(&mut chunk, take);
        self.checkpoint = chunk.checkpoint();
        self.queue.worked(chunk, u64::from(lines + records));
        Ok(if records > 0 { ReadOutcome::Batch } else { ReadOutcome::Idle })
    }

    /// Reads about a batch. Returns the numbers of lines and of records. A batch of a file ends with a line: a position
    /// cannot be inside one, and after a kill the packets before it would count again.
    fn read_chunk(
        &mut self,
        queued: &mut QueuedChunk,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> (u32, u32) {
        let QueuedChunk { chunk, done, repeated, .. } = queued;
        let is_received = chunk.sender.is_some();
        let sender = chunk.sender.filter(|sender| !sender.is_loopback());
        let sender = sender.map_or_else(String::new, |sender| sender.to_canonical().to_string());
        let now = unix_micros();
        let origin = Origin {
            input: chunk.input,
            stream: chunk.stream,
            sender: sender.as_bytes(),
            reference: now,
            boot: matches!(chunk.input, meter::Input::Kmsg).then(|| now.saturating_sub(uptime())),
            unknown: None,
            limits: if is_received { TimeLimits::RECEIVED } else { TimeLimits::OWN },
        };
        self.reader.swap_repeated(repeated);
        let mut lines = 0;
        let mut records = self.reader.read_repeated(BATCH, take);
        while records < BATCH && !self.reader.is_repeating() && *done < chunk.lines.len() {
            let rest = &chunk.lines[*done..];
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            self.reader.read(&rest[..end], &origin, &mut |record| {
                records += 1;
                take(record);
            });
            if chunk.checkpoint.is_some() {
                records += self.reader.read_repeated(u32::MAX, take);
            }
            *done += end;
            lines += 1;
        }
        self.reader.swap_repeated(repeated);
        (lines, records)
    }

    /// The queue is empty: checks whether the inputs still run.
    fn without_lines(&mut self) -> anyhow::Result<ReadOutcome> {
        if let Some(failure) = self.queue.failure() {
            return Err(anyhow!(failure));
        }
        let has_ended = |input: &InputThread| input.thread.is_finished();
        let is_closed = self.drained_by.is_some();
        if let Some(input) =
            self.inputs.iter().find(|input| has_ended(input) && !input.can_end && !is_closed)
        {
            return Err(anyhow!("the thread {} of the kernel log panicked", input.name));
        }
        // An input may have added its last lines after the queue was empty.
        let is_over = self.inputs.iter().all(has_ended) && self.queue.is_empty();
        Ok(if is_over { self.end() } else { ReadOutcome::Idle })
    }

    /// Counts the lines that are not read any more. Those in files are read after the next start.
    fn end(&self) -> ReadOutcome {
        let lost = self.queue.clear();
        for (input, lines) in meter::Input::ALL.into_iter().zip(lost) {
            self.meter.lose(input, lines);
            if lines > 0 {
                let source = input.name();
                tracing::warn!(
                    source,
                    lines,
                    "lines of the kernel log were not read before the end"
                );
            }
        }
        ReadOutcome::End
    }

    /// Waits until there are lines, or the timeout passes.
    fn wait(&self, timeout: Duration) -> anyhow::Result<()> {
        let mut polled = [PollFd::from_borrowed_fd(self.queue.filled(), PollFlags::IN)];
        match poll(&mut polled, Timespec::try_from(timeout).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for lines of the kernel log"),
        }
    }
}

impl Source for KernelLog {
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.wait(timeout)?;
        self.read(take)
    }

    fn handing_over(&mut self) {
        if let (Some(checkpoint), Some(positions)) = (self.checkpoint.take(), &self.positions) {
            positions.handing_over(checkpoint);
        }
    }

    fn handed_over(&mut self) {
        if let Some(positions) = &self.positions {
            positions.handed_over();
        }
    }

    /// Stops the inputs. Lines that they have received are still read, within a time limit.
    fn close(&mut self) {
        self.drained_by.get_or_insert_with(|| Instant::now() + DRAIN);
        self.queue.stop();
    }
}

impl Drop for KernelLog {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(positions) = &self.positions {
            positions.close();
        }
        if let Some(saver) = self.saver.take() {
            // It panicked: there is nothing left to save.
            let _ = saver.join();
        }
    }
}

/// Microseconds since the start of the system, by the clock of the kernel's log.
fn uptime() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(time.tv_sec) * 1_000_000 + i128::from(time.tv_nsec) / 1000;
    u64::try_from(micros).unwrap_or(0)
}
