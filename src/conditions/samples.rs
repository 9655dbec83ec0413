//! The counters of the last 15 minutes, from which their increases are computed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Time for which samples are kept.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Minimum time between two samples: the memory is bounded.
const INTERVAL: Duration = Duration::from_secs(5);

/// A counter that only increases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    Received,
    Lost,
    /// Messages that the kernel dropped, by NFLOG group.
    SocketDrops(u16),
    /// By source of kernel log lines.
    LostLines(&'static str),
    /// By family, and by the index of the label.
    Folded(Arc<str>, usize),
    MirrorDropped,
    MirrorReverted,
    /// By the name of the output.
    OutputDropped(String),
}

/// The values of all counters at one moment.
pub(super) type Sample = BTreeMap<Counter, u64>;

/// The samples of the last 15 minutes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<(Duration, Sample)>);

impl Samples {
    /// Adds the newest sample. `now` is a time since any start.
    pub(super) fn push(&mut self, now: Duration, sample: Sample) {
        // The newest one must be that of now.
        if self.0.len() > 1 && self.0[self.0.len() - 2].0 + INTERVAL > now {
            self.0.pop_back();
        }
        self.0.push_back((now, sample));
        // The first one is as old as the longest window, or older.
        while self.0.get(1).is_some_and(|(time, _)| *time + LONGEST <= now) {
            self.0.pop_front();
        }
    }

    /// The counters of the newest sample, with their increases in this time before it, rounded up to the interval, or
    /// since the first sample.
    pub(super) fn increases(
        &self,
        window: Duration,
    ) -> impl Iterator<Item = (&Counter, u64)> + use<'_> {
        let newest = self.0.back();
        let start = newest.map_or(Duration::ZERO, |(now, _)| now.saturating_sub(window));
        let before = self.0.iter().rev().find(|(time, _)| *time <= start).or(self.0.front());
        newest.into_iter().flat_map(|(_, sample)| sample).map(move |(counter, value)| {
            let before = before.and_then(|(_, sample)| sample.get(counter));
            // A counter that is not in the first sample, as that of an output after a reload, began at zero.
            (counter, value.saturating_sub(before.copied().unwrap_or(0)))
        })
    }

    /// The increase of one counter.
    pub(super) fn increase(&self, counter: &Counter, window: Duration) -> u64 {
        self.increases(window).find(|(it, _)| *it == counter).map_or(0, |(_, increase)| increase)
    }

    /// Whether the samples cover this time.
    pub(super) fn covers(&self, window: Duration) -> bool {
        let times = (self.0.front(), self.0.back());
        matches!(times, (Some((first, _)), Some((last, _))) if *first + window <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn increases_are_those_of_the_window_and_samples_are_bounded() {
        let mut samples = Samples::default();
        assert_eq!(samples.increase(&Counter::Lost, LONGEST), 0);
        assert!(!samples.covers(Duration::ZERO));
        for second in 0..3600_u64 {
            let counts = [(Counter::Received, 10 * second), (Counter::Lost, second / 60)];
            samples.push(Duration::from_secs(second), counts.into());
        }
        // Samples are five seconds apart.
        let five_minutes = samples.increase(&Counter::Received, 5 * MINUTE);
        assert!((3000..=3050).contains(&five_minutes), "{five_minutes}");
        assert_eq!(samples.increase(&Counter::Lost, LONGEST), 15);
        assert!(samples.covers(LONGEST) && !samples.covers(LONGEST + MINUTE));
        assert!(samples.0.len() <= 230, "{}", samples.0.len());
        // A reset is no increase, and a new counter began at zero.
        let counts = [(Counter::Received, 0), (Counter::MirrorDropped, 7)];
        samples.push(Duration::from_secs(3600), counts.into());
        assert_eq!(samples.increase(&Counter::Received, MINUTE), 0);
        assert_eq!(samples.increase(&Counter::MirrorDropped, MINUTE), 7);
    }
}
