//! The rate limit on requests: a token bucket.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::system::lock::lock;

/// A token bucket, stored as the time at which it will be full, which does not accumulate rounding errors.
#[derive(Debug)]
pub(super) struct TokenBucket {
    interval: Duration,
    /// Time in which an empty bucket fills.
    depth: Duration,
    full_at: Mutex<Instant>,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, which gets one token each `interval`.
    pub(super) fn new(interval: Duration, burst: u32, now: Instant) -> Self {
        let depth = interval.saturating_mul(burst);
        Self { interval, depth, full_at: Mutex::new(now) }
    }

    /// Removes a token; `false` if the bucket is empty.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut full_at = lock(&self.full_at);
        let Some(next) = (*full_at).max(now).checked_add(self.interval) else { return false };
        if next.duration_since(now) > self.depth {
            return false;
        }
        *full_at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_request_per_interval() {
        let start = Instant::now();
        let bucket = TokenBucket::new(Duration::from_secs(2), 3, start);
        let passes = |seconds| bucket.take(start + Duration::from_secs(seconds));
        assert_eq!([0, 0, 0, 0, 1].map(passes), [true, true, true, false, false]);
        assert_eq!([2, 2, 3, 4].map(passes), [true, false, false, true]);
        assert_eq!([100, 100, 100, 100].map(passes), [true, true, true, false]);
    }
}
