//! A portion in the making: rows one behind the other, from segments and memory.

use crate::mirror::row::Row;

/// What was read so far, and how much more is wanted.
#[derive(Debug)]
pub struct Reading {
    /// The rows.
    pub rows: Vec<Row>,
    /// Number of the row behind the last one.
    pub next: u64,
    /// When the first was appended, microseconds since 1970.
    pub since: u64,
    /// Rows from `next` up to this number cannot be read back. Only without rows.
    pub lost: Option<u64>,
    /// About how many rows are wanted.
    most: usize,
    /// No rows from this number on are wanted.
    limit: u64,
}

impl Reading {
    /// Begins at this row.
    #[must_use]
    pub fn new(from: u64, most: usize, limit: u64) -> Self {
        Self { rows: Vec::new(), next: from, since: 0, lost: None, most, limit }
    }

    /// Up to where a source whose rows end here is to be read.
    #[must_use]
    pub fn until(&self, end: u64) -> u64 {
        end.min(self.limit)
    }

    /// Whether so many rows more may come, of which the first was appended at this time. The first
    /// ones always may.
    pub fn takes(&mut self, rows: u64, time: u64) -> bool {
        if self.rows.is_empty() {
            self.since = time;
            return true;
        }
        self.rows.len() as u64 + rows <= self.most as u64
    }

    /// The next rows up to this number are lost: told at once, or behind the rows there are already.
    /// Nothing more is to be read.
    pub fn lose(&mut self, to: u64) {
        if self.rows.is_empty() {
            self.lost = Some(to.min(self.limit));
        }
    }
}
