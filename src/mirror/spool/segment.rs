//! One segment: a file of frames, written at its end and read from its beginning.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::{
    folder::{create_file, open_to_read},
    format::{
        FRAME_HEADER, FrameHeader, HeaderFlaw, SEGMENT_HEADER_MAX, SegmentHeader, encode_frames,
    },
    reading::Reading,
};
use crate::mirror::row::Row;

/// A segment as far as this program knows it. Its file is open only while it is read or written.
#[derive(Debug)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// What stands at its beginning.
    pub header: SegmentHeader,
    /// Number of the row behind its last one.
    pub end: u64,
    /// Bytes of it that count.
    pub bytes: u64,
    /// Whether bytes were written that the disk was not asked to keep yet.
    pub unsynced: bool,
    file: Option<File>,
    /// Whether more can be written at its end.
    open: bool,
    /// Where the first frame begins that is not delivered as a whole.
    at: u64,
    /// When the rows of that frame were appended.
    since: u64,
}

impl Segment {
    /// Makes the file; it must not exist.
    pub fn create(path: PathBuf, header: SegmentHeader) -> io::Result<Self> {
        let file = create_file(&path)?;
        let start = header.encode();
        if let Err(error) = file.write_all_at(&start, 0) {
            // A file without a whole header is removed at the next start, if not here.
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

    /// Finds one that an earlier life left, read up to its header.
    pub fn find(path: PathBuf) -> io::Result<Result<Self, HeaderFlaw>> {
        let file = open_to_read(&path)?;
        let bytes = file.metadata()?.len();
        Ok(read_header(&file).map(|(header, length)| Self::new(path, header, length, bytes)))
    }

    fn new(path: PathBuf, header: SegmentHeader, at: u64, bytes: u64) -> Self {
        let (end, since) = (header.first, header.time);
        Self { path, header, end, bytes, unsynced: false, file: None, open: false, at, since }
    }

    /// Number of the row behind the last whole frame, found by a walk from frame to frame.
    pub fn walk_to_end(&mut self) -> u64 {
        let (mut at, mut end) = (self.at, self.header.first);
        while let Ok(Some(frame)) = self.frame(at) {
            // A frame that was cut has no rows, and none can stand behind it.
            if at + frame.size() > self.bytes {
                break;
            }
            end = end.max(frame.end());
            at += frame.size();
        }
        self.file = None;
        end
    }

    /// Whether this much more may be put behind its frames; a segment without frames takes any.
    #[must_use]
    pub fn has_room(&self, bytes: usize, segment_size: u64) -> bool {
        self.open && (self.end == self.header.first || self.bytes + bytes as u64 <= segment_size)
    }

    /// Writes frames at the end. After an error nothing of them counts.
    pub fn append(&mut self, frames: &[u8], end: u64, time: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(Errno::BADF.into()) };
        if let Err(error) = file.write_all_at(frames, self.bytes) {
            // Half a frame is cut off again; where that fails too, nothing more is put behind it.
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

    /// Writes no more to it. Returns whether it was written till now.
    pub fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Lets the file go until it is read again.
    pub fn release(&mut self) {
        if !self.open {
            self.file = None;
        }
    }

    /// Reads on from where the reading is, which is below the end. Returns whether it came to the end
    /// and the next segment may be asked.
    ///
    /// # Errors
    /// The file cannot be opened or read at the moment.
    pub fn read(&mut self, reading: &mut Reading) -> io::Result<bool> {
        let end = reading.until(self.end);
        if reading.next < self.header.first {
            reading.lose(self.header.first);
            return Ok(false);
        }
        let mut at = self.at;
        while reading.next < end {
            let Some(frame) = self.frame(at)? else {
                reading.lose(end);
                return Ok(false);
            };
            if frame.end() <= reading.next {
                at += frame.size();
                continue;
            }
            if frame.first > reading.next {
                reading.lose(frame.first.min(end));
                return Ok(false);
            }
            let skip = reading.next - frame.first;
            let take = end.min(frame.end()) - reading.next;
            if !reading.takes(take, frame.time) {
                return Ok(false);
            }
            let payload = self.read_at(at + FRAME_HEADER as u64, frame.length as usize)?;
            let rows = &mut reading.rows;
            if !payload.is_some_and(|payload| frame.rows_of(&payload, skip, take, rows)) {
                reading.lose(reading.next + take);
                return Ok(false);
            }
            reading.next += take;
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

    /// Asks the disk to keep what was written.
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

    /// The header of the frame that begins here; `None` when there is none to be read.
    fn frame(&mut self, at: u64) -> io::Result<Option<FrameHeader>> {
        let Some(bytes) = self.read_at(at, FRAME_HEADER)? else { return Ok(None) };
        Ok(bytes.first_chunk().and_then(FrameHeader::decode))
    }

    /// Bytes of the file; `None` when they cannot be had at all.
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

    /// The open file, which is still the one that was found or made.
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

/// Whether trying again is of no use: the file or these bytes of it are gone.
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

fn read_header(file: &File) -> Result<(SegmentHeader, u64), HeaderFlaw> {
    let mut bytes = [0; SEGMENT_HEADER_MAX];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(HeaderFlaw::Broken),
        }
    }
    SegmentHeader::decode(&bytes[..length])
}

/// The name of a segment: in the order of names they were written.
#[must_use]
pub fn segment_path(folder: &Path, life: u64, first: u64) -> PathBuf {
    folder.join(format!("{life:010}-{first:020}.seg"))
}

/// As bytes of a file.
pub fn encode(rows: &[Row], first: u64, time: u64, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    // One burst of long rows must not keep its memory for ever.
    bytes.shrink_to(1 << 20);
    encode_frames(rows, first, time, bytes)
}
