//! A slice as bytes, for memory and for files: at most 33 kB, unless prefixes are long.
//!
//! Nothing in it depends on the running program: prefixes are texts, and countries their codes. The format is that of
//! `postcard`, with numbers of variable length.

use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::{
    event::{Interner, NameField, NameId, Names},
    geoip::Country,
    metrics::{ABSENT, Dimension, OTHER},
    recent::{Cell, Count, FoldedValues, Slice},
};

/// The position of the country in [`Cell::DIMENSIONS`].
const COUNTRY: usize = 0;

/// The values that no dictionary has, and the first index of a dictionary.
const STORED_OTHER: u64 = 0;
const STORED_ABSENT: u64 = 1;
const FIRST: u64 = 2;

/// Bytes that are not a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid slice of the history")]
pub(super) struct InvalidSlice;

#[derive(Serialize, Deserialize)]
struct StoredSlice {
    /// The prefixes by their index.
    prefixes: Vec<String>,
    /// The codes of countries, `private` and `unknown`, by their index.
    countries: Vec<String>,
    /// The values of each cell, its packets and its bytes.
    cells: Vec<([u64; Cell::DIMENSIONS.len()], u64, u64)>,
    folded: [StoredValues; Cell::DIMENSIONS.len()],
}

#[derive(Serialize, Deserialize)]
struct StoredValues {
    error: u64,
    /// Value, packets and bytes.
    values: Vec<(u64, u64, u64)>,
}

/// The bytes of a slice whose prefixes have these names.
pub(super) fn encode(slice: &Slice, names: &Names) -> Arc<[u8]> {
    let mut prefixes = Dictionary::default();
    let mut countries = Dictionary::default();
    let mut value = |position: usize, value: u64| match (position, value) {
        (_, OTHER) => STORED_OTHER,
        (_, ABSENT) => STORED_ABSENT,
        (COUNTRY, value) => countries.index(value, || Country::from_bits(value).code().to_owned()),
        (Cell::PREFIX, value) => prefixes.index(value, || {
            let id = Dimension::Prefix.name_id(value).unwrap_or(NameId::OTHER);
            names.text(id).to_string()
        }),
        (_, value) => value.saturating_add(FIRST),
    };
    let cells = slice.cells().map(|(cell, count)| {
        let mut values = cell.values();
        for (position, one) in values.iter_mut().enumerate() {
            *one = value(position, *one);
        }
        (values, count.packets, count.bytes)
    });
    let cells = cells.collect();
    let mut position = 0;
    let folded = slice.all_folded().each_ref().map(|folded| {
        let values = folded.values.iter();
        let values = values.map(|(one, count)| (value(position, *one), count.packets, count.bytes));
        let values = values.collect();
        position += 1;
        StoredValues { error: folded.error, values }
    });
    let stored =
        StoredSlice { prefixes: prefixes.texts, countries: countries.texts, cells, folded };
    // Numbers and texts in memory, so serializing does not fail.
    postcard::to_allocvec(&stored).unwrap_or_default().into()
}

/// The slice in these bytes. Its prefixes have the ids of `interner`; those that find no room there are [`OTHER`].
///
/// # Errors
/// They are not a slice.
pub(super) fn decode(bytes: &[u8], interner: &mut Interner) -> Result<Slice, InvalidSlice> {
    let stored: StoredSlice = postcard::from_bytes(bytes).map_err(|_| InvalidSlice)?;
    let prefixes = stored.prefixes.iter().map(|text| {
        match interner.intern(NameField::Prefix, text.as_bytes()) {
            NameId::OTHER => OTHER,
            id => id.index().into(),
        }
    });
    let prefixes: Vec<u64> = prefixes.collect();
    interner.close_batch();
    let countries = stored.countries.iter();
    let countries: Vec<u64> = countries
        .map(|code| Country::from_code(code).unwrap_or(Country::Unknown).to_bits())
        .collect();
    let entry = |entries: &[u64], index: u64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| entries.get(index).copied())
            .ok_or(InvalidSlice)
    };
    let value = |position: usize, value: u64| match (position, value) {
        (_, STORED_OTHER) => Ok(OTHER),
        (_, STORED_ABSENT) => Ok(ABSENT),
        (COUNTRY, value) => entry(&countries, value - FIRST),
        (Cell::PREFIX, value) => entry(&prefixes, value - FIRST),
        (_, value) => Ok(value - FIRST),
    };
    let mut cells: HashMap<Cell, Count> = HashMap::with_capacity(stored.cells.len());
    for (stored, packets, bytes) in &stored.cells {
        let mut values = *stored;
        for (position, one) in values.iter_mut().enumerate() {
            *one = value(position, *one)?;
        }
        // Prefixes without room can make cells equal.
        cells.entry(Cell::new(values)).or_default().add(Count { packets: *packets, bytes: *bytes });
    }
    let mut folded: [FoldedValues; Cell::DIMENSIONS.len()] = Default::default();
    for (position, (folded, stored)) in folded.iter_mut().zip(&stored.folded).enumerate() {
        let values = stored.values.iter().map(|(one, packets, bytes)| {
            Ok((value(position, *one)?, Count { packets: *packets, bytes: *bytes }))
        });
        let mut values: Vec<_> = values.collect::<Result<_, _>>()?;
        values.retain(|(value, _)| *value != OTHER);
        values.sort_unstable_by_key(|(value, _)| *value);
        values.dedup_by_key(|(value, _)| *value);
        *folded = FoldedValues { values: values.into(), error: stored.error };
    }
    Ok(Slice::new(cells.into_iter().collect(), folded))
}

/// Texts by the order in which they are used.
#[derive(Default)]
struct Dictionary {
    indexes: HashMap<u64, u64>,
    texts: Vec<String>,
}

impl Dictionary {
    fn index(&mut self, value: u64, text: impl FnOnce() -> String) -> u64 {
        *self.indexes.entry(value).or_insert_with(|| {
            self.texts.push(text());
            FIRST + self.texts.len() as u64 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(position: usize, seed: u64, prefixes: &[NameId]) -> u64 {
        match (position, seed % 16) {
            (_, 0) => OTHER,
            // Every packet has a prefix and a country.
            (1 | 3 | 4, 1) => ABSENT,
            (COUNTRY, seed) => ["US", "DE", "unknown", "private"]
                .map(|code| Country::from_code(code).unwrap())[usize::try_from(seed % 4).unwrap()]
            .to_bits(),
            (Cell::PREFIX, seed) => prefixes[usize::try_from(seed % 4).unwrap()].index().into(),
            (4, seed) if seed > 8 => (1 << 56) | (0x2001_0db8_0000 + seed),
            (_, seed) => seed,
        }
    }

    /// The values of each cell, and the folded values, with their counts.
    type Texts = (Vec<(Vec<String>, Count)>, Vec<(String, Count)>);

    /// The texts of all values, so that slices with other ids can be compared.
    fn texts(slice: &Slice, names: &Names) -> Texts {
        let text = |position: usize, value: u64| {
            let text = Cell::DIMENSIONS[position].text(value, names);
            text.map_or_else(|| "absent".to_owned(), Into::into)
        };
        let mut cells: Vec<_> = slice
            .cells()
            .map(|(cell, count)| {
                let values = cell.values().into_iter().enumerate();
                (values.map(|(position, value)| text(position, value)).collect(), count)
            })
            .collect();
        cells.sort_by(|(one, _): &(Vec<String>, Count), (other, _)| one.cmp(other));
        let folded = slice.all_folded().iter().enumerate().flat_map(|(position, folded)| {
            folded.values.iter().map(move |(value, count)| (text(position, *value), *count))
        });
        let mut folded: Vec<_> = folded.collect();
        folded.sort_by(|(one, _), (other, _)| one.cmp(other));
        (cells, folded)
    }

    proptest! {
        /// Also with an interner that gives other ids.
        #[test]
        fn a_slice_is_the_same_after_it_was_stored(seeds in prop::collection::vec(prop::array::uniform7(any::<u64>()), 0..60)) {
            let mut interner = Interner::new(Names::default());
            let prefixes = ["drop", "", "a b", "accept"];
            let prefixes = prefixes.map(|it| interner.intern(NameField::Prefix, it.as_bytes()));
            let mut cells: HashMap<Cell, Count> = HashMap::new();
            for seed in &seeds {
                let values = std::array::from_fn(|position| value(position, seed[position], &prefixes));
                cells.insert(Cell::new(values), Count { packets: seed[5] >> 8, bytes: seed[6] >> 8 });
            }
            let folded = std::array::from_fn(|position| {
                let mut values: Vec<_> = seeds.iter().map(|seed| (value(position, seed[4], &prefixes), Count { packets: seed[5] % 9, bytes: 1 })).collect();
                values.retain(|(value, _)| *value != OTHER);
                values.sort_unstable_by_key(|(value, _)| *value);
                values.dedup_by_key(|(value, _)| *value);
                FoldedValues { values: values.into(), error: seeds.len() as u64 }
            });
            let slice = Slice::new(cells.into_iter().collect(), folded);
            let bytes = encode(&slice, &interner.names());
            let mut other = Interner::new(Names::default());
            for name in ["x", "accept", "y"] {
                other.intern(NameField::Prefix, name.as_bytes());
            }
            let decoded = decode(&bytes, &mut other).unwrap();
            prop_assert_eq!(texts(&slice, &interner.names()), texts(&decoded, &other.names()));
            prop_assert!(decoded.all_folded().iter().all(|folded| folded.error == seeds.len() as u64));
        }

        #[test]
        fn any_bytes_are_a_slice_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &mut Interner::new(Names::default()));
        }
    }

    #[test]
    fn cut_bytes_are_an_error() {
        let names = Names::default();
        let cell = Cell::new([Country::Private.to_bits(), 6, OTHER, 22, 0x0a_0000]);
        let slice = Slice::new(vec![(cell, Count { packets: 3, bytes: 180 })], Default::default());
        let bytes = encode(&slice, &names);
        assert_eq!(bytes.len(), 31);
        for length in 0..bytes.len() {
            let decoded = decode(&bytes[..length], &mut Interner::new(Names::default()));
            assert_eq!(decoded.err(), Some(InvalidSlice), "{length} bytes");
        }
    }
}
