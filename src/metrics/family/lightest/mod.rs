//! Lower bounds of the weights of a family's lightest series, and the search that updates them.

use std::time::Duration;

use crate::metrics::{
    budget::MAX_RUNGS,
    series::{Phase, Series},
};

/// After a search that found no series to replace, the next one waits for this time or this many packets, so that a
/// flood of keys at the threshold does not cause a search for each packet.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_PACKETS: u64 = 64;

/// The pause grows with the number of series that a search visits: by this time per series, or a packet per this many series.
const PAUSE_OF_SERIES: Duration = Duration::from_nanos(100);
const SERIES_PER_PACKET: u64 = 4;

/// Lower bounds of the weights of a family's lightest series.
#[derive(Debug)]
pub(super) struct LightestWeights {
    /// At most the weight of every series that counts packets, without the last rung.
    of_all: f64,
    /// By rung: at most the weight of the lightest series that a key on this rung may replace.
    by_rung: [f64; MAX_RUNGS],
    /// The time of the last search that found no series to replace, and the packets received before it.
    failed_search: (Duration, u64),
}

impl LightestWeights {
    /// Creates the bounds of a family without series.
    pub(super) const fn new() -> Self {
        Self {
            of_all: f64::INFINITY,
            by_rung: [0.0; MAX_RUNGS],
            failed_search: (Duration::ZERO, 0),
        }
    }

    /// At most the weight of the lightest series that a key on `rung` may replace.
    #[inline]
    pub(super) fn replaceable(&self, rung: usize) -> f64 {
        self.of_all.max(self.by_rung[rung])
    }

    /// Lowers the bounds for a new series on `rung`. `is_live`: it can be replaced from now on.
    pub(super) fn created(&mut self, rung: usize, weight: f64, is_live: bool) {
        self.of_all = self.of_all.min(weight);
        if is_live {
            for lightest in &mut self.by_rung[rung..] {
                *lightest = lightest.min(weight);
            }
        }
    }

    /// Resets the bounds by rung: series that could not be replaced may have become live.
    pub(super) fn forget_by_rung(&mut self) {
        self.by_rung.fill(0.0);
    }

    /// Multiplies all bounds by a factor, as the weights of the series were.
    pub(super) fn scale(&mut self, factor: f64) {
        self.of_all *= factor;
        self.by_rung.iter_mut().for_each(|weight| *weight *= factor);
    }

    /// Searches all series for the lightest one that a key on `rung` may replace, and updates the bounds. Returns its index
    /// and weight. Series on rung `last` are never replaced.
    pub(super) fn search(
        &mut self,
        all: &[Series],
        last: usize,
        rung: usize,
    ) -> Option<(usize, f64)> {
        let (lightest, found) = search(all, last, rung);
        self.of_all = lightest;
        self.by_rung[rung] = found.map_or(f64::INFINITY, |(_, weight)| weight);
        found
    }

    /// Records a search that found no series to replace. `packets`: received by the family so far.
    pub(super) fn failed(&mut self, now: Duration, packets: u64) {
        self.failed_search = (now, packets);
    }

    /// Whether it is too soon for another search after the last failed one. `series` is the number of series.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub(super) fn pauses_search(&self, now: Duration, packets: u64, series: usize) -> bool {
        let (failed, packets_then) = self.failed_search;
        let pause = PAUSE.max(PAUSE_OF_SERIES.saturating_mul(series as u32));
        let pause_packets = PAUSE_PACKETS.max(series as u64 / SERIES_PER_PACKET);
        now < failed + pause && packets < packets_then + pause_packets
    }
}

/// Returns the lowest weight of the series that count packets and are not on rung `last`, and the index and weight of the
/// lightest one that a key on `rung` may replace.
fn search(all: &[Series], last: usize, rung: usize) -> (f64, Option<(usize, f64)>) {
    let mut lightest = f64::INFINITY;
    let mut found: Option<(usize, f64)> = None;
    for (index, series) in all.iter().enumerate() {
        // A more detailed key never replaces a less detailed series: that room is reserved.
        if series.is_retiring() || usize::from(series.rung) >= last {
            continue;
        }
        lightest = lightest.min(series.weight);
        if series.phase() == Phase::Live
            && usize::from(series.rung) <= rung
            && found.is_none_or(|(_, weight)| series.weight < weight)
        {
            found = Some((index, series.weight));
        }
    }
    (lightest, found)
}

#[cfg(test)]
mod tests;
