//! The bytes of a capture through one bounded buffer: file, pipe or stdin, decompressed on the way.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::fd::AsFd as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    decompress,
    pipe::{Pipe, Wait, at_most},
};

/// Bytes of the buffer: the longest block that is looked at as a whole.
pub(super) const CAPACITY: usize = 1024 * 1024;

/// A capture's bytes.
pub(super) struct Input {
    bytes: Bytes,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes after the buffer that nobody wants.
    skip: u64,
    /// Uncompressed bytes taken so far.
    taken: u64,
    read: Arc<AtomicU64>,
    size: Option<u64>,
}

/// Where the bytes come from.
enum Bytes {
    /// A file, or memory.
    Reader(Box<dyn Read + Send>),
    /// A pipe, whose bytes may be long in coming.
    Pipe(Pipe),
}

/// Opens a file, or stdin for `-`.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        // Not through `std::io::stdin`, whose own buffer would be shared.
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
        if metadata.is_file() {
            return Ok(Self { size: Some(metadata.len()), ..Self::from_reader(file)? });
        }
        let (file, read) = Counted::new(file);
        Ok(Self::new(Bytes::Pipe(Pipe::open(file)?), read))
    }

    /// Reads anything that does not pause; begins at once, to see whether it is compressed.
    pub(super) fn from_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (reader, read) = Counted::new(reader);
        Ok(Self::new(Bytes::Reader(decompress::reader(reader)?), read))
    }

    fn new(bytes: Bytes, read: Arc<AtomicU64>) -> Self {
        Self {
            bytes,
            buffer: vec![0; CAPACITY].into_boxed_slice(),
            start: 0,
            end: 0,
            skip: 0,
            taken: 0,
            read,
            size: None,
        }
    }

    /// From now on a pipe without bytes gives [`io::ErrorKind::WouldBlock`] after this time.
    pub(super) fn wait_at_most(&mut self, patience: Duration) {
        self.set_wait(at_most(patience));
    }

    /// From now on a pipe without bytes gives [`io::ErrorKind::WouldBlock`] at once.
    pub(super) fn do_not_wait(&mut self) {
        self.set_wait(Wait::Never);
    }

    fn set_wait(&mut self, wait: Wait) {
        if let Bytes::Pipe(pipe) = &mut self.bytes {
            pipe.set_wait(wait);
        }
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
            let read = match &mut self.bytes {
                Bytes::Reader(reader) => reader.read(&mut self.buffer[self.end..]),
                Bytes::Pipe(pipe) => pipe.read(&mut self.buffer[self.end..]),
            };
            match read {
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

impl<R> Counted<R> {
    /// Counts what is read through it; the number is shared.
    fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        (Self { inner, read: Arc::clone(&read) }, read)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
