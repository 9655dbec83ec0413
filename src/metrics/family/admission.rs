//! Admission: which key gets a series, in free room or in place of the lightest series.

use std::time::Duration;

use super::Family;
use crate::metrics::{
    Key,
    budget::{Claim, SCARCE},
    series::{Phase, Series},
};

/// The packets that a full key needs for one of the last places, minus a half because weights decay: by how many hours the free
/// places last at the pace of the last hour.
const EVIDENCE: [(f64, f64); 4] = [(1.0, 0.0), (1.0 / 4.0, 1.5), (1.0 / 16.0, 2.5), (0.0, 3.5)];

/// A key replaces the lightest series if its weight is more than this many times the weight of that series,
const MIN_RATIO: f64 = 1.25;

/// and by this many packets more while the hour's turnover is unused,
const MIN_LEAD: f64 = 0.5;

/// and by this many times `used / (1 - used)` packets more as it is used up. So light keys never use up the turnover,
/// and a key that is heavy enough always finds some of it left.
const SCARCE_LEAD: f64 = 1.0;

/// A key with at least this part of all packets may use the whole turnover.
const HEAVY_PART: f64 = 1.0 / 200.0;

/// Maximum number of replacements in progress.
const MAX_PROMISES: usize = 64;

/// After a search that found no series to replace, the next one waits for this time or this many packets, so that a
/// flood of keys at the threshold does not cause a search for each packet.
const SEARCH_PAUSE: Duration = Duration::from_millis(10);
const SEARCH_PAUSE_PACKETS: u64 = 64;

/// A series that is created when another one was scraped for the last time and is dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    /// The retiring series.
    pub(super) victim: Key,
    /// The key of the new one.
    pub(super) successor: Key,
}

impl Family {
    /// Creates the series of a key that has none, if it gets one, for a packet on `rung`. `weight` is a lower bound of
    /// the key's weight, this packet included.
    pub(super) fn admit(
        &mut self,
        hash: u64,
        key: Key,
        rung: usize,
        weight: f64,
        now: Duration,
    ) -> Option<&mut Series> {
        let free = self.places.free(&self.used, rung);
        if free > 0 {
            if rung == 0 && self.unit.packets(weight) < self.evidence(free, now) {
                return None;
            }
            if !self.is_free(rung)
                && self.turnover.used(claim(rung), self.promises.len(), now) >= 1.0
            {
                return None;
            }
        } else {
            self.full[rung] = true;
            self.filled[rung] = true;
            let index = self.replaceable(rung, weight, now)?;
            if !self.shows_at_once {
                return Some(self.promise(index, hash, key, rung, weight, now));
            }
            self.drop_series(index);
            self.replaced_series += 1;
        }
        self.candidates.remove(hash);
        Some(self.create(hash, key, rung, weight - self.unit.get(), now))
    }

    /// Creates the series of a key; `weight` is that of its packets so far.
    pub(super) fn create(
        &mut self,
        hash: u64,
        key: Key,
        rung: usize,
        weight: f64,
        now: Duration,
    ) -> &mut Series {
        self.count_birth(rung, now);
        self.lightest = self.lightest.min(weight);
        let phase = if self.shows_at_once {
            Phase::Live
        } else {
            Phase::Newborn { after: self.generation }
        };
        self.table.insert(hash, Series::new(key, rung, weight, phase))
    }

    /// Exposes the series that was promised in place of a dropped one. If there no longer is room, its packets are
    /// folded.
    pub(super) fn keep_promise(&mut self, dropped: &Key, now: Duration) {
        let Some(promise) = self.promises.iter().position(|promise| promise.victim == *dropped)
        else {
            return;
        };
        let successor = self.promises.swap_remove(promise).successor;
        let rung = successor.rung(self.labels.len());
        if self.places.free(&self.used, rung) == 0 {
            return self.fold_series(&successor);
        }
        self.count_birth(rung, now);
        self.replaced_series += 1;
        let hash = self.table.hash(&successor);
        let phase = Phase::Newborn { after: self.generation };
        if let Some(series) = self.table.find(hash, &successor) {
            series.phase = phase;
        }
    }

    /// Retires the lightest series above the budget. A series whose count was not exposed yet is dropped at once.
    pub(super) fn shrink(&mut self, now: Duration) {
        let labels = self.labels.len();
        let active = |series: &Series| {
            series.is_exposed() && !series.is_retiring() && usize::from(series.rung) < labels
        };
        let mut series: Vec<_> = (self.table.all().iter().enumerate())
            .filter(|(_, series)| active(series))
            .map(|(index, series)| (series.weight, index))
            .collect();
        // The last rung is active, too.
        let excess = (series.len() + 1).saturating_sub(self.places.total());
        series.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let mut indices: Vec<_> = series.into_iter().take(excess).map(|(_, index)| index).collect();
        // From the end, because the last series moves to the index of a removed one.
        indices.sort_unstable_by(|one, other| other.cmp(one));
        for index in indices {
            let series = &mut self.table.all_mut()[index];
            if series.is_pending() {
                self.drop_series(index);
            } else {
                self.next_drop = self.next_drop.min(series.retire(self.generation, now));
            }
        }
    }

    /// The weight in packets that a full key needs for one of so many free places.
    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    fn evidence(&mut self, free: usize, now: Duration) -> f64 {
        if free * SCARCE > free + self.used[0] {
            return 0.0;
        }
        let hours = free as f64 / self.turnover.pace(now);
        EVIDENCE.iter().find(|(least, _)| hours >= *least).map_or(0.0, |(_, packets)| *packets)
    }

    /// The index of the series that a key of this weight may replace now.
    fn replaceable(&mut self, rung: usize, weight: f64, now: Duration) -> Option<usize> {
        let claim = if self.is_heavy(weight) { Claim::Heavy } else { claim(rung) };
        let used = self.turnover.used(claim, self.promises.len(), now);
        if used >= 1.0
            || weight <= self.required(self.lightest, used)
            || self.promises.len() >= MAX_PROMISES
            || self.pauses_search(now)
        {
            return None;
        }
        let lightest = self.lightest_series(rung);
        let found = lightest.filter(|&(_, lightest)| weight > self.required(lightest, used));
        if found.is_none() {
            self.failed_search = (now, self.volume.packets());
        }
        let (index, lightest) = found?;
        // The next packets of the replaced key add to the weight that it has.
        let hash = self.table.hash(&self.table.all()[index].key);
        #[expect(clippy::cast_possible_truncation, reason = "the candidates round all weights")]
        self.candidates.add(hash, lightest as f32);
        Some(index)
    }

    /// Retires a series, and creates the one that is exposed after it.
    fn promise(
        &mut self,
        index: usize,
        hash: u64,
        key: Key,
        rung: usize,
        weight: f64,
        now: Duration,
    ) -> &mut Series {
        let victim = &mut self.table.all_mut()[index];
        self.promises.push(Promise { victim: victim.key, successor: key });
        self.next_drop = self.next_drop.min(victim.retire(self.generation, now));
        self.candidates.remove(hash);
        let before = weight - self.unit.get();
        self.table.insert(hash, Series::new(key, rung, before, Phase::Promised))
    }

    /// Counts the packets of a promised series on the last rung.
    fn fold_series(&mut self, key: &Key) {
        let labels = self.labels.len();
        let last = Key::last_rung(labels);
        let hash = self.table.hash(&last);
        let index = self.table.all().iter().position(|series| series.key == *key);
        let Some(folded) = index.map(|index| self.table.remove(index)) else { return };
        for packets in &mut self.folded[..labels - usize::from(folded.rung)] {
            *packets += folded.packets;
        }
        if let Some(last) = self.table.find(hash, &last) {
            last.packets += folded.packets;
            last.bytes += folded.bytes;
        }
    }

    fn count_birth(&mut self, rung: usize, now: Duration) {
        let is_free = self.is_free(rung);
        self.free_births += usize::from(is_free);
        self.turnover.add(is_free, now);
        self.used[rung] += 1;
    }

    /// The lightest series that a key on `rung` may replace: its index and weight. Also updates [`Family::lightest`].
    fn lightest_series(&mut self, rung: usize) -> Option<(usize, f64)> {
        let labels = self.labels.len();
        let mut lightest = f64::INFINITY;
        let mut found: Option<(usize, f64)> = None;
        for (index, series) in self.table.all().iter().enumerate() {
            // A more detailed key never replaces a less detailed series: that room is reserved.
            if series.is_retiring() || usize::from(series.rung) >= labels {
                continue;
            }
            lightest = lightest.min(series.weight);
            if series.phase == Phase::Live
                && usize::from(series.rung) <= rung
                && found.is_none_or(|(_, weight)| series.weight < weight)
            {
                found = Some((index, series.weight));
            }
        }
        self.lightest = lightest;
        found
    }

    fn pauses_search(&self, now: Duration) -> bool {
        let (failed, packets) = self.failed_search;
        now < failed + SEARCH_PAUSE && self.volume.packets() < packets + SEARCH_PAUSE_PACKETS
    }

    /// The weight above which a key replaces a series of this weight, if this part of the turnover is used.
    pub(super) fn required(&self, lightest: f64, used: f64) -> f64 {
        MIN_RATIO * lightest + (MIN_LEAD + SCARCE_LEAD * used / (1.0 - used)) * self.unit.get()
    }

    /// Whether a key of this weight has a considerable part of the packets, of the last hour or of the horizon of the
    /// weights, whichever is shorter.
    fn is_heavy(&self, weight: f64) -> bool {
        self.unit.packets(weight) >= HEAVY_PART * self.volume.recent(self.unit)
    }

    /// Whether a new series on this rung belongs to the first fill.
    fn is_free(&self, rung: usize) -> bool {
        !self.filled[rung] && self.free_births < self.places.total()
    }
}

fn claim(rung: usize) -> Claim {
    if rung == 0 { Claim::Detailed } else { Claim::Folded }
}
