//! The bytes of a capture through one bounded buffer: file, pipe or stdin, decompressed on the way.

use std::{
    fmt,
    fs::File,
    io::{self, Cursor, Read},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use flate2::read::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of the buffer: the longest block that is looked at as a whole.
pub(super) const CAPACITY: usize = 1024 * 1024;

/// First bytes of a gzip stream, RFC 1952.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A capture's bytes.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    /// What to ask whether bytes are there, where they may be long in coming.
    pipe: Option<OwnedFd>,
    wait: Wait,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes behind the buffer that nobody wants.
    skip: u64,
    /// Uncompressed bytes taken so far.
    taken: u64,
    read: Arc<AtomicU64>,
    size: Option<u64>,
}

/// How long to wait for a pipe.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Forever,
    Until(Instant),
    Never,
}

/// Opens a file, or stdin for `-`.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        // Not through `std::io::stdin`, whose own buffer would hide bytes from poll(2).
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    File::open(path)
}

impl Input {
    /// Reads an open file or pipe.
    pub(super) fn from_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let regular = metadata.is_file();
        let pipe = if regular { None } else { Some(file.as_fd().try_clone_to_owned()?) };
        let size = regular.then_some(metadata.len());
        Ok(Self { pipe, size, ..Self::from_reader(file)? })
    }

    /// Reads anything; waits for its first two bytes, which tell whether it is compressed.
    pub(super) fn from_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let mut reader = Counted { inner: reader, read: Arc::clone(&read) };
        let mut first = Vec::with_capacity(GZIP.len());
        reader.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
        let compressed = first == GZIP;
        let whole = Cursor::new(first).chain(reader);
        let reader: Box<dyn Read + Send> =
            if compressed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Self {
            reader,
            pipe: None,
            wait: Wait::Forever,
            buffer: vec![0; CAPACITY].into_boxed_slice(),
            start: 0,
            end: 0,
            skip: 0,
            taken: 0,
            read,
            size: None,
        })
    }

    /// From now on a pipe without bytes gives [`io::ErrorKind::WouldBlock`] after this time.
    pub(super) fn wait_at_most(&mut self, patience: Duration) {
        if self.pipe.is_some() {
            self.wait = Instant::now().checked_add(patience).map_or(Wait::Forever, Wait::Until);
        }
    }

    /// From now on a pipe without bytes gives [`io::ErrorKind::WouldBlock`] at once.
    pub(super) fn do_not_wait(&mut self) {
        self.wait = Wait::Never;
    }

    /// Makes `length` bytes ready, [`CAPACITY`] at most; false when the input ends before them.
    /// After an error it can be called again.
    pub(super) fn need(&mut self, length: usize) -> io::Result<bool> {
        debug_assert!(length <= CAPACITY, "more than the buffer holds");
        loop {
            let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.ready());
            self.advance(over);
            self.skip -= over as u64;
            if self.skip == 0 && self.ready() >= length {
                return Ok(true);
            }
            if self.start == self.end || self.start + length > CAPACITY {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            self.wait_for_bytes()?;
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing is left of what was begun: at the input's end, whether that end is clean.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.skip == 0 && self.ready() == 0
    }

    /// The next bytes, which stay; [`Self::need`] made them ready.
    pub(super) fn peek(&self, length: usize) -> &[u8] {
        &self.buffer[self.start..self.end][..length]
    }

    /// All that is ready.
    pub(super) fn peek_all(&self) -> &[u8] {
        self.peek(self.ready())
    }

    /// The next bytes, and steps over them; [`Self::need`] made them ready.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.advance(length);
        &self.buffer[start..self.start]
    }

    /// Steps over bytes, however many, ready or not.
    pub(super) fn skip(&mut self, length: u64) {
        self.skip += length;
    }

    /// Uncompressed bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.taken
    }

    /// Bytes read from the file so far.
    pub(super) fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file, where it is one.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    fn ready(&self) -> usize {
        self.end - self.start
    }

    fn advance(&mut self, length: usize) {
        debug_assert!(length <= self.ready(), "more than is ready");
        self.start += length;
        self.taken += length as u64;
    }

    fn wait_for_bytes(&self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let timeout = match self.wait {
            Wait::Forever => return Ok(()),
            Wait::Until(deadline) => deadline.saturating_duration_since(Instant::now()),
            Wait::Never => Duration::ZERO,
        };
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Input")
            .field("offset", &self.taken)
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
