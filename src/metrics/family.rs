//! One family: the ladder from a packet's full key down to `other`, within both budgets.

use std::{sync::Arc, time::Duration};

use super::{
    Dimension, FamilyPlan, FamilySnapshot, Key,
    aggregate::fade,
    budget::{Births, Budget, Claim},
    heavy_hitters::Sketch,
    series::{Phase, Series, Table},
    snapshot,
};
use crate::event::{Event, UsedNames};

/// A candidate must outweigh the series whose place it takes by this factor …
const OUTWEIGHS: u32 = 2;

/// … and by this many packets, so that idle series are not turned over for nothing.
const LEAST_LEAD: u32 = 8;

/// Most replacements begun at one beat of the slow clock.
const REPLACEMENTS_A_BEAT: usize = 32;

/// Bounded counters over one list of labels.
#[derive(Debug)]
pub struct Family {
    name: Arc<str>,
    labels: Arc<[Dimension]>,
    newborn_hold: Duration,
    max_series: usize,
    series_budget: Budget,
    birth_budget: Budget,
    table: Table,
    /// Series on each rung.
    used: [usize; super::MAX_LABELS + 1],
    births: Births,
    /// Rungs that had no room when last asked; forgotten at every beat, and when a series goes.
    closed: [bool; super::MAX_LABELS + 1],
    sketch: Sketch,
    folded: Vec<u64>,
    retired_packets: u64,
    replaced_series: u64,
    /// The last snapshot taken.
    generation: u64,
    /// Series need not be born at zero.
    at_once: bool,
}

impl Family {
    /// Starts a family with its last rung alone. `missed` packets were received before it began:
    /// they count as retired, so that the family's sum is the same as every other's.
    #[must_use]
    pub fn new(plan: &FamilyPlan, seed: u64, missed: u64, generation: u64, now: Duration) -> Self {
        let labels: Arc<[_]> = plan.labels.as_slice().into();
        let mut family = Self {
            name: plan.name.as_str().into(),
            newborn_hold: plan.newborn_hold,
            max_series: plan.max_series,
            series_budget: Budget::new(plan.max_series, 0, &labels),
            birth_budget: birth_budget(plan),
            table: Table::new(labels.len(), seed),
            used: [0; super::MAX_LABELS + 1],
            births: Births::default(),
            closed: [false; super::MAX_LABELS + 1],
            sketch: Sketch::default(),
            folded: vec![0; labels.len()],
            retired_packets: missed,
            replaced_series: 0,
            generation,
            at_once: false,
            labels,
        };
        let rungs = family.labels.len();
        let last = Key::last_rung(rungs);
        family.admit(family.table.hash(&last), last, rungs, now);
        family
    }

    /// Counts one packet on the first rung that has, or can be given, a series.
    pub fn record(&mut self, event: &Event, now: Duration) {
        let mut key = Key::of(&self.labels, event);
        let bytes = event.headers.length;
        let hash = self.table.hash(&key);
        match self.table.find(hash, &key) {
            Some(series) if !series.is_retiring() => series.count(bytes),
            _ => self.descend(hash, &mut key, bytes, now),
        }
    }

    /// The family as a scrape sees it. `generation` counts up with every snapshot.
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
                snapshot::Series { key: series.key, packets, bytes }
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

    /// The scrape of snapshot `generation` reached whoever asked for it.
    pub fn delivered(&mut self, generation: u64, now: Duration) {
        for series in self.table.all_mut() {
            series.delivered(generation, self.newborn_hold, now);
        }
        self.advance(now);
    }

    /// Shows every count at once from now on.
    pub fn show_at_once(&mut self) {
        self.at_once = true;
        for series in self.table.all_mut() {
            series.phase = Phase::Live;
        }
    }

    /// A beat of the slow clock: heavy candidates get the places of the coldest series.
    pub fn beat(&mut self, now: Duration) {
        self.closed.fill(false);
        self.advance(now);
        self.replace(now);
        self.sketch.fade();
        for series in self.table.all_mut() {
            series.weight = fade(series.weight);
        }
    }

    /// Whether one of its labels is the name of a device.
    pub fn has_devices(&self) -> bool {
        let is_device =
            |label: &Dimension| matches!(label, Dimension::InInterface | Dimension::OutInterface);
        self.labels.iter().any(is_device)
    }

    /// Marks the names that its series, their successors and the candidates for a place refer to.
    pub fn mark_names(&self, used: &mut UsedNames) {
        let series = self.table.all().iter();
        let keys =
            series.flat_map(|series| [Some(&series.key), series.successor.as_ref()]).flatten();
        for key in keys.chain(self.sketch.keys()) {
            key.mark_names(&self.labels, used);
        }
    }

    /// Takes over new budgets. False when the plan is for other labels: then the family must begin
    /// anew. Series above a smaller budget retire, the coldest first.
    pub fn adopt(&mut self, plan: &FamilyPlan, now: Duration) -> bool {
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

    /// Goes down the ladder from a full key that has no series to count on.
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
                    return self.book_folds(rung);
                }
            } else if !self.closed[rung] && self.has_room(rung, Claim::Newcomer, now) {
                self.admit(hash, *key, rung, now).count(bytes);
                return self.book_folds(rung);
            } else {
                self.closed[rung] = true;
                self.sketch.offer(hash, key);
            }
        }
        // The last rung stands from the first moment and never retires, so this is not reached;
        // a count that got here all the same must not be lost.
        debug_assert!(false, "the last rung is gone");
        self.retired_packets += 1;
    }

    /// Lets the coldest series above the budget go. One that no scrape has shown a count of goes at
    /// once; the others stay for their last scrape.
    fn shrink(&mut self, now: Duration) {
        let rungs = self.labels.len();
        let staying = self.table.all().iter().filter(|series| !series.is_retiring()).count();
        let excess = staying.saturating_sub(self.max_series);
        let mut places = self
            .coldest(excess, |series| !series.is_retiring() && usize::from(series.rung) < rungs);
        // From the back, as the last series moves to the place of one that is removed.
        places.sort_unstable_by(|one, other| other.cmp(one));
        for place in places {
            let series = &mut self.table.all_mut()[place];
            if series.is_pending() {
                self.drop_series(place);
            } else {
                series.retire(self.generation, now, None);
            }
        }
    }

    fn drop_series(&mut self, place: usize) -> Option<Key> {
        let gone = self.table.remove(place);
        self.used[usize::from(gone.rung)] -= 1;
        self.closed.fill(false);
        self.retired_packets += gone.packets;
        gone.successor
    }

    fn book_folds(&mut self, rung: usize) {
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
        self.births.book(rung, now);
        let phase =
            if self.at_once { Phase::Live } else { Phase::Newborn { after: self.generation } };
        self.table.insert(hash, Series::new(key, rung, phase))
    }

    /// Promotes and drops what is due; the successor of a dropped series is born.
    fn advance(&mut self, now: Duration) {
        let mut place = 0;
        while place < self.table.all().len() {
            if !self.table.all_mut()[place].advance(now) {
                place += 1;
                continue;
            }
            if let Some(successor) = self.drop_series(place) {
                self.succeed(successor, now);
            }
        }
    }

    fn succeed(&mut self, successor: Key, now: Duration) {
        let rung = successor.rung(self.labels.len());
        let hash = self.table.hash(&successor);
        if self.table.find(hash, &successor).is_none()
            && self.has_room(rung, Claim::Replacement, now)
        {
            self.admit(hash, successor, rung, now);
            self.replaced_series += 1;
            self.sketch.forget(&successor);
        }
    }

    fn replace(&mut self, now: Duration) {
        let labels = self.labels.len();
        let promised: Vec<_> =
            self.table.all().iter().filter_map(|series| series.successor).collect();
        let room = REPLACEMENTS_A_BEAT.saturating_sub(promised.len());
        let mut victims = self
            .coldest(room, |series| {
                series.phase == Phase::Live && usize::from(series.rung) < labels
            })
            .into_iter();
        for candidate in self.sketch.candidates(LEAST_LEAD).into_iter().take(room) {
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
                self.sketch.forget(&candidate.key);
                continue;
            }
            // A fine key never takes the place of a coarse series: that room is reserved.
            let Some(place) =
                victims.find(|&place| usize::from(self.table.all()[place].rung) <= rung)
            else {
                break;
            };
            let after = self.generation;
            let victim = &mut self.table.all_mut()[place];
            if candidate.weight < victim.weight.saturating_mul(OUTWEIGHS).saturating_add(LEAST_LEAD)
            {
                break;
            }
            victim.retire(after, now, Some(candidate.key));
        }
    }

    /// Places of the lightest series that are eligible, the lightest first, `most` at most.
    fn coldest(&self, most: usize, eligible: impl Fn(&Series) -> bool) -> Vec<usize> {
        let mut places: Vec<_> = self
            .table
            .all()
            .iter()
            .enumerate()
            .filter(|(_, series)| eligible(series))
            .map(|(place, series)| (series.weight, series.packets, place))
            .collect();
        if most < places.len() {
            places.select_nth_unstable(most);
            places.truncate(most);
        }
        places.sort_unstable();
        places.into_iter().map(|(_, _, place)| place).collect()
    }
}

/// The budget of births: a tenth is kept for heavy hitters that come late.
fn birth_budget(plan: &FamilyPlan) -> Budget {
    let total = plan.max_new_series_per_hour;
    let spare = if total > 1 { total.div_ceil(10) } else { 0 };
    Budget::new(total, spare, &plan.labels)
}
