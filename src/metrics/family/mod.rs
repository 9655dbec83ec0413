//! One family: counts each packet on the most detailed rung that has a series or room for one, from the full key
//! down to `other`, within both budgets.

mod admission;
mod lightest;

use std::{hint::black_box, sync::Arc, time::Duration};

use admission::Promise;
use lightest::LightestWeights;

use super::{
    Dimension, FamilyConfig, FamilySnapshot, Key, OTHER,
    budget::{ByRung, MAX_RUNGS, Places, Turnover},
    candidates::Candidates,
    demand::Demand,
    series::{Phase, Series},
    snapshot::SeriesSnapshot,
    table::{SeriesTable, Slot},
    weight::{Unit, Volume},
};
use crate::event::{Event, UsedNames};

/// Packets that are looked up at a time. What is read for them fits the processor's first cache.
pub const LOOKUPS: usize = 128;

/// Bounded counters over one list of labels.
#[derive(Debug)]
pub struct Family {
    name: Arc<str>,
    labels: Arc<[Dimension]>,
    newborn_hold: Duration,
    places: Places,
    turnover: Turnover,
    table: SeriesTable,
    /// Number of series on each rung.
    used: ByRung,
    /// Rungs that have no free place. Reset when a series is dropped.
    full: [bool; MAX_RUNGS],
    /// Rungs whose places were all taken once: their first fill is over.
    filled: [bool; MAX_RUNGS],
    /// Full keys below this weight lack evidence for the free places. 0 if unknown: after a change of the free places,
    /// and once a minute.
    too_light: f64,
    /// Series created in the first fill.
    free_births: usize,
    unit: Unit,
    volume: Volume,
    candidates: Candidates,
    lightest: LightestWeights,
    promises: Vec<Promise>,
    /// When the phase of a series ends next: searched for only then.
    next_phase: Duration,
    demand: Demand,
    folded: Vec<u64>,
    retired_packets: u64,
    replaced_series: u64,
    /// The number of the last snapshot.
    generation: u64,
    /// Whether new series show their count at once.
    shows_at_once: bool,
    /// Memory for the look-ups of a batch.
    lookups: Vec<Lookup>,
}

/// One packet on its way to a series. The values of its key are overwritten by those of the next packet.
#[derive(Clone, Debug, Default)]
struct Lookup {
    key: Key,
    hash: u64,
    /// The slot of the key, or of another one: see [`SeriesTable::slot`].
    slot: Slot,
}

impl Family {
    /// Creates a family with only its last rung. `missed` packets were received before: they count as retired, so
    /// that all families have the same sum.
    #[must_use]
    pub fn new(
        config: &FamilyConfig,
        seed: u64,
        missed: u64,
        generation: u64,
        now: Duration,
    ) -> Self {
        let labels: Arc<[_]> = config.labels.as_slice().into();
        let mut family = Self {
            name: config.name.as_str().into(),
            newborn_hold: config.newborn_hold,
            places: Places::new(config.max_series, &labels),
            turnover: Turnover::new(config.max_new_series_per_hour),
            table: SeriesTable::new(labels.len(), seed),
            used: [0; MAX_RUNGS],
            full: [false; MAX_RUNGS],
            filled: [false; MAX_RUNGS],
            too_light: 0.0,
            free_births: 0,
            unit: Unit::new(now),
            volume: Volume::new(now),
            candidates: Candidates::default(),
            lightest: LightestWeights::new(),
            promises: Vec::new(),
            next_phase: Duration::MAX,
            demand: Demand::new(now),
            folded: vec![0; labels.len()],
            retired_packets: missed,
            replaced_series: 0,
            generation,
            shows_at_once: false,
            lookups: Vec::new(),
            labels,
        };
        let rungs = family.labels.len();
        let last = Key::last_rung(rungs);
        family.create(family.table.hash(&last), last, rungs, 0.0, now);
        family
    }

    /// Counts packets, each on the first rung that has a series or room for one.
    pub fn record(&mut self, events: &[Event], now: Duration) {
        let mut lookups = std::mem::take(&mut self.lookups);
        lookups.resize(LOOKUPS, Lookup::default());
        for events in events.chunks(LOOKUPS) {
            let lookups = &mut lookups[..events.len()];
            self.look_up(events, lookups);
            for (lookup, event) in lookups.iter_mut().zip(events) {
                self.count(lookup, event.headers.length, now);
            }
        }
        self.lookups = lookups;
    }

    /// Computes the keys of packets, and reads their series, all of them in one stage after the other: the processor
    /// waits for the memory of many packets at a time.
    fn look_up(&self, events: &[Event], lookups: &mut [Lookup]) {
        for (label, dimension) in self.labels.iter().enumerate() {
            let set = |lookup: &mut Lookup, value| lookup.key.set(label, value);
            dimension.each_value(events, lookups.iter_mut(), set);
        }
        for lookup in &mut *lookups {
            lookup.hash = self.table.hash(&lookup.key);
        }
        // Short loops: the more steps of a loop the processor can start before a read ends, the more memory it reads at a
        // time.
        for lookup in &mut *lookups {
            lookup.slot = self.table.slot(lookup.hash);
        }
        let mut touched = 0;
        for lookup in &*lookups {
            touched ^= self.table.touch(lookup.slot, lookup.hash);
        }
        if self.full[0] {
            for lookup in &*lookups {
                // A packet that has a series needs no candidate. For all of them the same one is read: a branch would often
                // be predicted wrongly.
                let hash = if lookup.slot.is_of(lookup.hash) { 0 } else { lookup.hash };
                touched ^= self.candidates.touch(hash);
            }
        }
        // Used, so that the compiler does not leave out the reads.
        black_box(touched);
    }

    /// Counts one packet.
    #[inline]
    fn count(&mut self, lookup: &mut Lookup, bytes: u32, now: Duration) {
        let Lookup { key, hash, .. } = lookup;
        self.volume.count();
        match self.table.find(*hash, key) {
            Some(series) if !series.is_retiring() => {
                series.count(bytes, self.unit.get());
                if series.demanded != self.demand.running() {
                    series.demanded = self.demand.running();
                    self.demand.add(*hash);
                }
            }
            found => {
                let is_absent = found.is_none();
                self.demand.add(*hash);
                self.descend(*hash, key, is_absent, bytes, now);
            }
        }
    }

    /// Drops retiring series whose time is over. Called for every batch.
    pub fn drop_due(&mut self, now: Duration) {
        if self.next_phase <= now {
            self.advance(now);
        }
    }

    /// Number of its series.
    pub fn series_count(&self) -> usize {
        self.table.all().len()
    }

    /// Its name, and the packets that were counted with a folded label, by label.
    pub fn folded_packets(&self) -> (&Arc<str>, &[u64]) {
        (&self.name, &self.folded)
    }

    /// The family as a scrape shows it, its series in this empty memory. `generation` increases with every snapshot.
    pub fn snapshot(
        &mut self,
        generation: u64,
        now: Duration,
        mut series: Vec<SeriesSnapshot>,
    ) -> FamilySnapshot {
        self.advance(now);
        self.generation = generation;
        let mut pending_packets = 0;
        series.extend(self.table.all().iter().filter_map(|series| {
            let (packets, bytes) = if series.is_pending() {
                pending_packets += series.packets;
                (0, 0)
            } else {
                (series.packets, series.bytes)
            };
            series.is_exposed().then_some(SeriesSnapshot { key: series.key, packets, bytes })
        }));
        FamilySnapshot {
            name: Arc::clone(&self.name),
            labels: Arc::clone(&self.labels),
            series,
            series_limit: self.places.total(),
            demand: self.demand.estimate(),
            folded: self.folded.clone(),
            retired_packets: self.retired_packets,
            pending_packets,
            replaced_series: self.replaced_series,
        }
    }

    /// Called when the scrape of snapshot `generation` was delivered.
    pub fn delivered(&mut self, generation: u64, now: Duration) {
        let mut next = Duration::MAX;
        for series in self.table.all_mut() {
            series.delivered(generation, self.newborn_hold, now);
            next = next.min(series.phase_end());
        }
        self.next_phase = next;
        self.advance(now);
    }

    /// Shows every count at once. Called before the first packet: a promised series has no place of its own yet.
    pub fn show_at_once(&mut self) {
        self.shows_at_once = true;
        debug_assert!(self.promises.is_empty(), "after packets");
        for series in self.table.all_mut() {
            series.set_phase(Phase::Live);
        }
    }

    /// Called once a minute: decays all weights.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
        self.too_light = 0.0;
        self.volume.tick(self.unit, now);
        self.unit.decay(self.lightest_if_full(), now);
        if let Some(factor) = self.unit.rescale() {
            for series in self.table.all_mut() {
                series.weight *= factor;
            }
            self.lightest.scale(factor);
            self.volume.scale(factor);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the candidates round all weights"
            )]
            self.candidates.scale(factor as f32);
        }
    }

    /// Whether one of its labels is a device name.
    pub fn has_devices(&self) -> bool {
        let is_device =
            |label: &Dimension| matches!(label, Dimension::InInterface | Dimension::OutInterface);
        self.labels.iter().any(is_device)
    }

    /// Marks the names of its series.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for series in self.table.all() {
            series.key.mark_names(&self.labels, used);
        }
    }

    /// Applies new budgets. Returns false if the config has another name or other labels; then a new family is
    /// needed. Series above a smaller budget retire, the coldest first.
    pub fn adopt(&mut self, config: &FamilyConfig, now: Duration) -> bool {
        if *config.name != *self.name || *config.labels != *self.labels {
            return false;
        }
        self.newborn_hold = config.newborn_hold;
        let before = self.places.total();
        if config.max_series > before {
            self.filled.fill(false);
        }
        self.places = Places::new(config.max_series, &self.labels);
        self.too_light = 0.0;
        self.turnover.set_limit(config.max_new_series_per_hour);
        self.full.fill(false);
        if config.max_series < before {
            self.shrink(now);
        }
        true
    }

    /// Counts a packet whose full key has no active series: folds one label after another. `is_absent`: the full key
    /// has no retiring series either.
    #[inline(never)]
    fn descend(
        &mut self,
        mut hash: u64,
        key: &mut Key,
        mut is_absent: bool,
        bytes: u32,
        now: Duration,
    ) {
        let (labels, unit) = (self.labels.len(), self.unit.get());
        // A bit for each folded label. The key is not copied, because it was just written value by value.
        let mut folds = 0_u32;
        for rung in 0..=labels {
            if rung > 0 {
                let label = labels - rung;
                folds |= u32::from(key.values(labels)[label] != OTHER) << label;
                key.fold(label);
            }
            // A name whose text is `other`: the same key is on the next rung.
            if key.values(labels - rung).last() == Some(&OTHER) {
                continue;
            }
            if rung > 0 {
                hash = self.table.hash(key);
                let found = self.table.find(hash, key);
                is_absent = found.is_none();
                if let Some(series) = found
                    && !series.is_retiring()
                {
                    series.count(bytes, unit);
                    return self.count_folds(folds);
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "the candidates round all weights")]
            let weight = f64::from(self.candidates.add(hash, unit as f32));
            if is_absent
                && !self.is_too_light(rung, weight)
                && let Some(series) = self.admit(hash, *key, rung, weight, now)
            {
                series.count(bytes, unit);
                return self.count_folds(folds);
            }
        }
        // Not reached, because the last rung always exists and never retires. If it were, the packet
        // must still be counted.
        debug_assert!(false, "the last rung is gone");
        self.retired_packets += 1;
    }

    /// Whether a key of this weight is certain to get no series, without a search: most packets of a flood.
    #[inline]
    fn is_too_light(&self, rung: usize, weight: f64) -> bool {
        if self.full[rung] {
            weight <= self.required(self.lightest.replaceable(rung), 0.0)
        } else {
            rung == 0 && weight < self.too_light
        }
    }

    fn drop_series(&mut self, index: usize) -> Key {
        let dropped = self.table.remove(index);
        self.used[usize::from(dropped.rung)] -= 1;
        self.full.fill(false);
        self.too_light = 0.0;
        self.retired_packets += dropped.packets;
        dropped.key
    }

    /// Counts the labels that were folded for a packet, a bit for each.
    fn count_folds(&mut self, mut folds: u32) {
        while folds != 0 {
            self.folded[folds.trailing_zeros() as usize] += 1;
            folds &= folds - 1;
        }
    }

    /// Advances the phases of all series. Dropped series are replaced by their successors.
    fn advance(&mut self, now: Duration) {
        self.demand.advance(now);
        if now < self.next_phase {
            return;
        }
        self.next_phase = Duration::MAX;
        // A series that now shows its count can be replaced.
        self.lightest.forget_by_rung();
        // From the end, because the last series moves to the index of a removed one. A drop can remove two.
        for index in (0..self.table.all().len()).rev() {
            let Some(series) = self.table.all_mut().get_mut(index) else { continue };
            if series.advance(now) {
                let dropped = self.drop_series(index);
                self.keep_promise(&dropped, now);
            } else {
                self.next_phase = self.next_phase.min(series.phase_end());
            }
        }
    }

    /// The lowest weight of a series without folded labels, if there is no room for another one.
    fn lightest_if_full(&self) -> Option<f64> {
        let active = |series: &&Series| series.rung == 0 && !series.is_retiring();
        let weights = self.table.all().iter().filter(active).map(|series| series.weight);
        self.full[0]
            .then(|| weights.fold(f64::INFINITY, f64::min))
            .filter(|weight| weight.is_finite())
    }
}
