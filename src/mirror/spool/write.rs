//! Rows to disk: which segment takes them, when a new one is begun, and what the spool's size allows.

use std::{io, time::Instant};

use super::{
    Spool,
    format::SegmentHeader,
    segment::{self, Segment, segment_path},
    trouble::explain,
};
use crate::mirror::row::Row;

/// Most bytes of a segment, but for one that a single append fills.
const SEGMENT_SIZE: u64 = 8 << 20;
/// At least so many segments make up the spool's size, so that room is given back in small parts.
const SEGMENTS: u64 = 8;
/// How many names are tried for a new segment: others may be taken by files that are none.
const NAMES: usize = 16;

/// What became of rows.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are on disk.
    Written,
    /// The spool has its full size.
    Full,
    /// The disk does not take them, or is not to be tried now.
    Unusable,
}

enum Refused {
    Full,
    Disk(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Spool {
    /// Writes what waits in memory, then these rows.
    pub(super) fn write_to_disk(&mut self, rows: &[Row], now: u64) -> Outcome {
        if self.folder.is_none() || (self.trouble.is_some() && Instant::now() < self.due) {
            return Outcome::Unusable;
        }
        let written = self.write_tail().and_then(|()| self.write(self.next, rows, now));
        match written {
            Ok(()) => Outcome::Written,
            Err(Refused::Full) => Outcome::Full,
            Err(Refused::Disk(error)) => {
                self.fail(explain("write a segment", &self.plan.directory, &error));
                Outcome::Unusable
            }
        }
    }

    fn write_tail(&mut self) -> Result<(), Refused> {
        while let Some(batch) = self.tail.pop() {
            let first = batch.first.max(self.present.delivered);
            if let Err(refused) = self.write(first, batch.from(first), batch.time) {
                self.tail.put_back(batch);
                return Err(refused);
            }
        }
        Ok(())
    }

    fn write(&mut self, first: u64, rows: &[Row], time: u64) -> Result<(), Refused> {
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
    ) -> Result<(), Refused> {
        if !segment::encode(rows, first, time, frames) {
            let why = "a row is longer than a segment's frame may be";
            return Err(io::Error::other(why).into());
        }
        let segment_size = (self.plan.max_size / SEGMENTS).min(SEGMENT_SIZE);
        let last = self.present.segments.back();
        let begin = !last.is_some_and(|last| last.has_room(frames.len(), segment_size));
        let header = SegmentHeader {
            life: self.present.number,
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
            return Err(Refused::Full);
        }
        if begin {
            let segment = self.begin_segment(header)?;
            self.present.segments.push_back(segment);
        }
        let Some(last) = self.present.segments.back_mut() else { return Err(Refused::Full) };
        Ok(last.append(frames, first + rows.len() as u64, time)?)
    }

    fn begin_segment(&mut self, mut header: SegmentHeader) -> io::Result<Segment> {
        if let Some(folder) = &mut self.folder {
            folder.unsynced = true;
        }
        let mut tries = NAMES;
        loop {
            let path = segment_path(&self.plan.directory, header.life, header.first);
            match Segment::create(path, header.clone()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries > 0 => {
                    tries -= 1;
                    header.life += 1;
                    self.present.number = header.life;
                }
                made => return made,
            }
        }
    }
}
