//! What a family knows of its lightest series without a search: lower bounds of their weights, and when a search is due.

use std::time::Duration;

use crate::metrics::{
    budget::MAX_RUNGS,
    series::{Phase, Series},
};

/// After a search that found no series to replace, the next one waits for this time or this many packets, so that a
/// flood of keys at the threshold does not cause a search for each packet.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_PACKETS: u64 = 64;

/// A search visits all series, so it waits longer if there are many: for so much time or so many packets per series.
const PAUSE_OF_SERIES: Duration = Duration::from_nanos(100);
const SEARCHED_PER_PACKET: u64 = 4;

/// Lower bounds of the weights of a family's lightest series.
#[derive(Debug)]
pub(super) struct Lightest {
    /// Of all series.
    of_all: f64,
    /// By the rung of a key: of the series that it may replace.
    by_rung: [f64; MAX_RUNGS],
    /// The time of the last search that found no series to replace, and the packets received before it.
    failed_search: (Duration, u64),
}

impl Lightest {
    /// Of a family without series.
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

    /// Called when a series on `rung` with this weight is created.
    pub(super) fn created(&mut self, rung: usize, weight: f64, is_live: bool) {
        self.of_all = self.of_all.min(weight);
        if is_live {
            for lightest in &mut self.by_rung[rung..] {
                *lightest = lightest.min(weight);
            }
        }
    }

    /// Called when series that could not be replaced may have become live.
    pub(super) fn forget_by_rung(&mut self) {
        self.by_rung.fill(0.0);
    }

    /// Called when all weights are multiplied by this factor.
    pub(super) fn scale(&mut self, factor: f64) {
        self.of_all *= factor;
        self.by_rung.iter_mut().for_each(|weight| *weight *= factor);
    }

    /// Visits all series for the lightest one that a key on `rung` may replace: its index and weight. `last` is the rung
    /// of the series that always exists.
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

    /// Called after a search that found no series to replace, with the packets that the family received before.
    pub(super) fn failed(&mut self, now: Duration, packets: u64) {
        self.failed_search = (now, packets);
    }

    /// Whether the next search of so many series waits.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub(super) fn pauses_search(&self, now: Duration, packets: u64, series: usize) -> bool {
        let (failed, packets_then) = self.failed_search;
        let pause = PAUSE.max(PAUSE_OF_SERIES.saturating_mul(series as u32));
        let pause_packets = PAUSE_PACKETS.max(series as u64 / SEARCHED_PER_PACKET);
        now < failed + pause && packets < packets_then + pause_packets
    }
}

/// The lowest weight of all series but the last one, and the index and weight of the lightest one that a key on `rung`
/// may replace.
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
