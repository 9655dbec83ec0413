//! The demand for series: how many different label sets the packets of the last hour had, with or without a series.

use std::{array, time::Duration};

use super::hyperloglog::Registers;

/// Length of a slot.
const SLOT: Duration = Duration::from_secs(600);

/// The running slot and those of the hour before.
const SLOTS: u32 = 7;

/// Estimates the number of distinct keys over the last hour, with `HyperLogLog` in slots of ten minutes: 14 KiB.
#[derive(Debug)]
pub struct Demand {
    /// Number of the running slot since the clock's start.
    running: u32,
    slots: Box<[Registers; SLOTS as usize]>,
}

impl Demand {
    /// Starts with no keys.
    pub fn new(now: Duration) -> Self {
        Self { running: number(now), slots: Box::new(array::from_fn(|_| Registers::default())) }
    }

    /// Adds the key with this hash.
    pub fn add(&mut self, hash: u64) {
        // The table's hash is fast, not well mixed; HyperLogLog needs all bits to be independent.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.slots[index(self.running)].add(mixed ^ (mixed >> 29));
    }

    /// The number of the running slot: a key that was added in it need not be added again.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Advances the time.
    pub fn advance(&mut self, now: Duration) {
        let running = number(now).max(self.running);
        let passed = (running - self.running).min(SLOTS);
        for slot in 0..passed {
            self.slots[index(running - slot)] = Registers::default();
        }
        self.running = running;
    }

    /// The estimated number of distinct keys in the last 60 to 70 minutes.
    pub fn estimate(&self) -> f64 {
        let mut all = Registers::default();
        for slot in self.slots.iter() {
            all.merge(slot);
        }
        all.estimate()
    }
}

fn number(now: Duration) -> u32 {
    // Below the maximum for 80,000 years.
    u32::try_from(now.as_secs() / SLOT.as_secs()).unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    (number % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn a_key_counts_once_and_for_one_hour() {
        let mut demand = Demand::new(minutes(3));
        for key in 0..1000_u64 {
            demand.add(key.wrapping_mul(0x1234_5678_9abc_def1));
            demand.add(key.wrapping_mul(0x1234_5678_9abc_def1));
        }
        assert!((demand.estimate() - 1000.0).abs() < 80.0, "{}", demand.estimate());
        demand.advance(minutes(60));
        assert!(demand.estimate() > 900.0);
        demand.advance(minutes(70));
        assert!(demand.estimate() < 1.0);
    }

    #[test]
    fn a_long_pause_and_a_clock_that_goes_back_are_safe() {
        let mut demand = Demand::new(minutes(100_000));
        demand.add(1);
        demand.advance(minutes(5));
        assert!(demand.estimate() > 0.5);
        demand.advance(minutes(1_000_000));
        assert!(demand.estimate() < 0.5);
    }
}
