//! The table of one family's series, by key.
//!
//! An index of small slots leads to the series: open addressing with linear probing, at most half full. A slot has the
//! top bits of the key's hash, which also select its place, so that the index grows without the keys. A
//! look-up that finds its series reads one cache line of the index and one of the series; two if it has more than four
//! labels.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::{Key, series::Series};

/// Slots of an empty table.
const MIN_SLOTS: usize = 64;

/// The series of one family, by key.
#[derive(Clone, Debug)]
pub struct SeriesTable {
    labels: usize,
    hasher: FixedState,
    /// A power of two of them, at least twice as many as series.
    slots: Box<[Slot]>,
    /// How far a tag is shifted to select one of them.
    shift: u32,
    series: Vec<Series>,
}

/// A place of the index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// The top bits of the hash, the lowest of them 1; 0 if the slot is empty.
    tag: u32,
    /// The number of a series.
    index: u32,
}

impl Slot {
    /// Whether it is, with few exceptions, the slot of the key with this hash.
    #[inline]
    #[must_use]
    pub fn is_of(self, hash: u64) -> bool {
        self.tag == tag(hash)
    }
}

impl SeriesTable {
    /// Creates an empty table for keys of this many labels. `seed` must be unpredictable, so that an attacker cannot
    /// choose colliding keys.
    #[must_use]
    pub fn new(labels: usize, seed: u64) -> Self {
        Self {
            labels,
            hasher: FixedState::with_seed(seed),
            slots: vec![Slot::default(); MIN_SLOTS].into(),
            shift: u32::BITS - MIN_SLOTS.ilog2(),
            series: Vec::new(),
        }
    }

    /// The hash of a key, as [`Self::find`] and [`Self::insert`] expect it.
    #[must_use]
    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for value in key.values(self.labels) {
            hasher.write_u64(*value);
        }
        hasher.finish()
    }

    /// The slot of this hash, if it is one of the two at which [`Self::find`] starts; otherwise any slot.
    #[inline]
    #[must_use]
    pub fn slot(&self, hash: u64) -> Slot {
        let home = self.home(tag(hash));
        let (slot, next) = (self.slots[home], self.slots[self.next(home)]);
        if slot.is_of(hash) { slot } else { next }
    }

    /// Reads the series of this hash, as [`Self::find`] does, and returns a part of it. The processor reads those of many
    /// hashes at a time if nothing else happens in between.
    #[inline]
    #[must_use]
    pub fn touch(&self, slot: Slot, hash: u64) -> u64 {
        // Always the same series, if the slot is of another hash: a branch would often be predicted wrongly.
        let index = if slot.is_of(hash) { slot.index as usize } else { 0 };
        self.series.get(index).map_or(0, |series| series.packets ^ series.key.first())
    }

    /// The series of a key.
    #[inline]
    pub fn find(&mut self, hash: u64, key: &Key) -> Option<&mut Series> {
        let tag = tag(hash);
        let mut at = self.home(tag);
        loop {
            let slot = self.slots[at];
            if slot.tag == 0 {
                return None;
            }
            let index = slot.index as usize;
            if slot.tag == tag && self.series[index].key.is(key, self.labels) {
                return Some(&mut self.series[index]);
            }
            at = self.next(at);
        }
    }

    /// Adds a series. The caller ensures that its key has none.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn insert(&mut self, hash: u64, series: Series) -> &mut Series {
        let index = self.series.len();
        self.series.push(series);
        if 2 * self.series.len() > self.slots.len() {
            let more = vec![Slot::default(); 2 * self.slots.len()].into();
            self.shift -= 1;
            for slot in std::mem::replace(&mut self.slots, more) {
                if slot.tag != 0 {
                    self.place(slot);
                }
            }
        }
        self.place(Slot { tag: tag(hash), index: index as u32 });
        &mut self.series[index]
    }

    /// Removes the series at an index of [`Self::all`] and returns it. The last series moves to that index.
    #[expect(clippy::cast_possible_truncation, reason = "a family's budget is far below 2^32")]
    pub fn remove(&mut self, index: usize) -> Series {
        if let Some(at) = self.slot_of(index) {
            self.clear(at);
        }
        let last = self.series.len() - 1;
        if index != last
            && let Some(at) = self.slot_of(last)
        {
            self.slots[at].index = index as u32;
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

    /// The place where the search for a tag starts.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> self.shift) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn place(&mut self, slot: Slot) {
        let mut at = self.home(slot.tag);
        while self.slots[at].tag != 0 {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    /// The place of the slot of a series.
    fn slot_of(&self, index: usize) -> Option<usize> {
        let tag = tag(self.hash(&self.series[index].key));
        let mut at = self.home(tag);
        while self.slots[at].tag != 0 {
            if self.slots[at].tag == tag && self.slots[at].index as usize == index {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    /// Clears a slot, and moves those after it that a search would no longer reach.
    fn clear(&mut self, mut empty: usize) {
        let mask = self.slots.len() - 1;
        let mut at = self.next(empty);
        while self.slots[at].tag != 0 {
            let distance = at.wrapping_sub(self.home(self.slots[at].tag)) & mask;
            if distance >= at.wrapping_sub(empty) & mask {
                self.slots[empty] = self.slots[at];
                empty = at;
            }
            at = self.next(at);
        }
        self.slots[empty] = Slot::default();
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::series::Phase;

    fn key(value: u64) -> Key {
        Key::new(&[value, value % 3])
    }

    proptest! {
        /// Few keys, so that they are removed and added again, with hashes of which many share a place.
        #[test]
        fn it_has_the_series_that_a_map_has(steps in prop::collection::vec((0..200_u64, any::<bool>()), 1..600)) {
            let mut table = SeriesTable::new(2, 1);
            let mut map: HashMap<u64, u64> = HashMap::new();
            for (number, (value, removes)) in (1..).zip(steps) {
                let key = key(value);
                let hash = table.hash(&key);
                let found = table.find(hash, &key).map(|series| series.packets);
                prop_assert_eq!(found, map.get(&value).copied());
                if found.is_none() {
                    table.insert(hash, Series::new(key, 0, 0.0, Phase::Live)).packets = number;
                    map.insert(value, number);
                } else if removes {
                    let index = table.all().iter().position(|series| series.key == key);
                    prop_assert_eq!(Some(table.remove(index.unwrap()).packets), found);
                    map.remove(&value);
                }
                prop_assert!(2 * table.all().len() <= table.slots.len());
            }
            prop_assert_eq!(table.all().len(), map.len());
            for (value, packets) in map {
                let (key, hash) = (key(value), table.hash(&key(value)));
                prop_assert_eq!(table.find(hash, &key).unwrap().packets, packets);
            }
        }
    }
}
