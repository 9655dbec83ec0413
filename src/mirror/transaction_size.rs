//! How many rows go into one transaction: fewer for a slow database, not for a connection that breaks.

/// Rows of one transaction at most: enough to share the cost of a commit among many.
const MAX: usize = 10_000;

/// Rows of one transaction at least, after it took too long.
const MIN: usize = 100;

/// The size of the next transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransactionSize(usize);

impl TransactionSize {
    /// The largest: a database is fast until it is seen to be slow.
    pub(super) fn new() -> Self {
        Self(MAX)
    }

    pub(super) fn rows(self) -> usize {
        self.0
    }

    /// A transaction took longer than it may: fewer rows, so that something gets through.
    pub(super) fn timed_out(&mut self) {
        self.0 = (self.0 / 2).max(MIN);
    }

    /// A transaction was written: more rows, a little at a time.
    pub(super) fn written(&mut self) {
        self.0 = (self.0 + self.0 / 4).min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_a_slow_database_takes() {
        let mut size = TransactionSize::new();
        // One that writes 1,000 rows in the time that there is.
        for _ in 0..100 {
            if size.rows() > 1_000 { size.timed_out() } else { size.written() }
        }
        assert!((500..=1_250).contains(&size.rows()), "{size:?}");
        // Now it is fast again.
        (0..100).for_each(|_| size.written());
        assert_eq!(size.rows(), MAX);
        (0..100).for_each(|_| size.timed_out());
        assert_eq!(size.rows(), MIN);
    }
}
