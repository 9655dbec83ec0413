//! Reads a capture or a log from a file, a pipe or stdin through one bounded buffer, decompressed.

mod decompress;
mod pipe;

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

use self::pipe::{Pipe, Wait, at_most};

/// Size of the buffer, bytes: the longest block that can be parsed.
pub(super) const CAPACITY: usize = 1024 * 1024;

/// The bytes of a file.
pub(super) struct Input {
    bytes: ByteSource,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes to skip.
    skip: u64,
    /// Uncompressed bytes consumed so far.
    taken: u64,
    read: Arc<AtomicU64>,
    size: Option<u64>,
}

/// The origin of the bytes.
enum ByteSource {
    /// A file, or memory.
    Reader(Box<dyn Read + Send>),
    /// A pipe, which may have no bytes for a long time.
    Pipe(Pipe),
}

/// A reader of the decompressed bytes of a file; of its bytes if it is not compressed.
pub(super) fn decompressed(file: File) -> io::Result<Box<dyn Read + Send>> {
    decompress::reader(file)
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
        let (file, read) = CountingReader::new(file);
        Ok(Self::new(ByteSource::Pipe(Pipe::open(file)?), read))
    }

    /// Reads from a reader that does not pause. Reads its first bytes at once, to detect compression.
    pub(super) fn from_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (reader, read) = CountingReader::new(reader);
        Ok(Self::new(ByteSource::Reader(decompress::reader(reader)?), read))
    }

    fn new(bytes: ByteSource, read: Arc<AtomicU64>) -> Self {
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

    /// Makes later reads of an empty pipe return [`io::ErrorKind::WouldBlock`] after `timeout`.
    pub(super) fn wait_at_most(&mut self, timeout: Duration) {
        self.set_wait(at_most(timeout));
    }

    /// Makes later reads of an empty pipe return [`io::ErrorKind::WouldBlock`] at once.
    pub(super) fn do_not_wait(&mut self) {
        self.set_wait(Wait::Never);
    }

    fn set_wait(&mut self, wait: Wait) {
        if let ByteSource::Pipe(pipe) = &mut self.bytes {
            pipe.set_wait(wait);
        }
    }

    /// Buffers at least `length` bytes, at most [`CAPACITY`]; false if the input ends before. Can be called again
    /// after an error.
    pub(super) fn fill(&mut self, length: usize) -> io::Result<bool> {
        debug_assert!(length <= CAPACITY, "more than the buffer holds");
        loop {
            let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffered());
            self.advance(over);
            self.skip -= over as u64;
            if self.skip == 0 && self.buffered() >= length {
                return Ok(true);
            }
            if self.start == self.end || self.start + length > CAPACITY {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let read = match &mut self.bytes {
                ByteSource::Reader(reader) => reader.read(&mut self.buffer[self.end..]),
                ByteSource::Pipe(pipe) => pipe.read(&mut self.buffer[self.end..]),
            };
            match read {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether all bytes were consumed; at the end of the input, whether it is not truncated.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.skip == 0 && self.buffered() == 0
    }

    /// The next bytes, without consuming them; [`Self::fill`] must have buffered them.
    pub(super) fn peek(&self, length: usize) -> &[u8] {
        &self.buffer[self.start..self.end][..length]
    }

    /// All buffered bytes.
    pub(super) fn peek_all(&self) -> &[u8] {
        self.peek(self.buffered())
    }

    /// Consumes the next bytes; [`Self::fill`] must have buffered them.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.advance(length);
        &self.buffer[start..self.start]
    }

    /// Skips bytes, buffered or not.
    pub(super) fn skip(&mut self, length: u64) {
        self.skip += length;
    }

    /// Uncompressed bytes consumed so far.
    pub(super) fn offset(&self) -> u64 {
        self.taken
    }

    /// Bytes read from the file so far, compressed ones if it is compressed.
    pub(super) fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Size of the file, bytes; `None` for a pipe.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    fn buffered(&self) -> usize {
        self.end - self.start
    }

    fn advance(&mut self, length: usize) {
        debug_assert!(length <= self.buffered(), "more than is buffered");
        self.start += length;
        self.taken += length as u64;
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Input")
            .field("offset", &self.taken)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

/// A reader that counts the bytes read.
struct CountingReader<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R> CountingReader<R> {
    /// The reader, and its counter.
    fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        (Self { inner, read: Arc::clone(&read) }, read)
    }
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
