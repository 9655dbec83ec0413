//! Replacement of series: the coldest series make room for heavier keys, or for a smaller budget.

use std::time::Duration;

use super::Family;
use crate::metrics::{
    Key,
    budget::Claim,
    series::{Phase, Series},
};

/// A candidate must have at least this many times the weight of the series that it replaces.
const MIN_RATIO: u32 = 2;

/// A candidate must also outweigh that series by this many packets, so that idle series are not replaced needlessly.
const MIN_LEAD: u32 = 8;

/// Maximum number of replacements in progress.
const REPLACEMENTS_PER_TICK: usize = 32;

impl Family {
    /// Retires the coldest series above the budget. A series whose count was not exposed yet is dropped at once.
    pub(super) fn shrink(&mut self, now: Duration) {
        let rungs = self.labels.len();
        let active = self.table.all().iter().filter(|series| !series.is_retiring()).count();
        let excess = active.saturating_sub(self.max_series);
        let mut indices = self
            .coldest(excess, |series| !series.is_retiring() && usize::from(series.rung) < rungs);
        // From the end, because the last series moves to the index of a removed one.
        indices.sort_unstable_by(|one, other| other.cmp(one));
        for index in indices {
            let series = &mut self.table.all_mut()[index];
            if series.is_pending() {
                self.drop_series(index);
            } else {
                series.retire(self.generation, now, None);
            }
        }
    }

    /// Creates the series of a dropped series' successor, if there still is room.
    pub(super) fn admit_successor(&mut self, successor: Key, now: Duration) {
        let rung = successor.rung(self.labels.len());
        let hash = self.table.hash(&successor);
        if self.table.find(hash, &successor).is_none()
            && self.has_room(rung, Claim::Replacement, now)
        {
            self.admit(hash, successor, rung, now);
            self.replaced_series += 1;
            self.heavy_hitters.remove(&successor);
        }
    }

    /// Retires the coldest series in favour of heavier candidates.
    pub(super) fn replace(&mut self, now: Duration) {
        let labels = self.labels.len();
        let promised: Vec<_> =
            self.table.all().iter().filter_map(|series| series.successor).collect();
        let room = REPLACEMENTS_PER_TICK.saturating_sub(promised.len());
        let mut victims = self
            .coldest(room, |series| {
                series.phase == Phase::Live && usize::from(series.rung) < labels
            })
            .into_iter();
        for candidate in self.heavy_hitters.candidates(MIN_LEAD).into_iter().take(room) {
            let rung = candidate.key.rung(labels);
            let hash = self.table.hash(&candidate.key);
            if promised.contains(&candidate.key) || self.table.find(hash, &candidate.key).is_some()
            {
                continue;
            }
            let births = self.births.within_an_hour(now);
            if !self.birth_budget.allows(births, rung, Claim::Replacement) {
                continue;
            }
            if self.series_budget.allows(&self.used, rung, Claim::Replacement) {
                self.admit(hash, candidate.key, rung, now);
                self.heavy_hitters.remove(&candidate.key);
                continue;
            }
            // A more detailed key never replaces a less detailed series: that room is reserved.
            let Some(index) =
                victims.find(|&index| usize::from(self.table.all()[index].rung) <= rung)
            else {
                break;
            };
            let after = self.generation;
            let victim = &mut self.table.all_mut()[index];
            if candidate.weight < victim.weight.saturating_mul(MIN_RATIO).saturating_add(MIN_LEAD) {
                break;
            }
            victim.retire(after, now, Some(candidate.key));
        }
    }

    /// Indices of the lightest eligible series, the lightest first, at most `limit`.
    fn coldest(&self, limit: usize, eligible: impl Fn(&Series) -> bool) -> Vec<usize> {
        let mut indices: Vec<_> = self
            .table
            .all()
            .iter()
            .enumerate()
            .filter(|(_, series)| eligible(series))
            .map(|(index, series)| (series.weight, series.packets, index))
            .collect();
        if limit < indices.len() {
            indices.select_nth_unstable(limit);
            indices.truncate(limit);
        }
        indices.sort_unstable();
        indices.into_iter().map(|(_, _, index)| index).collect()
    }
}
