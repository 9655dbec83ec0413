//! Assembles a portion: consecutive rows from segments and memory.

use crate::mirror::row::Row;

/// The rows read so far, and how many more are wanted.
#[derive(Debug)]
pub struct PortionReader {
    /// The rows.
    pub rows: Vec<Row>,
    /// Number of the row after the last one.
    pub next: u64,
    /// When the first one was appended, microseconds since 1970.
    pub since: u64,
    /// Rows from `next` up to this number cannot be read back. Set only while there are no rows.
    pub lost: Option<u64>,
    /// Maximum number of rows, exceeded only by the first ones.
    max: usize,
    /// Rows from this number on are not wanted.
    limit: u64,
}

impl PortionReader {
    /// Starts at this row.
    #[must_use]
    pub fn new(from: u64, max: usize, limit: u64) -> Self {
        Self { rows: Vec::new(), next: from, since: 0, lost: None, max, limit }
    }

    /// Where to stop reading a source that ends at this row.
    #[must_use]
    pub fn until(&self, end: u64) -> u64 {
        end.min(self.limit)
    }

    /// Whether this many more rows, appended at this time, are wanted. The first ones always are.
    pub fn accepts(&mut self, rows: u64, time: u64) -> bool {
        if self.rows.is_empty() {
            self.since = time;
            return true;
        }
        self.rows.len() as u64 + rows <= self.max as u64
    }

    /// Marks the next rows up to this number as lost; after rows, the next portion does that. Nothing more is to
    /// be read.
    pub fn lose(&mut self, to: u64) {
        if self.rows.is_empty() {
            self.lost = Some(to.min(self.limit));
        }
    }
}
