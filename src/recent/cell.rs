//! What the page counts by, all of it at once, and what a filter asks for.

use std::hash::{Hash, Hasher};

use crate::{
    event::Event,
    metrics::{ABSENT, Dimension, OTHER},
};

/// A packet's country, protocol, prefix, port and source network, as [`Dimension::value`] gives them.
///
/// Most important first: the last is the first to fold to [`OTHER`].
///
/// Hashed and compared value by value, as it is written: a wide load of what was just written in parts
/// would wait for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Cell([u64; Cell::DIMENSIONS.len()]);

impl Cell {
    /// What is counted by, in the order of the values.
    pub const DIMENSIONS: [Dimension; 5] = [
        Dimension::Country,
        Dimension::Proto,
        Dimension::Prefix,
        Dimension::Port,
        Dimension::Network,
    ];

    /// The prefix's place among them.
    const PREFIX: usize = 2;

    /// The cell of an event, nothing folded.
    #[must_use]
    #[inline]
    pub fn of(event: &Event) -> Self {
        Self(Self::DIMENSIONS.map(|dimension| dimension.value(event)))
    }

    /// The values, in the order of [`Self::DIMENSIONS`].
    #[must_use]
    pub fn values(&self) -> &[u64; Self::DIMENSIONS.len()] {
        &self.0
    }

    /// The value of one of [`Self::DIMENSIONS`]; [`ABSENT`] for any other.
    #[must_use]
    pub fn value(&self, dimension: Dimension) -> u64 {
        let place = Self::DIMENSIONS.iter().position(|it| *it == dimension);
        place.map_or(ABSENT, |place| self.0[place])
    }

    /// The prefix alone becomes `other`.
    pub(super) fn fold_prefix(&mut self) {
        self.0[Self::PREFIX] = OTHER;
    }

    /// The value of the prefix.
    pub(super) fn prefix(&self) -> u64 {
        self.0[Self::PREFIX]
    }

    /// Folds the last `count` values.
    pub(super) fn fold(&mut self, count: usize) {
        let kept = self.0.len().saturating_sub(count);
        self.0[kept..].fill(OTHER);
    }
}

impl PartialEq for Cell {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(value, other)| value == other)
    }
}

impl Eq for Cell {}

impl Hash for Cell {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for value in self.0 {
            state.write_u64(value);
        }
    }
}

/// What to look at: everything, or only what has these values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub [Option<u64>; Cell::DIMENSIONS.len()]);

impl Filter {
    /// Whether a cell has every value asked for.
    #[must_use]
    pub fn admits(&self, cell: &Cell) -> bool {
        self.misses(cell).next().is_none()
    }

    /// The dimensions, by their place, in which a cell is not what was asked for.
    pub(super) fn misses(&self, cell: &Cell) -> impl Iterator<Item = usize> {
        let values = cell.0;
        self.0
            .into_iter()
            .enumerate()
            .filter(move |&(place, wanted)| wanted.is_some_and(|wanted| wanted != values[place]))
            .map(|(place, _)| place)
    }
}
