//! Distinct source addresses of each log prefix over a sliding window, estimated by `HyperLogLog`.

use std::{hash::BuildHasher, net::IpAddr, time::Duration};

use foldhash::quality::FixedState;

use super::hyperloglog::Registers;
use crate::event::{NameId, UsedNames};

/// The window: ten full minutes and the current one.
const MINUTES: usize = 11;

const MINUTE: Duration = Duration::from_secs(60);

/// Maximum number of prefixes with their own estimate. While all of them have packets in the window, further
/// prefixes share the estimate of `other`. Each estimate takes at most 22 KiB.
pub const MAX_PREFIXES: usize = 256;

/// Distinct sources of each prefix.
#[derive(Debug)]
pub struct SourceCounts {
    /// Indexed by the number of the prefix's id.
    windows: Vec<Option<Box<Window>>>,
    used: usize,
    folded_packets: u64,
    hasher: FixedState,
    minute: u64,
}

impl SourceCounts {
    /// Creates an empty set of estimates. `seed` must be unpredictable, so that an attacker cannot choose addresses
    /// that distort the estimate.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            windows: Vec::new(),
            used: 0,
            folded_packets: 0,
            hasher: FixedState::with_seed(seed),
            minute: 0,
        }
    }

    /// Advances the time. Called before a batch is recorded and before estimates are read.
    pub fn advance(&mut self, now: Duration) {
        let minute = now.as_secs() / MINUTE.as_secs();
        let passed = minute.saturating_sub(self.minute);
        self.minute = minute.max(self.minute);
        for step in (0..passed).take(MINUTES) {
            // The minutes that start now, the latest first.
            let slot = slot_of(minute - step);
            for window in self.windows.iter_mut().flatten() {
                window.minutes[slot] = None;
            }
        }
        if passed > 0 && self.is_full() {
            self.drop_idle();
        }
    }

    /// Counts a source. Returns the prefix whose estimate includes it.
    pub fn record(&mut self, prefix: NameId, source: IpAddr) -> NameId {
        let hash = match source {
            IpAddr::V4(source) => self.hasher.hash_one(source.to_bits()),
            IpAddr::V6(source) => self.hasher.hash_one(source.to_bits()),
        };
        let slot = slot_of(self.minute);
        let prefix = self.estimated(prefix);
        let registers = self.window(prefix).minutes[slot].get_or_insert_with(Default::default);
        registers.add(hash);
        prefix
    }

    /// The estimate over all prefixes, in which a source of several prefixes counts once, and the estimate of each
    /// prefix, in the order of their ids.
    #[must_use]
    pub fn estimates(&self) -> (f64, Vec<(NameId, f64)>) {
        let mut all = Registers::default();
        let mut each = Vec::with_capacity(self.used);
        for (prefix, window) in self.windows() {
            let merged = window.merged();
            all.merge(&merged);
            each.push((prefix, merged.estimate().round()));
        }
        (all.estimate().round(), each)
    }

    /// Marks the prefixes that have an estimate.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for (prefix, _) in self.windows() {
            used.mark(prefix);
        }
    }

    /// Packets whose source was counted under `other` because the maximum of estimates was reached.
    #[must_use]
    pub fn folded_packets(&self) -> u64 {
        self.folded_packets
    }

    #[expect(clippy::cast_possible_truncation, reason = "the table is indexed by 16-bit ids")]
    fn windows(&self) -> impl Iterator<Item = (NameId, &Window)> {
        let window = |(index, window)| (NameId::from_index(index as u16), window);
        self.windows
            .iter()
            .enumerate()
            .filter_map(|(index, window)| Some((index, window.as_deref()?)))
            .map(window)
    }

    /// Whether a new prefix is counted under `other`, for which the last window is reserved.
    fn is_full(&self) -> bool {
        self.used >= MAX_PREFIXES - 1
    }

    /// Removes the estimates of prefixes without packets in the window.
    fn drop_idle(&mut self) {
        for window in &mut self.windows {
            if window.as_ref().is_some_and(|window| window.minutes.iter().all(Option::is_none)) {
                *window = None;
                self.used -= 1;
            }
        }
    }

    /// The prefix itself, or `other` if the maximum of estimates is reached.
    fn estimated(&mut self, prefix: NameId) -> NameId {
        let known = self.windows.get(usize::from(prefix.index())).is_some_and(Option::is_some);
        let folded = self.is_full() && !known;
        self.folded_packets += u64::from(folded);
        if folded { NameId::OTHER } else { prefix }
    }

    fn window(&mut self, prefix: NameId) -> &mut Window {
        let index = usize::from(prefix.index());
        if index >= self.windows.len() {
            self.windows.resize_with(index + 1, || None);
        }
        let used = &mut self.used;
        self.windows[index].get_or_insert_with(|| {
            *used += 1;
            Box::default()
        })
    }
}

/// The index of a minute in a window.
fn slot_of(minute: u64) -> usize {
    // Below MINUTES, so it fits.
    usize::try_from(minute % MINUTES as u64).unwrap_or(0)
}

/// One `HyperLogLog` for each minute with packets.
#[derive(Debug, Default)]
struct Window {
    minutes: [Option<Box<Registers>>; MINUTES],
}

impl Window {
    fn merged(&self) -> Registers {
        let mut merged = Registers::default();
        for registers in self.minutes.iter().flatten() {
            merged.merge(registers);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PREFIX: NameId = NameId::EMPTY;

    fn record(sources: &mut SourceCounts, first: u32, count: u32, second: u64) {
        sources.advance(Duration::from_secs(second));
        for address in first..first + count {
            sources.record(PREFIX, Ipv4Addr::from_bits(address).into());
        }
    }

    fn estimate(sources: &SourceCounts) -> f64 {
        sources.estimates().1[0].1
    }

    /// Within four standard errors, or one for small numbers.
    fn close(estimate: f64, truth: u32) {
        let truth = f64::from(truth);
        assert!((estimate - truth).abs() <= (truth * 0.092).max(1.0), "{estimate} for {truth}");
    }

    #[test]
    fn the_estimate_holds_from_one_to_a_million() {
        for count in [1, 2, 5, 50, 1000, 5000, 8000, 100_000, 1_000_000] {
            for seed in 0..3 {
                let mut sources = SourceCounts::new(seed);
                record(&mut sources, 7, count, 0);
                record(&mut sources, 7, count.min(1000), 61);
                close(estimate(&sources), count);
            }
        }
    }

    #[test]
    fn sources_older_than_the_window_are_not_counted() {
        let mut sources = SourceCounts::new(0);
        record(&mut sources, 0, 1000, 30);
        record(&mut sources, 5000, 10, 599);
        close(estimate(&sources), 1010);
        record(&mut sources, 5000, 10, 11 * 60);
        close(estimate(&sources), 10);
        sources.advance(Duration::from_secs(86_400));
        assert!(estimate(&sources) < 0.5);
        record(&mut sources, 0, 20, 86_401);
        close(estimate(&sources), 20);
    }

    #[test]
    fn a_source_of_two_prefixes_counts_once_in_total() {
        let mut sources = SourceCounts::new(0);
        assert!(sources.estimates().0 < 0.5);
        for (prefix, addresses) in [(1, 0..2000), (2, 1000..3000)] {
            for address in addresses {
                let address = Ipv4Addr::from_bits(address).into();
                sources.record(NameId::from_index(prefix), address);
            }
        }
        close(sources.estimates().0, 3000);
    }

    #[test]
    fn the_number_of_estimates_has_a_maximum() {
        let mut sources = SourceCounts::new(0);
        for index in 1..1000 {
            sources.record(NameId::from_index(index), Ipv4Addr::LOCALHOST.into());
        }
        assert_eq!(sources.estimates().1.len(), MAX_PREFIXES);
        assert_eq!(sources.folded_packets(), 999 - (MAX_PREFIXES as u64 - 1));
        assert!(sources.estimates().1.iter().any(|(prefix, _)| *prefix == NameId::OTHER));
    }

    #[test]
    fn an_idle_estimate_is_removed_when_the_maximum_is_reached() {
        let source = |sources: &mut SourceCounts, minute: u64, index| {
            sources.advance(Duration::from_secs(60 * minute));
            sources.record(NameId::from_index(index), Ipv4Addr::LOCALHOST.into())
        };
        let mut sources = SourceCounts::new(0);
        for index in 2..102 {
            source(&mut sources, 0, index);
        }
        // Below the maximum, idle prefixes show 0.
        source(&mut sources, 20, 102);
        assert_eq!(sources.estimates().1.len(), 101);
        for index in 103..1000 {
            source(&mut sources, 20, index);
        }
        assert_eq!(source(&mut sources, 20, 1000), NameId::OTHER);
        assert_eq!(source(&mut sources, 21, 1000), NameId::from_index(1000));
        let mut used = UsedNames::default();
        sources.mark_names(&mut used);
        let has = |index| used.contains(NameId::from_index(index));
        assert!(!has(2) && !has(101) && has(102) && has(256) && !has(257) && has(1000));
    }
}
