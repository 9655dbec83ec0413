//! Disjoint ranges of addresses with values: the table behind lists and named networks.
//!
//! The ranges are sorted. The first bits of an address select a group of ranges, and the first bits in which those of the
//! group differ select a slot with a few of them. So a look-up waits for memory about twice, also among a million ranges,
//! and clustered ranges do not share a slot. Each of these steps is done for many addresses before the next one: the
//! processor waits for the memory of all of them at a time.

use std::hint::black_box;

/// An address as a number.
pub(super) trait Address: Copy + Ord {
    /// The first 64 bits, followed by zeros where there are fewer.
    fn top(self) -> u64;
    /// The next address; `None` after the last one.
    fn next(self) -> Option<Self>;
    /// The previous address; `None` before the first one.
    fn previous(self) -> Option<Self>;
}

impl Address for u32 {
    fn top(self) -> u64 {
        u64::from(self) << 32
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Address for u128 {
    fn top(self) -> u64 {
        (self >> 64) as u64
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// Consecutive addresses with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range<A, V> {
    pub(super) start: A,
    /// The last address.
    pub(super) end: A,
    pub(super) value: V,
}

/// See the module.
#[derive(Debug)]
pub(super) struct RangeTable<A, V> {
    directory: Directory,
    ranges: Box<[Range<A, V>]>,
}

/// Selects a few of many sorted starts by the first bits of an address.
#[derive(Debug)]
pub(super) struct Directory {
    groups: Box<[Group]>,
    /// Number of starts before each slot, and at the end the number of all, twice.
    slots: Box<[u32]>,
}

/// The starts with the same first bits.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The first bits of all starts in the group: their common ones count.
    base: u64,
    /// Index of its first slot.
    slots: u32,
    /// Number of common bits.
    common: u8,
    /// Number of the following bits that select a slot.
    bits: u8,
}

/// A few consecutive entries of a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Index of the first one.
    pub(super) first: u32,
    /// Index after the last one.
    end: u32,
}

/// Addresses that are looked up at a time.
pub(super) const STAGED: usize = 128;

/// Maximum number of bits that select a group.
const MAX_GROUP_BITS: u32 = 16;

/// Bytes of the entries that a slot is made for: half a cache line, so that few slots are in the processor's cache too.
const SLOT_BYTES: usize = 32;

impl Directory {
    /// The directory of entries of so many bytes, whose starts have these first 64 bits, in their order.
    #[expect(clippy::cast_possible_truncation, reason = "at most 64 bits, and entries of one file")]
    pub(super) fn new(starts: &[u64], entry_bytes: usize) -> Self {
        let per_slot = (SLOT_BYTES / entry_bytes).max(1);
        let group_bits = starts.len().max(2).ilog2().min(MAX_GROUP_BITS);
        let mut groups = Vec::with_capacity(1 << group_bits);
        let mut slots = Vec::new();
        let mut first = 0;
        for number in 0..1_u64 << group_bits {
            let members = &starts[first..];
            let own = |start: &u64| start >> (64 - group_bits) == number;
            let members = &members[..members.partition_point(own)];
            let (base, common) = match members {
                [] => (number << (64 - group_bits), group_bits),
                [one, .., last] => (*one, (one ^ last).leading_zeros()),
                [one] => (*one, 64),
            };
            let wanted = members.len().next_power_of_two() / per_slot;
            let bits = wanted.max(1).ilog2().min(64 - common);
            groups.push(Group {
                base,
                slots: slots.len() as u32,
                common: common as u8,
                bits: bits as u8,
            });
            let mut passed = 0;
            for slot in 0..1_usize << bits {
                let before = |start: &&u64| slot_of(**start, common, bits) < slot;
                passed += members[passed..].iter().take_while(before).count();
                slots.push((first + passed) as u32);
            }
            first += members.len();
        }
        // The end of the last slot, and a slot after the last group.
        slots.extend([starts.len() as u32; 2]);
        Self { groups: groups.into(), slots: slots.into() }
    }

    /// Sets the slot of each address, of which these are the first 64 bits: the last entry that starts at or before the
    /// address is in its slot or immediately before it.
    #[inline]
    pub(super) fn slots(&self, tops: impl Iterator<Item = u64>, slots: &mut [Slot]) {
        for (slot, top) in slots.iter_mut().zip(tops) {
            slot.first = self.place(top);
        }
        for slot in slots {
            let place = slot.first as usize;
            *slot = Slot { first: self.slots[place], end: self.slots[place + 1] };
        }
    }

    /// The number of a slot.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits")]
    fn place(&self, top: u64) -> u32 {
        let group = &self.groups[(top >> (64 - self.groups.len().ilog2())) as usize];
        let (common, bits) = (u32::from(group.common), u32::from(group.bits));
        let differing = (top ^ group.base) >> (64 - common);
        if differing == 0 {
            group.slots + slot_of(top, common, bits) as u32
        } else if top < group.base {
            group.slots
        } else {
            // The first slot after the group.
            group.slots + (1 << bits)
        }
    }
}

impl Slot {
    /// The indices of its entries.
    #[inline]
    pub(super) fn entries(self) -> std::ops::Range<usize> {
        self.first as usize..self.end as usize
    }
}

impl<A: Address, V: Copy> RangeTable<A, V> {
    /// The table of ranges that are sorted and disjoint.
    pub(super) fn new(ranges: Vec<Range<A, V>>) -> Self {
        let starts: Vec<_> = ranges.iter().map(|range| range.start.top()).collect();
        let directory = Directory::new(&starts, size_of::<Range<A, V>>());
        Self { directory, ranges: ranges.into() }
    }

    /// The value of the range that has this address.
    pub(super) fn get(&self, address: A) -> Option<V> {
        let mut found = None;
        self.get_all(&[address], |_, value| found = Some(value));
        found
    }

    /// Passes the index and the value of each address that a range has.
    pub(super) fn get_all(&self, addresses: &[A], mut take: impl FnMut(usize, V)) {
        for (chunk, addresses) in addresses.chunks(STAGED).enumerate() {
            let mut slots = [Slot::default(); STAGED];
            let slots = &mut slots[..addresses.len()];
            self.directory.slots(addresses.iter().map(|address| address.top()), slots);
            // The searches below branch on these values: a wrong guess would stop the loads of the next ones.
            let touched = slots.iter().zip(addresses).fold(false, |touched, (slot, address)| {
                let first = self.ranges.get(slot.first as usize);
                touched ^ first.is_some_and(|range| range.start <= *address)
            });
            black_box(touched);
            for (index, (slot, address)) in slots.iter().zip(addresses).enumerate() {
                let own = &self.ranges[slot.entries()];
                let before = own.partition_point(|range| range.start <= *address);
                // A range of an earlier slot or group can reach this address.
                let last = (slot.first as usize + before).checked_sub(1);
                if let Some(range) = last.and_then(|last| self.ranges.get(last))
                    && *address <= range.end
                {
                    take(chunk * STAGED + index, range.value);
                }
            }
        }
    }
}

/// The slot of an address with this number of common bits in a group with this number of slot bits.
#[inline]
fn slot_of(top: u64, common: u32, bits: u32) -> usize {
    // In two steps: a shift by 64 bits is not defined.
    let rest = if common == 64 { 0 } else { top << common };
    (rest >> 1 >> (63 - bits)) as usize
}

/// Sorts ranges, and joins those that overlap or touch.
pub(super) fn union<A: Address>(mut ranges: Vec<(A, A)>) -> Vec<Range<A, ()>> {
    ranges.sort_unstable();
    let mut joined: Vec<Range<A, ()>> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.end.next().is_none_or(|next| start <= next) => {
                last.end = last.end.max(end);
            }
            _ => joined.push(Range { start, end, value: () }),
        }
    }
    joined
}

/// The ranges in which each address has the value of the narrowest prefix around it. Prefixes are ranges that are
/// disjoint or inside each other.
pub(super) fn narrowest<A: Address, V: Copy>(mut prefixes: Vec<Range<A, V>>) -> Vec<Range<A, V>> {
    prefixes.sort_unstable_by(|one, other| (one.start, other.end).cmp(&(other.start, one.end)));
    let mut ranges = Vec::with_capacity(2 * prefixes.len());
    // The prefixes around the current address, and the first address of each that has no range yet.
    let mut around: Vec<(Option<A>, Range<A, V>)> = Vec::new();
    for prefix in prefixes {
        end_before(Some(prefix.start), &mut around, &mut ranges);
        if let Some((Some(start), outer)) = around.last().copied()
            && start < prefix.start
            && let Some(end) = prefix.start.previous()
        {
            ranges.push(Range { start, end, ..outer });
        }
        around.push((Some(prefix.start), prefix));
    }
    end_before(None, &mut around, &mut ranges);
    ranges
}

/// Adds the rests of the prefixes that end before an address, or of all.
fn end_before<A: Address, V: Copy>(
    address: Option<A>,
    around: &mut Vec<(Option<A>, Range<A, V>)>,
    ranges: &mut Vec<Range<A, V>>,
) {
    while let Some((start, inner)) =
        around.pop_if(|(_, inner)| address.is_none_or(|address| inner.end < address))
    {
        if let Some(start) = start.filter(|start| *start <= inner.end) {
            ranges.push(Range { start, ..inner });
        }
        if let Some((start, _)) = around.last_mut() {
            *start = inner.end.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::wide_table::WideTable, *};

    /// The first and the last address of a prefix.
    fn ends(address: u32, length: u32) -> (u32, u32) {
        let host = u32::MAX.checked_shr(length).unwrap_or(0);
        (address & !host, address | host)
    }

    fn wide((start, end): (u32, u32), shift: u32) -> (u128, u128) {
        let low = (1_u128 << shift) - 1;
        (u128::from(start) << shift, u128::from(end) << shift | low)
    }

    /// Addresses at and around the ends of ranges.
    fn probes(ranges: &[(u32, u32)]) -> Vec<u32> {
        let near = |end: u32| [end.wrapping_sub(1), end, end.wrapping_add(1)];
        ranges.iter().flat_map(|(start, end)| [near(*start), near(*end)]).flatten().collect()
    }

    proptest! {
        /// A list has exactly the addresses of its ranges, of either version, however they are clustered.
        #[test]
        fn a_union_has_the_addresses_of_its_ranges(
            prefixes in proptest::collection::vec((any::<u32>(), 0..=32_u32, 0..4_u32), 0..200),
            others in proptest::collection::vec(any::<u32>(), 50),
            shift in 0..=96_u32,
        ) {
            let ranges: Vec<_> = prefixes
                .iter()
                // Clusters: within /30, /16 and /8.
                .map(|(address, length, cluster)| ends(
                    0x0a00_0000 | address >> [0, 8, 16, 30][*cluster as usize],
                    *length,
                ))
                .collect();
            let table = RangeTable::new(union(ranges.clone()));
            let wider = ranges.iter().map(|range| wide(*range, shift)).collect();
            let wide_table = WideTable::new(union(wider));
            let addresses: Vec<_> = probes(&ranges).into_iter().chain(others).collect();
            let wide_addresses: Vec<_> = addresses.iter().map(|it| u128::from(*it) << shift).collect();
            let (mut found, mut wide_found) = (vec![0; addresses.len()], vec![0; addresses.len()]);
            table.get_all(&addresses, |index, ()| found[index] += 1);
            wide_table.get_all(&wide_addresses, |index, ()| wide_found[index] += 1);
            for (index, address) in addresses.into_iter().enumerate() {
                let is_in = ranges.iter().any(|(start, end)| (*start..=*end).contains(&address));
                let expect = usize::from(is_in);
                prop_assert_eq!(found[index], expect, "{:#x}", address);
                prop_assert_eq!(wide_found[index], expect, "{:#x} << {}", address, shift);
            }
        }

        /// The longest prefix wins.
        #[test]
        fn the_narrowest_prefix_has_the_address(
            prefixes in proptest::collection::btree_map((0..64_u32, 0..=32_u32), any::<u16>(), 0..60),
            base in prop_oneof![Just(0), Just(u32::MAX - 63), any::<u32>()],
        ) {
            let prefixes: Vec<_> = prefixes
                .into_iter()
                .map(|((address, length), value)| (ends(base.wrapping_add(address), length), value))
                .collect::<std::collections::BTreeMap<_, _>>()
                .into_iter()
                .collect();
            let ranges = prefixes.iter().map(|&((start, end), value)| Range { start, end, value });
            let table = RangeTable::new(narrowest(ranges.collect()));
            let all: Vec<_> = prefixes.iter().map(|(range, _)| *range).collect();
            for address in probes(&all) {
                let around = prefixes.iter().filter(|((start, end), _)| (*start..=*end).contains(&address));
                let expect = around.min_by_key(|((start, end), _)| end - start).map(|(_, value)| *value);
                prop_assert_eq!(table.get(address), expect, "{:#x}", address);
            }
        }
    }

    #[test]
    fn ends_of_the_address_space() {
        let table = RangeTable::new(union(vec![(0_u32, 0), (u32::MAX, u32::MAX)]));
        assert_eq!(
            [0, 1, u32::MAX - 1, u32::MAX].map(|it| table.get(it).is_some()),
            [true, false, false, true]
        );
        let all = WideTable::new(union(vec![(0_u128, u128::MAX)]));
        assert_eq!([all.get(0), all.get(1 << 127), all.get(u128::MAX)], [Some(()); 3]);
        assert_eq!(RangeTable::<u32, ()>::new(Vec::new()).get(7), None);
    }
}
