//! Selects the packets that become rows: by prefix, by country, and one in N of the rest.

use std::collections::HashSet;

use super::per_name::PerName;
use crate::{
    event::{Event, Names, clean},
    geoip::Country,
    system::random,
};

/// Which packets to mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Log prefixes, surrounding blanks ignored; empty for all.
    pub prefixes: Vec<String>,
    /// ISO 3166-1 alpha-2 of the remote end, `private` or `unknown`, case ignored; empty for all.
    pub countries: Vec<String>,
    /// One in this many packets is kept; at least 1.
    pub sample: u32,
}

impl Default for Selection {
    fn default() -> Self {
        Self { prefixes: Vec::new(), countries: Vec::new(), sample: 1 }
    }
}

/// An invalid selection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// An unknown country code.
    #[error(
        "unknown country {0:?}: give two letters of ISO 3166-1 (DE, US), `private` or `unknown`"
    )]
    UnknownCountry(String),
    /// A sample of 0.
    #[error("invalid sample 0: use 1 to keep every packet, 10 to keep one in ten")]
    EmptySample,
}

/// Why a packet gives no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Filtered {
    /// Its prefix is not selected.
    Prefix,
    /// Its country is not selected.
    Country,
    /// Another packet of the sample represents it.
    Sample,
}

impl Filtered {
    /// Every reason, in the order of the checks.
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

/// Selects packets, on one thread.
#[derive(Debug)]
pub struct Selector {
    /// As in the label; `None` for all.
    prefixes: Option<HashSet<String>>,
    chosen: PerName<bool>,
    /// By [`Country::to_bits`]; `None` for all.
    countries: Option<HashSet<u64>>,
    sample: Sample,
}

impl Selector {
    /// Creates a selector for events with names of this table.
    ///
    /// # Errors
    /// An unknown country, or a sample of 0.
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

    /// Switches to the table of the names of the next events.
    pub fn turn_to(&mut self, names: &Names) {
        self.chosen.turn_to(names);
    }

    /// Whether this packet becomes a row. Call it once for each packet: of those with a selected prefix and
    /// country, exactly one in each block of [`Self::weight`] does.
    ///
    /// # Errors
    /// The reason why not.
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

    /// Number of packets that a row represents.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.sample.size
    }
}

/// Keeps one packet of each block, at a new random position each time: periodic packets are kept as often as
/// others.
#[derive(Debug)]
struct Sample {
    /// Packets in a block, at least 1.
    size: u32,
    /// Position in the current block, below `size`.
    position: u32,
    /// Position of the packet that is kept.
    kept: u32,
}

impl Sample {
    fn new(size: u32) -> Self {
        let mut sample = Self { size, position: 0, kept: 0 };
        sample.begin();
        sample
    }

    /// Whether to keep the next packet.
    #[inline]
    fn take(&mut self) -> bool {
        if self.size == 1 {
            return true;
        }
        let kept = self.position == self.kept;
        self.position += 1;
        if self.position == self.size {
            self.begin();
        }
        kept
    }

    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below `size`")]
    fn begin(&mut self) {
        self.position = 0;
        self.kept = ((u128::from(random::number()) * u128::from(self.size)) >> 64) as u32;
    }
}

#[cfg(test)]
mod tests;
