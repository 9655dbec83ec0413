//! The series of one family: a table by key, and the life of each series from birth to retirement.

use std::{
    hash::{BuildHasher, Hasher},
    time::Duration,
};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::Key;

/// A retiring series that nobody scrapes is dropped after this long.
const UNSCRAPED: Duration = Duration::from_secs(300);

/// Where a series stands in its life.
///
/// Prometheus learns a counter's growth from two samples. So a series shows zero until a scrape
/// that carried the zero was delivered, and a series that is to go keeps its last value until a
/// scrape that carried it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet in a delivered scrape. Shown as zero.
    Newborn {
        /// The last snapshot taken before its birth.
        after: u64,
    },
    /// In a delivered scrape, held at zero until this time.
    Held {
        /// When the count may follow.
        until: Duration,
    },
    /// Shown as it counts.
    Live,
    /// Gives up its place: counts no more, shows its last value.
    Retiring {
        /// The last snapshot taken before its count was frozen.
        after: u64,
        /// When it is dropped, scraped or not.
        until: Duration,
    },
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its label values.
    pub key: Key,
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
    /// Packets of late, fading; what its place is worth.
    pub weight: u32,
    /// Labels folded, from the last.
    pub rung: u8,
    /// Where it stands in its life.
    pub phase: Phase,
    /// The key that takes over the place when this series has retired.
    pub successor: Option<Key>,
}

impl Series {
    /// A series that nothing was counted on yet.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a rung is at most MAX_LABELS")]
    pub fn new(key: Key, rung: usize, phase: Phase) -> Self {
        Self { key, packets: 0, bytes: 0, weight: 0, rung: rung as u8, phase, successor: None }
    }

    /// Counts one packet.
    pub fn count(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
        self.weight = self.weight.saturating_add(1);
    }

    /// Whether its count is held back from scrapes.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Newborn { .. } | Phase::Held { .. })
    }

    /// Whether it counts no more.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        matches!(self.phase, Phase::Retiring { .. })
    }

    /// Freezes it; `after` is the last snapshot taken so far.
    pub fn retire(&mut self, after: u64, now: Duration, successor: Option<Key>) {
        self.phase = Phase::Retiring { after, until: now + UNSCRAPED };
        self.successor = successor;
    }

    /// The scrape of snapshot `generation` was delivered.
    pub fn delivered(&mut self, generation: u64, hold: Duration, now: Duration) {
        match &mut self.phase {
            Phase::Newborn { after } if *after < generation => {
                self.phase = Phase::Held { until: now + hold };
            }
            Phase::Retiring { after, until } if *after < generation => {
                *until = (*until).min(now + hold);
            }
            _ => {}
        }
    }

    /// Moves on with the time. True when it is to be dropped.
    pub fn advance(&mut self, now: Duration) -> bool {
        match self.phase {
            Phase::Held { until } if until <= now => {
                self.phase = Phase::Live;
                false
            }
            Phase::Retiring { until, .. } => until <= now,
            _ => false,
        }
    }
}

/// The series by key. Places of dropped series are used again.
#[derive(Clone, Debug)]
pub struct Table {
    labels: usize,
    hasher: FixedState,
    index: HashTable<u32>,
    series: Vec<Series>,
}

impl Table {
    /// An empty table for keys of this many labels; `seed` keeps others from crafting keys that collide.
    #[must_use]
    pub fn new(labels: usize, seed: u64) -> Self {
        Self {
            labels,
            hasher: FixedState::with_seed(seed),
            index: HashTable::new(),
            series: Vec::new(),
        }
    }

    /// The hash that every look-up of this key takes.
    #[must_use]
    pub fn hash(&self, key: &Key) -> u64 {
        hash(&self.hasher, key, self.labels)
    }

    /// The series of a key.
    pub fn find(&mut self, hash: u64, key: &Key) -> Option<&mut Series> {
        let (series, labels) = (&self.series, self.labels);
        let place = *self.index.find(hash, |&place| series[place as usize].key.is(key, labels))?;
        Some(&mut self.series[place as usize])
    }

    /// Adds a series; the caller has made sure that its key has none.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn insert(&mut self, hash: u64, series: Series) -> &mut Series {
        let place = self.series.len() as u32;
        self.series.push(series);
        let (all, hasher, labels) = (&self.series, &self.hasher, self.labels);
        self.index.insert_unique(hash, place, |&place| {
            self::hash(hasher, &all[place as usize].key, labels)
        });
        &mut self.series[place as usize]
    }

    /// Drops the series at a place of [`Self::all`] and returns it; the last one moves there.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn remove(&mut self, place: usize) -> Series {
        let removed = self.hash(&self.series[place].key);
        if let Ok(entry) = self.index.find_entry(removed, |&at| at as usize == place) {
            entry.remove();
        }
        let last = self.series.len() - 1;
        if place != last {
            let moved = self.hash(&self.series[last].key);
            if let Some(at) = self.index.find_mut(moved, |&at| at as usize == last) {
                *at = place as u32;
            }
        }
        self.series.swap_remove(place)
    }

    /// Every series, in no order.
    #[must_use]
    pub fn all(&self) -> &[Series] {
        &self.series
    }

    /// Every series, in no order; their keys stay as they are.
    pub fn all_mut(&mut self) -> &mut [Series] {
        &mut self.series
    }
}

fn hash(hasher: &FixedState, key: &Key, labels: usize) -> u64 {
    let mut hasher = hasher.build_hasher();
    for value in key.values(labels) {
        hasher.write_u64(*value);
    }
    hasher.finish()
}
