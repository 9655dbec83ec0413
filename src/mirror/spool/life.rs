//! A life: the segments of one run of the exporter, and how far they are delivered.

use std::{collections::VecDeque, io};

use super::{reading::Reading, segment::Segment};
use crate::mirror::store::Writer;

/// One run of the exporter.
#[derive(Debug)]
pub struct Life {
    /// Its number in the folder; lives are delivered in this order.
    pub number: u64,
    /// Under whom its rows are written.
    pub writer: Writer,
    /// How many of its rows are known to be delivered.
    pub delivered: u64,
    /// The database that they are for; `None` when an earlier version wrote them.
    pub target: Option<String>,
    /// Its segments, in the order of rows. All but the last of the present life have rows to deliver.
    pub segments: VecDeque<Segment>,
}

impl Life {
    /// A life without rows.
    #[must_use]
    pub fn new(number: u64, writer: Writer, target: Option<String>) -> Self {
        Self { number, writer, delivered: 0, target, segments: VecDeque::new() }
    }

    /// Number of the row behind the last one on disk.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.segments.back().map_or(self.delivered, |segment| segment.end.max(self.delivered))
    }

    /// Reads on from where the reading is. Returns whether it came to the end of what is on disk.
    ///
    /// # Errors
    /// A segment cannot be opened or read at the moment, and there are no rows before it.
    pub fn read(&mut self, reading: &mut Reading) -> io::Result<bool> {
        for segment in &mut self.segments {
            if segment.end <= reading.next {
                continue;
            }
            match segment.read(reading) {
                Ok(true) => {}
                Err(error) if reading.rows.is_empty() => return Err(error),
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The rows below this number are delivered. Segments without others are removed; `keep_last`
    /// keeps the one that is written.
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

    /// Writes no more to its last segment. Its file stays open where that is all there may be of it:
    /// after its folder went.
    pub fn close(&mut self, folder_is_there: bool) {
        if let Some(last) = self.segments.back_mut()
            && last.close()
            && folder_is_there
        {
            last.release();
        }
    }
}
