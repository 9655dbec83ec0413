//! One family: counts each packet on the most detailed rung that has a series or room for one, from the full key
//! down to `other`, within both budgets.

mod replacement;

use std::{sync::Arc, time::Duration};

use super::{
    Dimension, FamilyConfig, FamilySnapshot, Key,
    budget::{Births, Budget, Claim},
    heavy_hitters::{HeavyHitters, decay},
    series::{Phase, Series},
    snapshot::SeriesSnapshot,
    table::SeriesTable,
};
use crate::event::{Event, UsedNames};

/// Bounded counters over one list of labels.
#[derive(Debug)]
pub struct Family {
    name: Arc<str>,
    labels: Arc<[Dimension]>,
    newborn_hold: Duration,
    max_series: usize,
    series_budget: Budget,
    birth_budget: Budget,
    table: SeriesTable,
    /// Number of series on each rung.
    used: [usize; super::MAX_LABELS + 1],
    births: Births,
    /// Rungs that had no room at the last check. Reset at each tick and when a series is dropped.
    closed: [bool; super::MAX_LABELS + 1],
    heavy_hitters: HeavyHitters,
    folded: Vec<u64>,
    retired_packets: u64,
    replaced_series: u64,
    /// The number of the last snapshot.
    generation: u64,
    /// Whether new series show their count at once.
    shows_at_once: bool,
}

impl Family {
    /// Creates a family with only its last rung. `missed` packets were received before: they count as retired, so
    /// that all families have the same sum.
    #[must_use]
    pub fn new(
        plan: &FamilyConfig,
        seed: u64,
        missed: u64,
        generation: u64,
        now: Duration,
    ) -> Self {
        let labels: Arc<[_]> = plan.labels.as_slice().into();
        let mut family = Self {
            name: plan.name.as_str().into(),
            newborn_hold: plan.newborn_hold,
            max_series: plan.max_series,
            series_budget: Budget::new(plan.max_series, 0, &labels),
            birth_budget: birth_budget(plan),
            table: SeriesTable::new(labels.len(), seed),
            used: [0; super::MAX_LABELS + 1],
            births: Births::default(),
            closed: [false; super::MAX_LABELS + 1],
            heavy_hitters: HeavyHitters::default(),
            folded: vec![0; labels.len()],
            retired_packets: missed,
            replaced_series: 0,
            generation,
            shows_at_once: false,
            labels,
        };
        let rungs = family.labels.len();
        let last = Key::last_rung(rungs);
        family.admit(family.table.hash(&last), last, rungs, now);
        family
    }

    /// Counts one packet on the first rung that has a series or room for one.
    pub fn record(&mut self, event: &Event, now: Duration) {
        let mut key = Key::of(&self.labels, event);
        let bytes = event.headers.length;
        let hash = self.table.hash(&key);
        match self.table.find(hash, &key) {
            Some(series) if !series.is_retiring() => series.count(bytes),
            _ => self.descend(hash, &mut key, bytes, now),
        }
    }

    /// The family as a scrape shows it. `generation` increases with every snapshot.
    pub fn snapshot(&mut self, generation: u64, now: Duration) -> FamilySnapshot {
        self.advance(now);
        self.generation = generation;
        let mut pending_packets = 0;
        let series = self
            .table
            .all()
            .iter()
            .map(|series| {
                let (packets, bytes) = if series.is_pending() {
                    pending_packets += series.packets;
                    (0, 0)
                } else {
                    (series.packets, series.bytes)
                };
                SeriesSnapshot { key: series.key, packets, bytes }
            })
            .collect();
        FamilySnapshot {
            name: Arc::clone(&self.name),
            labels: Arc::clone(&self.labels),
            series,
            series_limit: self.max_series,
            is_full: !self.series_budget.allows(&self.used, 0, Claim::Newcomer),
            folded: self.folded.clone(),
            retired_packets: self.retired_packets,
            pending_packets,
            replaced_series: self.replaced_series,
        }
    }

    /// Called when the scrape of snapshot `generation` was delivered.
    pub fn delivered(&mut self, generation: u64, now: Duration) {
        for series in self.table.all_mut() {
            series.delivered(generation, self.newborn_hold, now);
        }
        self.advance(now);
    }

    /// From now on, shows every count at once.
    pub fn show_at_once(&mut self) {
        self.shows_at_once = true;
        for series in self.table.all_mut() {
            series.phase = Phase::Live;
        }
    }

    /// Called once a minute: replaces the coldest series by heavier candidates, and decays all weights.
    pub fn tick(&mut self, now: Duration) {
        self.closed.fill(false);
        self.advance(now);
        self.replace(now);
        self.heavy_hitters.decay();
        for series in self.table.all_mut() {
            series.weight = decay(series.weight);
        }
    }

    /// Whether one of its labels is a device name.
    pub fn has_devices(&self) -> bool {
        let is_device =
            |label: &Dimension| matches!(label, Dimension::InInterface | Dimension::OutInterface);
        self.labels.iter().any(is_device)
    }

    /// Marks the names of its series, their successors and the heavy hitters.
    pub fn mark_names(&self, used: &mut UsedNames) {
        let series = self.table.all().iter();
        let keys =
            series.flat_map(|series| [Some(&series.key), series.successor.as_ref()]).flatten();
        for key in keys.chain(self.heavy_hitters.keys()) {
            key.mark_names(&self.labels, used);
        }
    }

    /// Applies new budgets. Returns false if the plan has another name or other labels; then a new family is
    /// needed. Series above a smaller budget retire, the coldest first.
    pub fn adopt(&mut self, plan: &FamilyConfig, now: Duration) -> bool {
        if *plan.name != *self.name || *plan.labels != *self.labels {
            return false;
        }
        self.newborn_hold = plan.newborn_hold;
        self.max_series = plan.max_series;
        self.series_budget = Budget::new(plan.max_series, 0, &self.labels);
        self.birth_budget = birth_budget(plan);
        self.closed.fill(false);
        self.shrink(now);
        true
    }

    /// Counts a packet whose full key has no active series: folds one label after another.
    fn descend(&mut self, mut hash: u64, key: &mut Key, bytes: u32, now: Duration) {
        let labels = self.labels.len();
        for rung in 0..=labels {
            if rung > 0 {
                key.fold(labels - rung);
                hash = self.table.hash(key);
            }
            if let Some(series) = self.table.find(hash, key) {
                if !series.is_retiring() {
                    series.count(bytes);
                    return self.count_folds(rung);
                }
            } else if !self.closed[rung] && self.has_room(rung, Claim::Newcomer, now) {
                self.admit(hash, *key, rung, now).count(bytes);
                return self.count_folds(rung);
            } else {
                self.closed[rung] = true;
                self.heavy_hitters.offer(hash, key);
            }
        }
        // Not reached, because the last rung always exists and never retires. If it were, the packet
        // must still be counted.
        debug_assert!(false, "the last rung is gone");
        self.retired_packets += 1;
    }

    fn drop_series(&mut self, index: usize) -> Option<Key> {
        let dropped = self.table.remove(index);
        self.used[usize::from(dropped.rung)] -= 1;
        self.closed.fill(false);
        self.retired_packets += dropped.packets;
        dropped.successor
    }

    fn count_folds(&mut self, rung: usize) {
        let exact = self.labels.len() - rung;
        for folded in &mut self.folded[exact..] {
            *folded += 1;
        }
    }

    fn has_room(&mut self, rung: usize, claim: Claim, now: Duration) -> bool {
        self.series_budget.allows(&self.used, rung, claim)
            && self.birth_budget.allows(self.births.within_an_hour(now), rung, claim)
    }

    fn admit(&mut self, hash: u64, key: Key, rung: usize, now: Duration) -> &mut Series {
        self.used[rung] += 1;
        self.births.add(rung, now);
        let phase = if self.shows_at_once {
            Phase::Live
        } else {
            Phase::Newborn { after: self.generation }
        };
        self.table.insert(hash, Series::new(key, rung, phase))
    }

    /// Advances the phases of all series. Dropped series are replaced by their successors.
    fn advance(&mut self, now: Duration) {
        let mut index = 0;
        while index < self.table.all().len() {
            if !self.table.all_mut()[index].advance(now) {
                index += 1;
                continue;
            }
            if let Some(successor) = self.drop_series(index) {
                self.admit_successor(successor, now);
            }
        }
    }
}

/// The budget of new series per hour: a tenth is reserved for heavy hitters that appear late.
fn birth_budget(plan: &FamilyConfig) -> Budget {
    let total = plan.max_new_series_per_hour;
    let spare = if total > 1 { total.div_ceil(10) } else { 0 };
    Budget::new(total, spare, &plan.labels)
}
