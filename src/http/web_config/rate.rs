//! A limit on requests: a bucket of tokens that fills at a steady pace.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The bucket, as the moment at which it would be full: one number that never drifts.
#[derive(Debug)]
pub(super) struct Bucket {
    interval: Duration,
    /// How long an empty bucket takes to fill.
    depth: Duration,
    full_at: Mutex<Instant>,
}

impl Bucket {
    /// A full bucket of `burst` tokens, that gets one each `interval`.
    pub(super) fn new(interval: Duration, burst: u32, now: Instant) -> Self {
        let depth = interval.saturating_mul(burst);
        Self { interval, depth, full_at: Mutex::new(now) }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn a_burst_passes_and_then_one_an_interval() {
        let start = Instant::now();
        let bucket = Bucket::new(Duration::from_secs(2), 3, start);
        let passes = |seconds| bucket.take(start + Duration::from_secs(seconds));
        assert_eq!([0, 0, 0, 0, 1].map(passes), [true, true, true, false, false]);
        assert_eq!([2, 2, 3, 4].map(passes), [true, false, false, true]);
        assert_eq!([100, 100, 100, 100].map(passes), [true, true, true, false]);
    }
}
