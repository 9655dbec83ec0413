//! The heaviest values of one dimension among those that were folded, in a summary of bounded size.
//!
//! Misra and Gries 1982, with a batch of counters replaced at once (Anderson, Bevin, Lang, Liberty, Rhodes, Thaler
//! 2017, "A High-Performance Algorithm for Identifying Frequent Items in Data Streams"), and with exact counts from
//! the entry on, as in lossy counting (Manku, Motwani 2002). When the table is full, all entries but the 1,024 with the
//! highest upper bounds are removed, and the highest of those that were removed is the *floor*: the packets that any
//! value without an entry can have had. A removal that raises the floor by one takes one packet each from at least
//! 1,024 entries' excess above the floor, so that
//!
//! ```text
//! count <= packets of the value <= count + error,    error <= packets of all values / 1,024
//! ```
//!
//! The candidates of the families (`metrics`) hold hashes and decayed weights, with an error that depends on the
//! bucket; here the values are listed, and the bound holds for each.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slice::{Count, FoldedValues};

/// How many values a summary holds.
#[derive(Debug)]
pub(super) struct SummaryLimits {
    /// Maximum entries.
    capacity: usize,
    /// Maximum entries after a removal. The error of a count is at most one part in so many of all packets.
    pub(super) remaining: usize,
}

impl SummaryLimits {
    /// A hash table of 2,048 slots is filled by its entries.
    pub(super) const WINDOW: Self = Self { capacity: 1792, remaining: 1024 };

    /// For a value of 1 % of the packets, the error is at most 40 % of its count, and usually far less.
    pub(super) const HISTORY: Self = Self { capacity: 448, remaining: 256 };
}

/// A value is kept in cells once this many packets of it were folded,
const MIN_HEAVY: u64 = 8;

/// and they are at least one in this many of the slice's.
pub(super) const HEAVY_PART: u64 = 256;

/// Values with their counts.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    limits: &'static SummaryLimits,
    /// In the order of their entry: in a flood most values are new, and these are written one after the other, in memory
    /// that the processor fetches ahead.
    entries: Vec<Entry>,
    /// Index in `entries` by value.
    indexes: HashTable<u32>,
    /// With a random seed, so that nobody can choose values of the same place.
    hasher: DefaultHashBuilder,
    /// The packets that a value without an entry can have had.
    floor: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    value: u64,
    /// Upper bound of the packets that were passed here, folded or not.
    upper: u64,
    /// Those since the entry was made that were folded.
    folded: Count,
    is_heavy: bool,
    /// Whether it was heavy in the slice before. The entry then stays, also while the value pauses.
    is_expected: bool,
}

impl Summary {
    pub(super) fn new(limits: &'static SummaryLimits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
            indexes: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            floor: 0,
        }
    }

    /// The hash of a value, as the other functions expect it.
    #[inline]
    pub(super) fn hash(&self, value: u64) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Reads what [`Self::fold_light`] reads for this hash, and returns a part of it.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        self.indexes.find(hash, |_| true).map_or(0, |index| self.entries[*index as usize].upper)
    }

    /// Keeps this value from the start. There are at most [`HEAVY_PART`].
    pub(super) fn expect_heavy(&mut self, value: u64) {
        let entry = Entry { value, is_heavy: true, is_expected: true, ..Entry::default() };
        self.insert(self.hash(value), entry);
    }

    /// Counts packets whose value has to be folded, unless it is heavy: `true` is returned, and the cell keeps it.
    /// `packets` is the number of all packets of the slice.
    pub(super) fn fold_light(&mut self, hash: u64, value: u64, count: Count, packets: u64) -> bool {
        let is_heavy =
            |folded: u64| folded >= MIN_HEAVY && folded.saturating_mul(HEAVY_PART) >= packets;
        if let Some(entry) = self.find(hash, value) {
            entry.upper += count.packets;
            if entry.is_heavy {
                return true;
            }
            entry.folded.add(count);
            entry.is_heavy = is_heavy(entry.folded.packets);
            return false;
        }
        if self.entries.len() >= self.limits.capacity {
            self.shrink();
        }
        let upper = self.floor + count.packets;
        let is_heavy = is_heavy(count.packets);
        self.insert(hash, Entry { value, upper, folded: count, is_heavy, is_expected: false });
        false
    }

    /// Counts packets as folded that [`Self::fold_light`] was called for, but whose cell found no room.
    pub(super) fn fold_heavy(&mut self, value: u64, count: Count) {
        let hash = self.hash(value);
        if let Some(entry) = self.find(hash, value) {
            entry.folded.add(count);
        }
    }

    /// Adds the values of another slice.
    pub(super) fn merge(&mut self, other: &FoldedValues) {
        for entry in &mut self.entries {
            entry.upper += other.error;
        }
        self.floor += other.error;
        for &(value, count) in &other.values {
            let hash = self.hash(value);
            if let Some(entry) = self.find(hash, value) {
                entry.upper += count.packets;
                entry.folded.add(count);
            } else {
                let upper = self.floor + count.packets;
                self.insert(hash, Entry { value, upper, folded: count, ..Entry::default() });
            }
        }
        if self.entries.len() > self.limits.capacity {
            self.shrink();
        }
    }

    /// All values that have an entry.
    pub(super) fn values(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.value)
    }

    /// The folded packets of all values that have an entry.
    pub(super) fn folded(&self) -> impl Iterator<Item = (u64, Count)> {
        self.entries.iter().map(|entry| (entry.value, entry.folded))
    }

    /// Removes all values that do not have this property.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(u64) -> bool) {
        self.retain_entries(|entry| keeps(entry.value));
    }

    /// The heaviest values that were folded, at most the remaining ones.
    pub(super) fn seal(mut self) -> FoldedValues {
        // This leaves the index stale: `shrink` rebuilds it, and nothing else reads it.
        self.entries.retain(|entry| entry.folded.packets > 0);
        for entry in &mut self.entries {
            entry.is_expected = false;
        }
        if self.entries.len() > self.limits.remaining {
            self.shrink();
        }
        let mut values: Box<[_]> = self.folded().collect();
        values.sort_unstable_by_key(|(value, _)| *value);
        FoldedValues { values, error: self.floor }
    }

    #[inline]
    fn find(&mut self, hash: u64, value: u64) -> Option<&mut Entry> {
        let entries = &mut self.entries;
        let index = *self.indexes.find(hash, |index| entries[*index as usize].value == value)?;
        Some(&mut entries[index as usize])
    }

    /// Adds an entry for a value that has none.
    #[inline]
    fn insert(&mut self, hash: u64, entry: Entry) {
        let Self { entries, indexes, hasher, .. } = self;
        // A summary has some thousand entries.
        let Ok(index) = u32::try_from(entries.len()) else { return };
        entries.push(entry);
        indexes.insert_unique(hash, index, |index| hasher.hash_one(entries[*index as usize].value));
    }

    /// Removes all entries that do not have this property.
    fn retain_entries(&mut self, keeps: impl FnMut(&Entry) -> bool) {
        let Self { entries, indexes, hasher, .. } = self;
        entries.retain(keeps);
        indexes.clear();
        let hash_of = |entry: &Entry| hasher.hash_one(entry.value);
        for (index, entry) in (0..).zip(&*entries) {
            indexes
                .insert_unique(hash_of(entry), index, |index| hash_of(&entries[*index as usize]));
        }
    }

    /// Removes the lightest entries; more than the remaining ones exist.
    #[cold]
    fn shrink(&mut self) {
        let mut bounds: Vec<_> = self.entries.iter().map(|entry| entry.upper).collect();
        let (_, &mut removed, _) =
            bounds.select_nth_unstable_by(self.limits.remaining, |one, other| other.cmp(one));
        self.retain_entries(|entry| entry.upper > removed || entry.is_expected);
        self.floor = self.floor.max(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn fold_light(summary: &mut Summary, value: u64, count: Count, packets: u64) -> bool {
        summary.fold_light(summary.hash(value), value, count, packets)
    }

    const ONE: Count = Count { packets: 1, bytes: 60 };

    /// The counts and the bound hold for the packets of `truth`.
    fn check(folded: &FoldedValues, truth: &HashMap<u64, u64>) {
        let all: u64 = truth.values().sum();
        assert!(folded.values.len() <= SummaryLimits::WINDOW.remaining);
        assert!(
            folded.error <= all / SummaryLimits::WINDOW.remaining as u64,
            "{} of {all}",
            folded.error
        );
        let counted: HashMap<_, _> = folded.values.iter().copied().collect();
        for (value, count) in &counted {
            assert!(count.packets <= truth[value]);
            assert_eq!(count.bytes, 60 * count.packets);
        }
        for (value, packets) in truth {
            let count = counted.get(value).map_or(0, |count| count.packets);
            assert!(count + folded.error >= *packets, "{value}: {count} of {packets}");
        }
    }

    /// Values of which few are frequent: a small number from a large one, evenly on a logarithmic scale.
    fn skewed() -> impl Strategy<Value = u64> {
        (0..17_u32, any::<u64>()).prop_map(|(bits, random)| random % (1 << bits))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_error_is_bounded_also_after_merges(
            slices in prop::collection::vec(prop::collection::vec(skewed(), 1..12_000), 1..4),
        ) {
            let mut truth: HashMap<u64, u64> = HashMap::new();
            let mut merged = Summary::new(&SummaryLimits::WINDOW);
            for slice in slices {
                let mut summary = Summary::new(&SummaryLimits::WINDOW);
                let mut own: HashMap<u64, u64> = HashMap::new();
                for value in slice {
                    // No value is ever heavy, so that all are folded.
                    prop_assert!(!fold_light(&mut summary, value, ONE, u64::MAX));
                    prop_assert!(summary.entries.len() <= SummaryLimits::WINDOW.capacity);
                    *truth.entry(value).or_default() += 1;
                    *own.entry(value).or_default() += 1;
                }
                let sealed = summary.seal();
                check(&sealed, &own);
                merged.merge(&sealed);
                prop_assert!(merged.entries.len() <= SummaryLimits::WINDOW.capacity);
            }
            check(&merged.seal(), &truth);
        }
    }

    #[test]
    fn a_late_heavy_value_is_exact_in_a_flood() {
        let mut summary = Summary::new(&SummaryLimits::WINDOW);
        for packet in 0..200_000 {
            let value = if packet > 100_000 && packet % 50 == 0 { u64::MAX } else { packet };
            fold_light(&mut summary, value, ONE, u64::MAX);
        }
        let counts = summary.seal();
        let index = counts.values.binary_search_by_key(&u64::MAX, |(value, _)| *value).unwrap();
        assert_eq!(counts.values[index].1.packets, 1_999);
    }

    #[test]
    fn a_heavy_value_is_kept_and_an_expected_one_at_once() {
        let mut summary = Summary::new(&SummaryLimits::WINDOW);
        summary.expect_heavy(1);
        for value in 3..5_000 {
            assert!(!fold_light(&mut summary, value, ONE, u64::MAX));
        }
        assert!(fold_light(&mut summary, 1, ONE, 1_000_000));
        for packet in 0..MIN_HEAVY {
            assert!(!fold_light(&mut summary, 2, ONE, 1_000 + packet));
        }
        assert!(fold_light(&mut summary, 2, ONE, 2_000));
        summary.fold_heavy(2, ONE);
        let sealed = summary.seal();
        assert_eq!(sealed.values[0], (2, Count { packets: 9, bytes: 540 }));
    }

    #[test]
    fn values_can_be_counted_after_others_were_removed() {
        let mut summary = Summary::new(&SummaryLimits::WINDOW);
        for value in 0..100 {
            fold_light(&mut summary, value, ONE, u64::MAX);
        }
        summary.retain(|value| value % 3 == 0);
        for value in 50..200 {
            fold_light(&mut summary, value, ONE, u64::MAX);
        }
        let packets = |value| u64::from(value < 100 && value % 3 == 0) + u64::from(value >= 50);
        let truth = (0..200).map(|value| (value, packets(value)));
        let truth: HashMap<_, _> = truth.filter(|(_, packets)| *packets > 0).collect();
        let folded: HashMap<_, _> =
            summary.folded().map(|(value, count)| (value, count.packets)).collect();
        assert_eq!(folded, truth);
    }
}
