//! The newest rows in memory, while the disk does not take them.

use std::collections::VecDeque;

use super::reading::Reading;
use crate::mirror::row::Row;

/// Most rows in memory.
pub const TAIL_ROWS: usize = 32_768;

/// Rows behind all those on disk, in their order.
#[derive(Debug, Default)]
pub struct Tail {
    batches: VecDeque<Batch>,
    rows: usize,
}

/// Rows that were appended at once.
#[derive(Debug)]
pub struct Batch {
    /// Number of the first.
    pub first: u64,
    /// When they were appended, microseconds since 1970.
    pub time: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Batch {
    fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// Those from this number on.
    #[must_use]
    pub fn from(&self, number: u64) -> &[Row] {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.rows.get(skip..).unwrap_or_default()
    }
}

impl Tail {
    /// Puts a copy of the rows behind the others; `false`, and nothing is taken, when they are too
    /// many.
    pub fn push(&mut self, first: u64, rows: &[Row], time: u64) -> bool {
        if self.rows + rows.len() > TAIL_ROWS {
            return false;
        }
        self.rows += rows.len();
        self.batches.push_back(Batch { first, time, rows: rows.to_vec() });
        true
    }

    /// Takes the oldest batch out, to write it to disk.
    pub fn pop(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.rows -= batch.rows.len();
        Some(batch)
    }

    /// Puts a batch back that the disk did not take.
    pub fn put_back(&mut self, batch: Batch) {
        self.rows += batch.rows.len();
        self.batches.push_front(batch);
    }

    /// Reads on from where the reading is.
    pub fn read(&self, reading: &mut Reading) {
        for batch in &self.batches {
            if batch.end() <= reading.next {
                continue;
            }
            let wanted = reading.until(batch.end()).saturating_sub(reading.next);
            let rows = batch.from(reading.next);
            let rows = &rows[..rows.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
            if rows.is_empty() || !reading.takes(wanted, batch.time) {
                break;
            }
            reading.rows.extend_from_slice(rows);
            reading.next += rows.len() as u64;
        }
    }

    /// Forgets what is below this number.
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
