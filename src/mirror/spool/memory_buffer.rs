//! The newest rows, in memory while the disk fails.

use std::collections::VecDeque;

use super::portion_reader::PortionReader;
use crate::mirror::row::Row;

/// Maximum number of rows in memory.
pub const MAX_ROWS: usize = 32_768;

/// Rows after all those on disk, in order.
#[derive(Debug, Default)]
pub struct MemoryBuffer {
    batches: VecDeque<BufferedBatch>,
    rows: usize,
}

/// Rows of one append.
#[derive(Debug)]
pub struct BufferedBatch {
    /// Number of the first row.
    pub first: u64,
    /// When they were appended, microseconds since 1970.
    pub time: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

impl BufferedBatch {
    fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// The rows from this number on.
    #[must_use]
    pub fn from(&self, number: u64) -> &[Row] {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.rows.get(skip..).unwrap_or_default()
    }
}

impl MemoryBuffer {
    /// Appends a copy of the rows; returns `false` and appends nothing when they are too many.
    pub fn push(&mut self, first: u64, rows: &[Row], time: u64) -> bool {
        if self.rows + rows.len() > MAX_ROWS {
            return false;
        }
        self.rows += rows.len();
        self.batches.push_back(BufferedBatch { first, time, rows: rows.to_vec() });
        true
    }

    /// Removes the oldest batch, to write it to disk.
    pub fn pop(&mut self) -> Option<BufferedBatch> {
        let batch = self.batches.pop_front()?;
        self.rows -= batch.rows.len();
        Some(batch)
    }

    /// Returns a batch that could not be written.
    pub fn put_back(&mut self, batch: BufferedBatch) {
        self.rows += batch.rows.len();
        self.batches.push_front(batch);
    }

    /// Continues to read.
    pub fn read(&self, reader: &mut PortionReader) {
        for batch in &self.batches {
            if batch.end() <= reader.next {
                continue;
            }
            let wanted = reader.until(batch.end()).saturating_sub(reader.next);
            let rows = batch.from(reader.next);
            let rows = &rows[..rows.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
            if rows.is_empty() || !reader.accepts(wanted, batch.time) {
                break;
            }
            reader.rows.extend_from_slice(rows);
            reader.next += rows.len() as u64;
        }
    }

    /// Removes rows below this number.
    pub fn pass(&mut self, delivered: u64) {
        while self.batches.front().is_some_and(|batch| batch.end() <= delivered) {
            self.pop();
        }
    }

    /// When the oldest row was appended, microseconds since 1970.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        Some(self.batches.front()?.time)
    }
}
