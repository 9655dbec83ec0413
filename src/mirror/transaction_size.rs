//! Chooses the number of rows of a transaction: fewer for a slow database, not for a broken connection.

/// Maximum rows of a transaction: enough to share the cost of a commit.
const MAX: usize = 10_000;

/// Minimum rows of a transaction, after timeouts.
const MIN: usize = 100;

/// The size of the next transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransactionSize(usize);

impl TransactionSize {
    /// Starts with the maximum.
    pub(super) fn new() -> Self {
        Self(MAX)
    }

    pub(super) fn rows(self) -> usize {
        self.0
    }

    /// Whether at most three of the last transactions timed out: a batch of unknown outcome is then sent again as it
    /// was.
    pub(super) fn is_large(self) -> bool {
        self.0 > MAX >> 4
    }

    /// A transaction timed out: use fewer rows, so that something gets through.
    pub(super) fn timed_out(&mut self) {
        self.0 = (self.0 / 2).max(MIN);
    }

    /// A transaction succeeded: use a few more rows.
    pub(super) fn written(&mut self) {
        self.0 = (self.0 + self.0 / 4).min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_adapts_to_a_slow_database() {
        let mut size = TransactionSize::new();
        // A database that writes 1,000 rows within the deadline.
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
