//! How many rows a batch reads, so that it shares the cost of a commit and needs a few megabytes.

use super::fields::UlogdRow;

/// Maximum number of rows.
pub(super) const MAX_ROWS: usize = 5_000;

/// Rows of the first batch, whose size is not known.
const FIRST_ROWS: usize = 500;

/// Bytes of values that a batch should have at most.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The number of rows of the next batch.
#[derive(Debug)]
pub(super) struct BatchSize(usize);

impl Default for BatchSize {
    fn default() -> Self {
        Self(FIRST_ROWS)
    }
}

impl BatchSize {
    /// The number of rows to read.
    pub(super) fn rows(&self) -> usize {
        self.0
    }

    /// Adapts the number to the size of the rows that were read.
    pub(super) fn adapt(&mut self, read: &[UlogdRow]) {
        let bytes: usize = read.iter().map(UlogdRow::bytes).sum();
        let fitting = MAX_BYTES.saturating_mul(read.len()) / bytes.max(1);
        self.0 = fitting.clamp(1, MAX_ROWS).min(2 * self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, bytes: usize) -> Vec<UlogdRow> {
        vec![UlogdRow { id: 1, values: vec![Some(vec![b'x'; bytes]), None] }; count]
    }

    #[test]
    fn a_batch_has_few_long_rows_or_many_short_ones() {
        let mut size = BatchSize::default();
        let mut next = |bytes: usize| {
            let read = rows(size.rows().min(4), bytes);
            size.adapt(&read);
            size.rows()
        };
        assert_eq!([next(100), next(100), next(100), next(100)], [1_000, 2_000, 4_000, 5_000]);
        assert_eq!([next(MAX_BYTES / 10), next(2 * MAX_BYTES), next(100)], [10, 1, 2]);
        size.adapt(&[]);
        assert_eq!(size.rows(), 1);
    }
}
