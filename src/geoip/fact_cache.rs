//! The facts that one thread decoded from a database, by the number of their data in the file.
//!
//! A number selects one place, so that a look-up reads one cache line and writes nothing. Data of the same place replace
//! each other. The about 250 records of a country database have a place each, the about 80,000 of an ASN database share
//! some.

use super::record::Facts;

/// Minimum and maximum number of places, of 16 bytes each.
const MIN_PLACES: usize = 1 << 10;
const MAX_PLACES: usize = 1 << 16;

/// Facts by their number.
#[derive(Debug)]
pub(super) struct FactCache {
    /// The number, 0 for none, and its facts. A power of two of them.
    places: Box<[(u32, Facts)]>,
}

impl FactCache {
    /// An empty cache for a database with so many bytes of data, each of which has another number.
    pub(super) fn new(data: usize) -> Self {
        let places = data.clamp(MIN_PLACES, MAX_PLACES).next_power_of_two();
        Self { places: vec![(0, Facts::default()); places].into() }
    }

    /// The facts of this number, which is not 0, decoded by `decode` if they are not here.
    #[inline]
    pub(super) fn get_or_insert(&mut self, number: u32, decode: impl FnOnce() -> Facts) -> Facts {
        let mask = self.places.len() - 1;
        let place = &mut self.places[number as usize & mask];
        if place.0 != number {
            *place = (number, decode());
        }
        place.1
    }
}
