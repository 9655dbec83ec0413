//! Admission: which key gets a series, in free room or in place of the lightest series.

use std::time::Duration;

use super::Family;
use crate::metrics::{
    Key, OTHER,
    budget::{ByRung, Claim, MAX_RUNGS, SCARCE},
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

/// Maximum number of replacements in progress; the last quarter is for keys with a considerable part of the packets.
const MAX_PROMISES: usize = 64;
const MAX_LIGHT_PROMISES: usize = 48;

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
            if rung == 0 {
                self.too_light = self.evidence(free, now) * self.unit.get();
                if weight < self.too_light {
                    return None;
                }
            }
            let claim = self.claim(rung, weight);
            if !self.is_free(rung) && self.turnover.used(claim, self.promises.len(), now) >= 1.0 {
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
        self.lightest.created(rung, weight, self.shows_at_once);
        let newborn = Phase::Newborn { after: self.generation };
        let phase = if self.shows_at_once { Phase::Live } else { newborn };
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
            let index = self.table.all().iter().position(|series| series.key == successor);
            return index.map_or((), |index| self.fold_series(index));
        }
        self.count_birth(rung, now);
        self.replaced_series += 1;
        let hash = self.table.hash(&successor);
        let phase = Phase::Newborn { after: self.generation };
        if let Some(series) = self.table.find(hash, &successor) {
            series.set_phase(phase);
        }
    }

    /// Retires the lightest series above the budget and above the places that their rung may take. A series whose
    /// count was not exposed yet ends at once, and its packets are folded.
    pub(super) fn shrink(&mut self, now: Duration) {
        let labels = self.labels.len();
        let mut used: ByRung = [0; MAX_RUNGS];
        // The last rung stays.
        used[labels] = 1;
        let mut active = Vec::new();
        for (index, series) in self.table.all().iter().enumerate() {
            let rung = usize::from(series.rung);
            if series.is_exposed() && !series.is_retiring() && rung < labels {
                used[rung] += 1;
                active.push((rung, series.weight, index));
            }
        }
        active.sort_unstable_by(|one, other| one.1.total_cmp(&other.1));
        let total = self.places.total();
        let mut ending = Vec::new();
        active.retain(|&(rung, _, index)| {
            let ends = used.iter().sum::<usize>() + self.places.kept(&used, 0) > total
                && (rung == 0 || self.places.exceeds_reserve(&used, rung));
            if ends {
                used[rung] -= 1;
                ending.push(index);
            }
            !ends
        });
        // The reserves alone may be too many. Then the most detailed series end.
        let excess = used.iter().sum::<usize>().saturating_sub(total);
        active.sort_by_key(|(rung, ..)| *rung);
        ending.extend(active.iter().take(excess).map(|(.., index)| *index));
        // From the end, because the last series moves to the index of a removed one.
        ending.sort_unstable_by(|one, other| other.cmp(one));
        for index in ending {
            let series = &mut self.table.all_mut()[index];
            if series.is_pending() {
                self.used[usize::from(series.rung)] -= 1;
                self.fold_series(index);
            } else {
                self.next_phase = self.next_phase.min(series.retire(self.generation, now));
            }
        }
    }

    /// The weight in packets that a full key needs for one of so many free places.
    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    fn evidence(&mut self, free: usize, now: Duration) -> f64 {
        if self.places.is_for_country(0) || free * SCARCE > free + self.used[0] {
            return 0.0;
        }
        let hours = free as f64 / self.turnover.pace(now);
        EVIDENCE.iter().find(|(least, _)| hours >= *least).map_or(0.0, |(_, packets)| *packets)
    }

    /// The index of the series that a key of this weight may replace now.
    fn replaceable(&mut self, rung: usize, weight: f64, now: Duration) -> Option<usize> {
        let claim = self.claim(rung, weight);
        let max_promises = if claim == Claim::Heavy { MAX_PROMISES } else { MAX_LIGHT_PROMISES };
        let used = self.turnover.used(claim, self.promises.len(), now);
        if used >= 1.0
            || weight <= self.required(self.lightest.replaceable(rung), used)
            || self.promises.len() >= max_promises
            || self.lightest.pauses_search(now, self.volume.packets(), self.table.all().len())
        {
            return None;
        }
        let lightest = self.lightest.search(self.table.all(), self.labels.len(), rung);
        let found = lightest.filter(|&(_, lightest)| weight > self.required(lightest, used));
        if found.is_none() {
            self.lightest.failed(now, self.volume.packets());
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
        self.next_phase = self.next_phase.min(victim.retire(self.generation, now));
        self.candidates.remove(hash);
        let before = weight - self.unit.get();
        self.table.insert(hash, Series::new(key, rung, before, Phase::Promised))
    }

    /// Counts the packets of a series that was not exposed, or only as zero, on the last rung.
    fn fold_series(&mut self, index: usize) {
        let labels = self.labels.len();
        let last = Key::last_rung(labels);
        let hash = self.table.hash(&last);
        let folded = self.table.remove(index);
        // Its next packets add to the weight that it has.
        let candidate = self.table.hash(&folded.key);
        #[expect(clippy::cast_possible_truncation, reason = "the candidates round all weights")]
        self.candidates.add(candidate, folded.weight as f32);
        for (packets, value) in self.folded.iter_mut().zip(folded.key.values(labels)) {
            if *value != OTHER {
                *packets += folded.packets;
            }
        }
        if let Some(last) = self.table.find(hash, &last) {
            last.packets += folded.packets;
            last.bytes += folded.bytes;
        }
    }

    fn count_birth(&mut self, rung: usize, now: Duration) {
        let is_free = self.is_free(rung);
        self.free_births += usize::from(is_free);
        self.too_light = 0.0;
        self.turnover.add(is_free, now);
        self.used[rung] += 1;
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
        // Other keys never take the places of countries, so these count as taken from the start.
        let taken = self.free_births + self.places.kept(&self.used, rung);
        self.places.is_for_country(rung) || (!self.filled[rung] && taken < self.places.total())
    }

    fn claim(&self, rung: usize, weight: f64) -> Claim {
        match rung {
            _ if self.is_heavy(weight) => Claim::Heavy,
            0 => Claim::Detailed,
            _ => Claim::Folded,
        }
    }
}
