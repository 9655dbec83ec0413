//! The table of one family's series, by key.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::{Key, series::Series};

/// The series of one family, by key.
#[derive(Clone, Debug)]
pub struct SeriesTable {
    labels: usize,
    hasher: FixedState,
    indices: HashTable<u32>,
    series: Vec<Series>,
}

impl SeriesTable {
    /// Creates an empty table for keys of this many labels. `seed` must be unpredictable, so that an attacker cannot
    /// choose colliding keys.
    #[must_use]
    pub fn new(labels: usize, seed: u64) -> Self {
        Self {
            labels,
            hasher: FixedState::with_seed(seed),
            indices: HashTable::new(),
            series: Vec::new(),
        }
    }

    /// The hash of a key, as [`Self::find`] and [`Self::insert`] expect it.
    #[must_use]
    pub fn hash(&self, key: &Key) -> u64 {
        hash(&self.hasher, key, self.labels)
    }

    /// The series of a key.
    pub fn find(&mut self, hash: u64, key: &Key) -> Option<&mut Series> {
        let (series, labels) = (&self.series, self.labels);
        let index =
            *self.indices.find(hash, |&index| series[index as usize].key.is(key, labels))?;
        Some(&mut self.series[index as usize])
    }

    /// Adds a series. The caller ensures that its key has none.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn insert(&mut self, hash: u64, series: Series) -> &mut Series {
        let index = self.series.len() as u32;
        self.series.push(series);
        let (all, hasher, labels) = (&self.series, &self.hasher, self.labels);
        self.indices.insert_unique(hash, index, |&index| {
            self::hash(hasher, &all[index as usize].key, labels)
        });
        &mut self.series[index as usize]
    }

    /// Removes the series at an index of [`Self::all`] and returns it. The last series moves to that index.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn remove(&mut self, index: usize) -> Series {
        let removed = self.hash(&self.series[index].key);
        if let Ok(entry) = self.indices.find_entry(removed, |&other| other as usize == index) {
            entry.remove();
        }
        let last = self.series.len() - 1;
        if index != last {
            let moved = self.hash(&self.series[last].key);
            if let Some(other) = self.indices.find_mut(moved, |&other| other as usize == last) {
                *other = index as u32;
            }
        }
        self.series.swap_remove(index)
    }

    /// All series, in no order.
    #[must_use]
    pub fn all(&self) -> &[Series] {
        &self.series
    }

    /// All series, in no order. Their keys must not be changed.
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
