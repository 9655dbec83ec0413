//! Writes rows to segments: chooses the segment, starts a new one, and enforces the spool's size.

use std::{io, time::Instant};

use super::{
    Spool,
    format::{SegmentHeader, VERSION},
    io_error::explain,
    segment::{self, Segment, segment_path},
};
use crate::mirror::row::Row;

/// Maximum bytes of a segment, unless a single append exceeds it.
const SEGMENT_SIZE: u64 = 8 << 20;
/// Minimum number of segments in a full spool, so that space is freed in small parts.
const SEGMENTS: u64 = 8;
/// Maximum number of names to try for a new segment: other files may have them.
const NAMES: usize = 16;

/// The result of writing rows.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// They are on disk.
    Written,
    /// The spool has its maximum size.
    Full,
    /// The disk fails, or is not to be retried yet.
    Unusable,
}

enum WriteError {
    Full,
    Disk(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Spool {
    /// Writes the rows in memory, then these rows.
    pub(super) fn write_to_disk(&mut self, rows: &[Row], now: u64) -> WriteOutcome {
        if self.directory.is_none() || (self.io_error.is_some() && Instant::now() < self.due) {
            return WriteOutcome::Unusable;
        }
        let written = self.write_buffered().and_then(|()| self.write(self.next, rows, now));
        match written {
            Ok(()) => WriteOutcome::Written,
            Err(WriteError::Full) => WriteOutcome::Full,
            Err(WriteError::Disk(error)) => {
                self.fail(explain("write a segment", &self.plan.directory, &error));
                WriteOutcome::Unusable
            }
        }
    }

    fn write_buffered(&mut self) -> Result<(), WriteError> {
        while let Some(batch) = self.memory_buffer.pop() {
            let first = batch.first.max(self.present.delivered);
            if let Err(rejected) = self.write(first, batch.from(first), batch.time) {
                self.memory_buffer.put_back(batch);
                return Err(rejected);
            }
        }
        Ok(())
    }

    fn write(&mut self, first: u64, rows: &[Row], time: u64) -> Result<(), WriteError> {
        let mut frames = std::mem::take(&mut self.scratch);
        let written = self.write_encoded(first, rows, time, &mut frames);
        self.scratch = frames;
        written
    }

    fn write_encoded(
        &mut self,
        first: u64,
        rows: &[Row],
        time: u64,
        frames: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        if !segment::encode(rows, first, time, frames) {
            let why = "a row is longer than a segment's frame may be";
            return Err(io::Error::other(why).into());
        }
        let segment_size = (self.plan.max_size / SEGMENTS).min(SEGMENT_SIZE);
        let last = self.present.segments.back();
        let begin = !last.is_some_and(|last| last.has_room(frames.len(), segment_size));
        let header = SegmentHeader {
            version: VERSION,
            session: self.present.number,
            writer: self.present.writer.clone(),
            first,
            time,
            target: self.present.target.clone(),
        };
        let mut needed = frames.len() as u64;
        if begin {
            self.present.close(true);
            let delivered = self.present.delivered;
            self.present.pass(delivered, false)?;
            needed += header.encode().len() as u64;
        }
        if self.size() + needed > self.plan.max_size {
            return Err(WriteError::Full);
        }
        if begin {
            let segment = self.begin_segment(header)?;
            self.present.segments.push_back(segment);
        }
        let Some(last) = self.present.segments.back_mut() else { return Err(WriteError::Full) };
        Ok(last.append(frames, first + rows.len() as u64, time)?)
    }

    fn begin_segment(&mut self, mut header: SegmentHeader) -> io::Result<Segment> {
        if let Some(directory) = &mut self.directory {
            directory.unsynced = true;
        }
        let mut tries = NAMES;
        loop {
            let path = segment_path(&self.plan.directory, header.session, header.first);
            match Segment::create(path, header.clone()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries > 0 => {
                    tries -= 1;
                    header.session += 1;
                    self.present.number = header.session;
                }
                made => return made,
            }
        }
    }
}
