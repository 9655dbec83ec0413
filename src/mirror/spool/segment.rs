//! One segment: a file of frames, appended at its end and read from its start.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::{
    format::{
        FRAME_HEADER, FrameHeader, HeaderError, SEGMENT_HEADER_MAX, SegmentHeader, encode_frames,
    },
    open::{create_file, open_to_read},
    portion_reader::PortionReader,
};
use crate::mirror::row::Row;

/// A segment. Its file is open only while it is read or written.
#[derive(Debug)]
pub struct Segment {
    /// Its path.
    pub path: PathBuf,
    /// Its header.
    pub header: SegmentHeader,
    /// Number of the row after its last one.
    pub end: u64,
    /// Bytes of its valid part.
    pub bytes: u64,
    /// Whether it has bytes that are not synced yet.
    pub unsynced: bool,
    file: Option<File>,
    /// Whether it can be appended to.
    open: bool,
    /// Offset of the first frame that is not delivered in full.
    at: u64,
    /// When the rows of that frame were appended, microseconds since 1970.
    since: u64,
}

impl Segment {
    /// Creates the file, which must not exist.
    pub fn create(path: PathBuf, header: SegmentHeader) -> io::Result<Self> {
        let file = create_file(&path)?;
        let start = header.encode();
        if let Err(error) = file.write_all_at(&start, 0) {
            // A file without a whole header is removed here, or at the next start.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let bytes = start.len() as u64;
        let mut segment = Self::new(path, header, bytes, bytes);
        segment.file = Some(file);
        segment.open = true;
        segment.unsynced = true;
        Ok(segment)
    }

    /// Finds a segment of an earlier session, and reads its header.
    pub fn find(path: PathBuf) -> io::Result<Result<Self, HeaderError>> {
        let file = open_to_read(&path)?;
        let bytes = file.metadata()?.len();
        Ok(read_header(&file).map(|(header, length)| Self::new(path, header, length, bytes)))
    }

    fn new(path: PathBuf, header: SegmentHeader, at: u64, bytes: u64) -> Self {
        let (end, since) = (header.first, header.time);
        Self { path, header, end, bytes, unsynced: false, file: None, open: false, at, since }
    }

    /// Walks from frame to frame; returns the number of the row after the last whole frame.
    pub fn walk_to_end(&mut self) -> u64 {
        let (mut at, mut end) = (self.at, self.header.first);
        while let Ok(Some(frame)) = self.frame(at) {
            // A truncated frame has no rows, and none can follow it.
            if at + frame.size() > self.bytes {
                break;
            }
            end = end.max(frame.end());
            at += frame.size();
        }
        self.file = None;
        end
    }

    /// Whether this many more bytes fit; a segment without frames accepts any.
    #[must_use]
    pub fn has_room(&self, bytes: usize, segment_size: u64) -> bool {
        self.open && (self.end == self.header.first || self.bytes + bytes as u64 <= segment_size)
    }

    /// Appends frames. After an error none of them counts.
    pub fn append(&mut self, frames: &[u8], end: u64, time: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(Errno::BADF.into()) };
        if let Err(error) = file.write_all_at(frames, self.bytes) {
            // Removes a partial frame; if that fails too, nothing more is appended.
            self.open = file.set_len(self.bytes).is_ok();
            return Err(error);
        }
        if self.at == self.bytes {
            self.since = time;
        }
        self.bytes += frames.len() as u64;
        self.end = end;
        self.unsynced = true;
        Ok(())
    }

    /// Stops appending. Returns whether it could be appended to until now.
    pub fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Closes the file until it is read again.
    pub fn release(&mut self) {
        if !self.open {
            self.file = None;
        }
    }

    /// Continues to read, from a row below the end. Returns whether the end was reached, so that the next segment
    /// follows.
    ///
    /// # Errors
    /// The file cannot be opened or read at the moment.
    pub fn read(&mut self, reader: &mut PortionReader) -> io::Result<bool> {
        let end = reader.until(self.end);
        if reader.next < self.header.first {
            reader.lose(self.header.first);
            return Ok(false);
        }
        let mut at = self.at;
        while reader.next < end {
            let Some(frame) = self.frame(at)? else {
                reader.lose(end);
                return Ok(false);
            };
            if frame.end() <= reader.next {
                at += frame.size();
                continue;
            }
            if frame.first > reader.next {
                reader.lose(frame.first.min(end));
                return Ok(false);
            }
            let take = end.min(frame.end()) - reader.next;
            if !reader.accepts(take, frame.time) {
                return Ok(false);
            }
            let payload = self.read_at(at + FRAME_HEADER as u64, frame.length as usize)?;
            let (rows, version) = (&mut reader.rows, self.header.version);
            let wanted = reader.next..reader.next + take;
            if !payload.is_some_and(|payload| frame.rows_of(version, &payload, wanted, rows)) {
                reader.lose(reader.next + take);
                return Ok(false);
            }
            reader.next += take;
            at += frame.size();
        }
        Ok(end == self.end)
    }

    /// Rows below this number need not be read again.
    pub fn pass(&mut self, delivered: u64) {
        if delivered >= self.end {
            self.at = self.bytes;
            return;
        }
        while let Ok(Some(frame)) = self.frame(self.at) {
            if frame.end() > delivered {
                self.since = frame.time;
                break;
            }
            self.at += frame.size();
        }
    }

    /// When the oldest row that is not delivered was appended, microseconds since 1970.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Syncs written bytes to disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.sync_data()?,
            None => open_to_read(&self.path)?.sync_data()?,
        }
        self.unsynced = false;
        Ok(())
    }

    /// Removes the file.
    pub fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The header of the frame at this offset; `None` when it is missing or damaged.
    fn frame(&mut self, at: u64) -> io::Result<Option<FrameHeader>> {
        let Some(bytes) = self.read_at(at, FRAME_HEADER)? else { return Ok(None) };
        Ok(bytes.first_chunk().and_then(FrameHeader::decode))
    }

    /// Bytes of the file; `None` when they are lost.
    fn read_at(&mut self, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        if at + length as u64 > self.bytes {
            return Ok(None);
        }
        let read = self.file().and_then(|file| {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_lost(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The open file, which is still the one that was found or created.
    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let file = open_to_read(&self.path)?;
            if read_header(&file).ok().is_none_or(|(header, _)| header != self.header) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| Errno::BADF.into())
    }
}

/// Whether a retry is of no use: the file or these bytes are gone.
fn is_lost(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    ) || matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::ISDIR | Errno::LOOP | Errno::UCLEAN | Errno::BADMSG)
    )
}

fn read_header(file: &File) -> Result<(SegmentHeader, u64), HeaderError> {
    let mut bytes = [0; SEGMENT_HEADER_MAX];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(HeaderError::Damaged),
        }
    }
    SegmentHeader::decode(&bytes[..length])
}

/// The path of a segment; names sort in the order of writing.
#[must_use]
pub fn segment_path(directory: &Path, session: u64, first: u64) -> PathBuf {
    directory.join(format!("{session:010}-{first:020}.seg"))
}

/// Encodes rows as frames into a reused buffer.
pub fn encode(rows: &[Row], first: u64, time: u64, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    // A burst of long rows must not keep its memory.
    bytes.shrink_to(1 << 20);
    encode_frames(rows, first, time, bytes)
}
