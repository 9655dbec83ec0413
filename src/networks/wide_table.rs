//! Disjoint ranges of IPv6 addresses with values.
//!
//! Nearly all prefixes of IPv6 have at most 64 bits. So the first halves of the addresses are a table of their own, whose
//! entries are half as long as those of whole addresses: a look-up reads fewer lines of memory. Ranges that begin or
//! end inside a /64 are cut there, and their parts are in a second table. Their /64 is marked in the first one.

use super::range_table::{Range, RangeTable};

/// See the module.
#[derive(Debug)]
pub(super) struct WideTable<V> {
    /// Ranges of whole /64, and marks: ranges whose end is before their start.
    halves: RangeTable<u64, V>,
    /// Parts of the marked /64 and of `::/64`, before which a mark cannot end.
    parts: RangeTable<u128, V>,
}

impl<V: Copy> WideTable<V> {
    /// The table of ranges that are sorted and disjoint.
    pub(super) fn new(ranges: Vec<Range<u128, V>>) -> Self {
        let mut halves = Vec::with_capacity(ranges.len());
        let mut parts = Vec::new();
        for mut range in ranges {
            if !is_edge(range.start) || half(range.start) == 0 {
                let cut = range.end.min(highest(half(range.start)));
                add_part(Range { end: cut, ..range }, &mut halves, &mut parts);
                if cut == range.end {
                    continue;
                }
                range.start = cut + 1;
            }
            // The start is that of a /64. The end is in it or in a later one.
            let (first, last) = (half(range.start), half(range.end));
            let is_whole = range.end == highest(last);
            let end = if is_whole { Some(last) } else { last.checked_sub(1) };
            if let Some(end) = end.filter(|end| first <= *end) {
                halves.push(Range { start: first, end, value: range.value });
            }
            if !is_whole {
                add_part(Range { start: lowest(last), ..range }, &mut halves, &mut parts);
            }
        }
        Self { halves: RangeTable::new(halves), parts: RangeTable::new(parts) }
    }

    /// The value of the range that has this address.
    #[inline]
    pub(super) fn get(&self, address: u128) -> Option<V> {
        let half = half(address);
        match self.halves.at_or_before(half) {
            Some(range) if half <= range.end => Some(range.value),
            Some(range) if half == range.start => self.parts.get(address),
            _ if half == 0 => self.parts.get(address),
            _ => None,
        }
    }
}

/// Adds a range inside one /64, and the mark of the /64.
fn add_part<V: Copy>(
    range: Range<u128, V>,
    halves: &mut Vec<Range<u64, V>>,
    parts: &mut Vec<Range<u128, V>>,
) {
    let start = half(range.start);
    parts.push(range);
    let is_marked = halves.last().is_some_and(|last| last.start == start);
    if let Some(end) = start.checked_sub(1).filter(|_| !is_marked) {
        halves.push(Range { start, end, value: range.value });
    }
}

/// The first half of an address.
fn half(address: u128) -> u64 {
    (address >> 64) as u64
}

/// The first address of a /64.
fn lowest(half: u64) -> u128 {
    u128::from(half) << 64
}

/// The last address of a /64.
fn highest(half: u64) -> u128 {
    lowest(half) | u128::from(u64::MAX)
}

/// Whether a /64 begins with an address.
fn is_edge(address: u128) -> bool {
    address == lowest(half(address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::networks::range_table::narrowest;

    /// The first and the last address of a prefix.
    fn ends(address: u128, length: u32) -> (u128, u128) {
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        (address & !host, address | host)
    }

    /// Addresses that share halves, or are at an end of the address space.
    fn address() -> impl Strategy<Value = u128> {
        let half = prop_oneof![
            0..4_u64,
            (u64::MAX - 3)..=u64::MAX,
            (0x2001 << 48)..(0x2001 << 48) + 4_u64
        ];
        let low = prop_oneof![0..4_u64, (u64::MAX - 3)..=u64::MAX, any::<u64>()];
        (half, low).prop_map(|(half, low)| lowest(half) | u128::from(low))
    }

    proptest! {
        /// Of prefixes of all lengths around the middle of the address, the longest one wins.
        #[test]
        fn the_longest_prefix_has_the_address(
            prefixes in proptest::collection::vec((address(), prop_oneof![0..=128_u32, 60..=68_u32, Just(128)]), 0..60),
            others in proptest::collection::vec(address(), 20),
        ) {
            let mut all = std::collections::BTreeMap::new();
            for (value, (address, length)) in (0_u32..).zip(&prefixes) {
                all.insert(ends(*address, *length), value);
            }
            let ranges = all.iter().map(|(&(start, end), &value)| Range { start, end, value });
            let table = WideTable::new(narrowest(ranges.collect()));
            let near = |end: u128| [end.wrapping_sub(1), end, end.wrapping_add(1)];
            let probes = all.keys().flat_map(|(start, end)| [near(*start), near(*end)]).flatten();
            for address in probes.chain(others) {
                let around = all.iter().filter(|((start, end), _)| (*start..=*end).contains(&address));
                let expect = around.min_by_key(|((start, end), _)| end - start).map(|(_, value)| *value);
                prop_assert_eq!(table.get(address), expect, "{:#x}", address);
            }
        }
    }
}
