//! A session: the segments of one run of the exporter, and how far they are delivered.

use std::{collections::VecDeque, io};

use super::{portion_reader::PortionReader, segment::Segment};
use crate::mirror::store::Writer;

/// One run of the exporter.
#[derive(Debug)]
pub struct Session {
    /// Its number in the directory; sessions are delivered in this order.
    pub number: u64,
    /// Writer of its rows.
    pub writer: Writer,
    /// Number of its rows that are known to be delivered.
    pub delivered: u64,
    /// The database of its rows; `None` when an earlier version wrote them.
    pub target: Option<String>,
    /// Its segments, in the order of rows. Each has rows to deliver, except the last of the present session.
    pub segments: VecDeque<Segment>,
}

impl Session {
    /// A session without rows.
    #[must_use]
    pub fn new(number: u64, writer: Writer, target: Option<String>) -> Self {
        Self { number, writer, delivered: 0, target, segments: VecDeque::new() }
    }

    /// Number of the row after the last one on disk.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.segments.back().map_or(self.delivered, |segment| segment.end.max(self.delivered))
    }

    /// Continues to read. Returns whether the end of the rows on disk was reached.
    ///
    /// # Errors
    /// A segment cannot be opened or read at the moment, and no rows were read before it.
    pub fn read(&mut self, reader: &mut PortionReader) -> io::Result<bool> {
        for segment in &mut self.segments {
            if segment.end <= reader.next {
                continue;
            }
            match segment.read(reader) {
                Ok(true) => {}
                Err(error) if reader.rows.is_empty() => return Err(error),
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Marks the rows below this number as delivered. Removes segments that have no others, except the last one
    /// with `keep_last`.
    pub fn pass(&mut self, delivered: u64, keep_last: bool) -> io::Result<()> {
        self.delivered = self.delivered.max(delivered);
        let mut removed = Ok(());
        while let Some(front) = self.segments.front_mut() {
            if front.end > self.delivered || (keep_last && self.segments.len() == 1) {
                break;
            }
            if let Some(front) = self.segments.pop_front() {
                removed = removed.and(front.remove());
            }
        }
        if let Some(front) = self.segments.front_mut() {
            front.pass(self.delivered);
        }
        removed
    }

    /// When the oldest row on disk was appended, microseconds since 1970.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| segment.end > self.delivered);
        segment.map(Segment::since)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Stops writing to the last segment. Keeps its file open if the directory is gone: it cannot be opened
    /// again.
    pub fn close(&mut self, directory_exists: bool) {
        if let Some(last) = self.segments.back_mut()
            && last.close()
            && directory_exists
        {
            last.release();
        }
    }
}
