//! The key of the counts, and filters on it.

use std::hash::{Hash, Hasher};

use crate::{
    event::Event,
    metrics::{ABSENT, Dimension, OTHER},
};

/// A packet's country, protocol, prefix, port and source network, as [`Dimension::value`] gives them.
///
/// The country, which comes first, is the last to fold to [`OTHER`].
///
/// It is hashed and compared value by value, as it is written: a wide load directly after several
/// narrow stores stalls the processor.
#[derive(Clone, Copy, Debug)]
pub struct Cell([u64; Cell::DIMENSIONS.len()]);

impl Cell {
    /// The dimensions, in the order of the values.
    pub const DIMENSIONS: [Dimension; 5] = [
        Dimension::Country,
        Dimension::Proto,
        Dimension::Prefix,
        Dimension::Port,
        Dimension::Network,
    ];

    /// The position of the prefix among them.
    pub const PREFIX: usize = 2;

    /// The cell of an event, without folds.
    #[must_use]
    #[inline]
    pub fn of(event: &Event) -> Self {
        Self(Self::DIMENSIONS.map(|dimension| dimension.value(event)))
    }

    /// The cell of these values, in the order of [`Self::DIMENSIONS`].
    #[must_use]
    pub fn new(values: [u64; Self::DIMENSIONS.len()]) -> Self {
        Self(values)
    }

    /// The values, in the order of [`Self::DIMENSIONS`].
    #[must_use]
    pub fn values(&self) -> &[u64; Self::DIMENSIONS.len()] {
        &self.0
    }

    /// The value of one of [`Self::DIMENSIONS`]; [`ABSENT`] for any other.
    #[must_use]
    pub fn value(&self, dimension: Dimension) -> u64 {
        let position = Self::DIMENSIONS.iter().position(|it| *it == dimension);
        position.map_or(ABSENT, |position| self.0[position])
    }

    /// Folds only the prefix to `other`.
    pub(super) fn fold_prefix(&mut self) {
        self.0[Self::PREFIX] = OTHER;
    }

    /// The value of the prefix.
    pub(super) fn prefix(&self) -> u64 {
        self.0[Self::PREFIX]
    }

    /// Folds the value at this position in [`Self::DIMENSIONS`].
    pub(super) fn fold(&mut self, position: usize) {
        self.0[position] = OTHER;
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

/// The values that a cell must have, by their position in [`Cell::DIMENSIONS`]; the default matches all
/// cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub [Option<u64>; Cell::DIMENSIONS.len()]);

impl Filter {
    /// Whether a cell has all of these values.
    #[must_use]
    pub fn matches(&self, cell: &Cell) -> bool {
        self.mismatches(cell).next().is_none()
    }

    /// What the filter demands, without its value at `position`.
    pub(super) fn besides(&self, position: Option<usize>) -> Demand {
        let wanted = self.0.iter().enumerate().filter(|(at, _)| Some(*at) != position);
        let mut wanted = wanted.filter_map(|(at, value)| value.map(|value| (at, value)));
        match (wanted.next(), wanted.next()) {
            (None, _) => Demand::Nothing,
            (Some((at, value)), None) => Demand::One(at, value),
            (Some(_), Some(_)) => Demand::More,
        }
    }

    /// Positions of the dimensions in which a cell has another value.
    pub(super) fn mismatches(&self, cell: &Cell) -> impl Iterator<Item = usize> {
        let values = cell.0;
        self.0
            .into_iter()
            .enumerate()
            .filter(move |&(position, wanted)| {
                wanted.is_some_and(|wanted| wanted != values[position])
            })
            .map(|(position, _)| position)
    }
}

/// How many values a filter demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// All packets match.
    Nothing,
    /// A position and the value there.
    One(usize, u64),
    /// Values of several dimensions.
    More,
}
