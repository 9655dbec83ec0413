//! Which packets become rows: chosen prefixes, chosen countries, and one in so many of what is left.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use super::per_name::PerName;
use crate::{
    event::{Event, Names, clean},
    geoip::Country,
};

/// What to mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Log prefixes, with or without the blanks around them; empty for all.
    pub prefixes: Vec<String>,
    /// ISO 3166-1 alpha-2 of the remote end, `private` or `unknown`, in either case; empty for all.
    pub countries: Vec<String>,
    /// One in so many packets, at least 1.
    pub sample: u32,
}

impl Default for Selection {
    fn default() -> Self {
        Self { prefixes: Vec::new(), countries: Vec::new(), sample: 1 }
    }
}

/// A selection that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No country has this code.
    #[error(
        "{0:?} is no country: give the two letters of ISO 3166-1 (DE, US), `private` or `unknown`"
    )]
    UnknownCountry(String),
    /// One in none.
    #[error("a sample of 0 keeps nothing: 1 keeps every packet, 10 one in ten")]
    EmptySample,
}

/// Why a packet gives no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Filtered {
    /// Its prefix is not chosen.
    Prefix,
    /// Its country is not chosen.
    Country,
    /// Another packet stands for it.
    Sample,
}

impl Filtered {
    /// Every reason, in the order in which they are looked at.
    pub const ALL: [Self; 3] = [Self::Prefix, Self::Country, Self::Sample];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Country => "country",
            Self::Sample => "sample",
        }
    }
}

/// Picks the packets of a selection, for one thread.
#[derive(Debug)]
pub struct Selector {
    /// As the label shows them; `None` for all.
    prefixes: Option<HashSet<String>>,
    chosen: PerName<bool>,
    /// By [`Country::to_bits`]; `None` for all.
    countries: Option<HashSet<u64>>,
    sample: Sample,
}

impl Selector {
    /// For events whose names are of this table.
    ///
    /// # Errors
    /// A country that is none, or a sample of 0.
    pub fn new(selection: &Selection, names: Names) -> Result<Self, SelectionError> {
        if selection.sample == 0 {
            return Err(SelectionError::EmptySample);
        }
        let prefixes = selection.prefixes.iter().map(|prefix| clean(prefix.as_bytes()));
        let countries = selection.countries.iter().map(|code| {
            let country = Country::from_code(code.trim());
            country
                .map(Country::to_bits)
                .ok_or_else(|| SelectionError::UnknownCountry(code.clone()))
        });
        Ok(Self {
            prefixes: (!selection.prefixes.is_empty()).then(|| prefixes.collect()),
            chosen: PerName::new(names),
            countries: match &selection.countries[..] {
                [] => None,
                _ => Some(countries.collect::<Result<_, _>>()?),
            },
            sample: Sample::new(selection.sample),
        })
    }

    /// Turns to the table of the names of the events to come.
    pub fn turn_to(&mut self, names: &Names) {
        self.chosen.turn_to(names);
    }

    /// Whether this packet gives a row. Each packet is to be asked for once: of those whose prefix
    /// and country are chosen, exactly one in each block of [`Self::weight`] does.
    ///
    /// # Errors
    /// Why not.
    #[inline]
    pub fn pick(&mut self, event: &Event) -> Result<(), Filtered> {
        if let Some(prefixes) = &self.prefixes
            && !self.chosen.get(event.prefix, |text| prefixes.contains(text))
        {
            return Err(Filtered::Prefix);
        }
        if let Some(countries) = &self.countries
            && !countries.contains(&event.place.country.to_bits())
        {
            return Err(Filtered::Country);
        }
        if self.sample.take() { Ok(()) } else { Err(Filtered::Sample) }
    }

    /// How many packets a row stands for.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.sample.size
    }
}

/// One of each block of packets, at a place drawn anew for each block: packets that come in a
/// rhythm are met as often as any others.
#[derive(Debug)]
struct Sample {
    /// Packets in a block, at least 1.
    size: u32,
    /// Place in the running block, below `size`.
    place: u32,
    /// The place that is kept in it.
    kept: u32,
    /// Blocks begun.
    blocks: u64,
    /// A keyed hash of the block's number serves as the random number.
    random: RandomState,
}

impl Sample {
    fn new(size: u32) -> Self {
        let mut sample = Self { size, place: 0, kept: 0, blocks: 0, random: RandomState::new() };
        sample.begin();
        sample
    }

    /// Whether the next packet is kept.
    #[inline]
    fn take(&mut self) -> bool {
        if self.size == 1 {
            return true;
        }
        let kept = self.place == self.kept;
        self.place += 1;
        if self.place == self.size {
            self.begin();
        }
        kept
    }

    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below `size`")]
    fn begin(&mut self) {
        self.place = 0;
        let random = u128::from(self.random.hash_one(self.blocks));
        self.kept = ((random * u128::from(self.size)) >> 64) as u32;
        self.blocks += 1;
    }
}

#[cfg(test)]
mod tests;
