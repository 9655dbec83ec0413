//! The places of the IPv4 addresses that one thread looked up last.
//!
//! A search in the tree of a database reads several cache lines, which other memory has often replaced since the last search.
//! An address in this cache needs one line: sets of five addresses take a line each, and a new address replaces the one that
//! was added first. An address that is not here costs a few nanoseconds more than without a cache; a list of the last used
//! ones would cost more than the search. IPv6 addresses are not kept: with their size, half as many would fit.

use std::{hash::BuildHasher, net::Ipv4Addr};

use foldhash::quality::FixedState;

use super::{Country, Place};
use crate::system::random;

/// Addresses in a set.
const WAYS: usize = 5;

/// A power of two: with 20,480 addresses in 256 KiB.
const SETS: usize = 1 << 12;

/// Places by address.
#[derive(Debug)]
pub(super) struct PlaceCache {
    sets: Box<[Set]>,
    /// With a random seed, so that nobody can choose addresses of the same set.
    hasher: FixedState,
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set {
    /// 0 for none: 0.0.0.0 is in no database.
    addresses: [u32; WAYS],
    places: [Place; WAYS],
    /// The way of the next new address.
    next: u8,
}

const EMPTY: Set = Set {
    addresses: [0; WAYS],
    places: [Place { country: Country::Unknown, asn: 0 }; WAYS],
    next: 0,
};

impl PlaceCache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        let hasher = FixedState::with_seed(random::number());
        Self { sets: vec![EMPTY; SETS].into(), hasher }
    }

    /// Forgets all addresses.
    pub(super) fn clear(&mut self) {
        self.sets.fill(EMPTY);
    }

    /// The number of the set of an address.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "twelve bits remain")]
    pub(super) fn set_of(&self, address: Ipv4Addr) -> usize {
        (self.hasher.hash_one(address.to_bits()) >> (u64::BITS - SETS.ilog2())) as usize
    }

    /// Reads what [`Self::get`] reads of a set, and returns a part of it.
    #[inline]
    pub(super) fn touch(&self, set: usize) -> u32 {
        self.sets[set % SETS].addresses[0]
    }

    /// The place of an address, if it is in its set.
    #[inline]
    pub(super) fn get(&self, set: usize, address: Ipv4Addr) -> Option<Place> {
        let address = address.to_bits();
        let set = &self.sets[set % SETS];
        let mut found = 0_u32;
        // Without branches, which would often be predicted wrongly.
        for (way, other) in set.addresses.iter().enumerate() {
            found |= if *other == address { 1 << way } else { 0 };
        }
        (found != 0 && address != 0).then(|| set.places[found.trailing_zeros() as usize % WAYS])
    }

    /// Adds an address, unless it is here.
    pub(super) fn insert(&mut self, address: Ipv4Addr, place: Place) {
        let index = self.set_of(address);
        let address = address.to_bits();
        let set = &mut self.sets[index];
        if set.addresses.contains(&address) {
            return;
        }
        let way = usize::from(set.next) % WAYS;
        (set.addresses[way], set.places[way]) = (address, place);
        set.next = if way + 1 < WAYS { set.next + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geoip::CountryId;

    /// Another place for each number.
    fn place(number: u32) -> Place {
        let id = CountryId::all().nth(number as usize % CountryId::COUNT).unwrap();
        Place { country: Country::Known(id), asn: number }
    }

    #[test]
    fn a_set_is_a_cache_line() {
        assert_eq!(size_of::<Set>(), 64);
    }

    fn get(cache: &PlaceCache, address: Ipv4Addr) -> Option<Place> {
        cache.get(cache.set_of(address), address)
    }

    #[test]
    fn an_address_has_its_own_place_or_none() {
        let mut cache = PlaceCache::new();
        let address = |number: u32| Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b9) | 1);
        for number in 0..100_000 {
            assert_eq!(get(&cache, address(number)).filter(|found| *found != place(number)), None);
            cache.insert(address(number), place(number));
            assert_eq!(get(&cache, address(number)), Some(place(number)));
        }
        let kept = (0..100_000).filter(|number| get(&cache, address(*number)).is_some()).count();
        assert!((SETS * WAYS / 2..=SETS * WAYS).contains(&kept), "{kept}");
        cache.clear();
        assert!((0..100_000).all(|number| get(&cache, address(number)).is_none()));
        assert_eq!(get(&cache, Ipv4Addr::UNSPECIFIED), None);
    }

    #[test]
    fn ten_thousand_sources_stay() {
        let mut cache = PlaceCache::new();
        let address = |number: u32| Ipv4Addr::from_bits(0x0100_0000 + number * 7919);
        let mut missing = 0;
        for round in 0..3 {
            for number in 0..10_000 {
                if get(&cache, address(number)).is_none() {
                    missing += u32::from(round > 0);
                    cache.insert(address(number), place(number));
                }
            }
        }
        // With sets that are selected at random, 2,020 on average.
        assert!(missing < 3_000, "{missing} of 20,000");
    }

    #[test]
    fn an_address_takes_one_place_of_its_set() {
        let mut cache = PlaceCache::new();
        let set_of = |address: u32| cache.set_of(Ipv4Addr::from_bits(address));
        let others: Vec<_> =
            (2..).filter(|other| set_of(*other) == set_of(1)).take(WAYS - 1).collect();
        for address in others.iter().chain([&1; WAYS]) {
            cache.insert(Ipv4Addr::from_bits(*address), place(*address));
        }
        let is_kept = |address: &u32| get(&cache, Ipv4Addr::from_bits(*address)).is_some();
        assert!(others.iter().all(is_kept) && is_kept(&1));
    }
}
