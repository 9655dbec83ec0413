//! A table of keys and their packets: exact up to a limit, with lower bounds beyond it.

use std::hash::Hash;

use crate::sort::sort_by;
use hashbrown::HashMap;

/// What is known of the packets of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Counts {
    /// Number of packets.
    pub(in crate::report) packets: u64,
    /// Bytes on the wire.
    pub(in crate::report) bytes: u64,
    /// Maximum number of packets that are missing in `packets`: 0 if all figures of the key are exact.
    pub(in crate::report) missing: u64,
    /// Time of the first packet, microseconds since 1970.
    pub(in crate::report) first: u64,
    /// Time of the last packet.
    pub(in crate::report) last: u64,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(in crate::report) struct Entry<V> {
    pub(in crate::report) counts: Counts,
    pub(in crate::report) details: V,
}

/// The counts of each key, and details of a type `V`.
///
/// When a new key comes and the table is full, the lighter half of its keys is evicted: a batch form of the algorithm
/// of Misra and Gries (1982). So each number of packets is exact or a lower bound, and [`Counts::missing`] limits its
/// error. A key that is never evicted, such as one with many packets from the start, stays exact.
#[derive(Debug)]
pub(in crate::report) struct Table<K, V = ()> {
    entries: HashMap<K, Entry<V>>,
    limit: usize,
    /// Maximum number of packets that a key lost by all evictions.
    lost: u64,
}

impl<K: Copy + Eq + Hash + Ord, V: Default> Table<K, V> {
    /// Creates a table of at most `limit` keys.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), limit, lost: 0 }
    }

    /// Counts packets of a key. Returns its details, and whether the key is new.
    pub(super) fn add(&mut self, key: K, packets: u64, bytes: u64, time: u64) -> (&mut V, bool) {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.evict();
        }
        let missing = self.lost;
        let mut is_new = false;
        let entry = self.entries.entry(key).or_insert_with(|| {
            is_new = true;
            let counts = Counts { missing, first: time, last: time, ..Counts::default() };
            Entry { counts, details: V::default() }
        });
        let Counts { packets: all_packets, bytes: all_bytes, first, last, .. } = &mut entry.counts;
        *all_packets = all_packets.saturating_add(packets);
        *all_bytes = all_bytes.saturating_add(bytes);
        *first = time.min(*first);
        *last = time.max(*last);
        (&mut entry.details, is_new)
    }

    /// Evicts the lighter half of the keys; of equally light ones, those seen least recently.
    #[cold]
    fn evict(&mut self) {
        let rank = |key: &K, counts: &Counts| (counts.packets, counts.last, *key);
        let mut ranks: Vec<_> =
            self.entries.iter().map(|(key, entry)| rank(key, &entry.counts)).collect();
        let half = ranks.len() / 2;
        if half == 0 {
            return;
        }
        let (_, &mut highest, _) = ranks.select_nth_unstable(half - 1);
        self.lost = self.lost.saturating_add(highest.0);
        self.entries.retain(|key, entry| rank(key, &entry.counts) > highest);
    }

    /// Number of keys in the table: of all that occurred, if the table is exact.
    pub(in crate::report) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key was evicted.
    pub(in crate::report) fn is_exact(&self) -> bool {
        self.lost == 0
    }

    /// The entry of a key.
    pub(in crate::report) fn get(&self, key: &K) -> Option<&Entry<V>> {
        self.entries.get(key)
    }

    /// The keys that `keep` accepts, with the highest values of `order` first, at most `count`.
    pub(in crate::report) fn top<O: Ord>(
        &self,
        count: usize,
        keep: impl Fn(&Entry<V>) -> bool,
        order: impl Fn(&Entry<V>) -> O,
    ) -> Vec<(K, &Entry<V>)> {
        let mut found: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| keep(entry))
            .map(|(key, entry)| (*key, entry))
            .collect();
        // By key among equals, so that two reports of the same packets are the same.
        sort_by(&mut found, |(key, entry), (other_key, other)| {
            order(other).cmp(&order(entry)).then_with(|| key.cmp(other_key))
        });
        found.truncate(count);
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_exact_up_to_the_limit() {
        let mut table = Table::<u32>::new(3);
        for (key, time) in [(1, 50), (2, 40), (1, 30), (3, 20), (1, 60)] {
            table.add(key, 2, 100, time);
        }
        let counts = table.get(&1).unwrap().counts;
        assert_eq!(counts, Counts { packets: 6, bytes: 300, missing: 0, first: 30, last: 60 });
        assert!(table.is_exact() && table.len() == 3);
        table.add(4, 1, 1, 70);
        assert!(!table.is_exact());
        // 3 was seen least recently. Of three keys, one is the lighter half.
        assert!(table.get(&3).is_none() && table.get(&2).is_some());
        assert_eq!(table.get(&4).unwrap().counts.missing, 2);
        assert_eq!(table.get(&1).unwrap().counts.missing, 0);
    }

    proptest! {
        /// For any stream: never more keys than the limit, and the true number of packets is between the count and
        /// the count plus what can be missing.
        #[test]
        fn every_count_is_a_lower_bound_with_a_known_error(
            limit in 1_usize..20, keys in proptest::collection::vec((0_u8..40, 1_u64..4), 0..400),
        ) {
            let mut table = Table::<u8>::new(limit);
            let mut truth = HashMap::<u8, u64>::new();
            for (time, (key, packets)) in (0..).zip(keys) {
                table.add(key, packets, 0, time);
                *truth.entry(key).or_default() += packets;
                prop_assert!(table.len() <= limit.max(2));
            }
            for (key, packets) in truth {
                let counts = table.get(&key).map_or(Counts { missing: table.lost, ..Counts::default() }, |it| it.counts);
                prop_assert!(counts.packets <= packets && packets <= counts.packets + counts.missing);
            }
        }
    }
}
