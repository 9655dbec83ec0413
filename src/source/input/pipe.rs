//! Reads a pipe on its own thread, so that other reads can have a timeout.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::decompress;

/// Maximum size of a chunk, bytes.
const CHUNK: usize = 64 * 1024;
/// Maximum number of queued chunks.
const WAITING: usize = 4;

/// The timeout of a read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Forever,
    Until(Instant),
    Never,
}

/// The decompressed bytes of a pipe.
///
/// The thread ends with the pipe, or with the process: a blocked read cannot be cancelled.
pub(super) struct Pipe {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    /// Consumed bytes of the chunk.
    taken: usize,
    wait: Wait,
}

impl Pipe {
    /// Starts the thread.
    pub(super) fn open(file: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(WAITING);
        thread::Builder::new().name("pipe".into()).spawn(move || {
            // Sending fails if the receiver was dropped, which needs no error.
            if let Err(error) = pump(file, &sender) {
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(Self { chunks, chunk: Vec::new(), taken: 0, wait: Wait::Forever })
    }

    /// Sets the timeout of later reads; after it they return [`io::ErrorKind::WouldBlock`].
    pub(super) fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// The next chunk; `None` at the end.
    fn next(&self) -> io::Result<Option<Vec<u8>>> {
        let received = match self.wait {
            Wait::Forever => self.chunks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Wait::Until(deadline) => {
                self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
            Wait::Never => self.chunks.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
        };
        match received {
            Ok(chunk) => chunk.map(Some),
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::WouldBlock.into()),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            let Some(chunk) = self.next()? else { return Ok(0) };
            self.chunk = chunk;
            self.taken = 0;
        }
        let rest = &self.chunk[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// Reads chunks and sends them, until the end.
fn pump(
    file: impl Read + Send + 'static,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut reader = decompress::reader(file)?;
    loop {
        let mut chunk = vec![0; CHUNK];
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => chunk.truncate(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if chunks.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

/// A wait that ends `timeout` from now.
pub(super) fn at_most(timeout: Duration) -> Wait {
    Instant::now().checked_add(timeout).map_or(Wait::Forever, Wait::Until)
}
