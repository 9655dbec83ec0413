//! Disjoint ranges of IPv6 addresses with values.
//!
//! Nearly all prefixes of IPv6 have at most 64 bits. So the table has the first halves of such prefixes, in 8 bytes, and the
//! lengths apart from them: a look-up waits for less memory and fewer pages than with ranges of whole addresses. Ranges
//! that begin or end inside a /64 are cut there, and their parts are in a second table.

use std::hint::black_box;

use super::range_table::{Directory, Range, RangeTable, STAGED, Slot};

/// In place of a length: parts of this /64 are in the second table.
const PARTS: u8 = u8::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct WideTable<V> {
    directory: Directory,
    /// First halves of the prefixes, in their order.
    starts: Box<[u64]>,
    /// Bits of each prefix, or [`PARTS`].
    lengths: Box<[u8]>,
    values: Box<[V]>,
    parts: RangeTable<u128, V>,
}

/// Prefixes of at most 64 bits in their order.
#[derive(Debug)]
struct Prefixes<V> {
    starts: Vec<u64>,
    lengths: Vec<u8>,
    values: Vec<V>,
}

impl<V: Copy> WideTable<V> {
    /// The table of ranges that are sorted and disjoint.
    pub(super) fn new(ranges: Vec<Range<u128, V>>) -> Self {
        let mut prefixes = Prefixes { starts: Vec::new(), lengths: Vec::new(), values: Vec::new() };
        let mut parts = Vec::new();
        for mut range in ranges {
            if !is_edge(range.start) {
                let cut = range.end.min(highest(half(range.start)));
                prefixes.mark(half(range.start), range.value);
                parts.push(Range { end: cut, ..range });
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
                prefixes.add(first, end, range.value);
            }
            if !is_whole {
                prefixes.mark(last, range.value);
                parts.push(Range { start: lowest(last), ..range });
            }
        }
        Self {
            directory: Directory::new(&prefixes.starts, size_of::<u64>()),
            starts: prefixes.starts.into(),
            lengths: prefixes.lengths.into(),
            values: prefixes.values.into(),
            parts: RangeTable::new(parts),
        }
    }

    /// The value of the range that has this address.
    pub(super) fn get(&self, address: u128) -> Option<V> {
        let mut found = None;
        self.get_all(&[address], |_, value| found = Some(value));
        found
    }

    /// Passes the index and the value of each address that a range has.
    pub(super) fn get_all(&self, addresses: &[u128], mut take: impl FnMut(usize, V)) {
        for (chunk, addresses) in addresses.chunks(STAGED).enumerate() {
            let mut in_parts = InParts { addresses: [0; STAGED], indices: [0; STAGED], count: 0 };
            let first = chunk * STAGED;
            self.get_whole(addresses, &mut in_parts, &mut |index, value| {
                take(first + index, value);
            });
            self.parts.get_all(&in_parts.addresses[..in_parts.count], |index, value| {
                take(first + in_parts.indices[index], value);
            });
        }
    }

    /// The same for at most [`STAGED`] addresses, without those of the second table.
    fn get_whole(
        &self,
        addresses: &[u128],
        in_parts: &mut InParts,
        take: &mut impl FnMut(usize, V),
    ) {
        let mut slots = [Slot::default(); STAGED];
        let slots = &mut slots[..addresses.len()];
        self.directory.slots(addresses.iter().map(|address| half(*address)), slots);
        // The searches below branch on these values: a wrong guess would stop the loads of the next ones.
        let touched = slots.iter().fold((0, 0), |(start, length), slot| {
            let first = slot.first as usize;
            let (first_start, first_length) = (self.starts.get(first), self.lengths.get(first));
            (start ^ first_start.unwrap_or(&0), length ^ first_length.unwrap_or(&0))
        });
        black_box(touched);
        let mut ends = [0; STAGED];
        for ((end, slot), address) in ends.iter_mut().zip(&*slots).zip(addresses) {
            let own = &self.starts[slot.entries()];
            *end = slot.first as usize + own.partition_point(|start| *start <= half(*address));
        }
        for (index, (end, address)) in ends.iter().zip(addresses).enumerate() {
            let Some(last) = end.checked_sub(1) else { continue };
            let differing = half(*address) ^ self.starts[last];
            match self.lengths[last] {
                PARTS if differing == 0 => in_parts.add(index, *address),
                PARTS => {}
                length => {
                    // A shift by all bits leaves none.
                    let outside = differing.checked_shr(u64::BITS - u32::from(length));
                    if outside.unwrap_or(0) == 0 {
                        take(index, self.values[last]);
                    }
                }
            }
        }
    }
}

/// Addresses to look up in the second table.
struct InParts {
    addresses: [u128; STAGED],
    /// The index of each address in its chunk.
    indices: [usize; STAGED],
    count: usize,
}

impl InParts {
    fn add(&mut self, index: usize, address: u128) {
        (self.addresses[self.count], self.indices[self.count]) = (address, index);
        self.count += 1;
    }
}

impl<V: Copy> Prefixes<V> {
    /// Adds the prefixes of a range.
    fn add(&mut self, first: u64, last: u64, value: V) {
        let mut start = Some(first);
        while let Some(first) = start.filter(|first| *first <= last) {
            let fitting = (last - first).checked_add(1).map_or(u64::BITS, u64::ilog2);
            let bits = first.trailing_zeros().min(fitting);
            self.push(first, u64::BITS - bits, value);
            start = 1_u64.checked_shl(bits).and_then(|size| first.checked_add(size));
        }
    }

    /// Marks a /64 whose parts are in the second table.
    fn mark(&mut self, half: u64, value: V) {
        if self.starts.last() != Some(&half) {
            self.push(half, PARTS.into(), value);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 64, or PARTS")]
    fn push(&mut self, start: u64, length: u32, value: V) {
        self.starts.push(start);
        self.lengths.push(length as u8);
        self.values.push(value);
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
