//! The key of the counts, and filters on it.

use crate::{
    event::Event,
    metrics::{ABSENT, Dimension, OTHER},
};

/// A packet's country, protocol, prefix, port and source network, as [`Dimension::value`] gives them.
///
/// The country, which comes first, is the last to fold to [`OTHER`].
///
/// The values are packed into 16 bytes, so that two cells with their counts are in one cache line: most packets of a flood
/// find their cell in no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The other dimensions, each in its [`Field`].
    labels: u64,
    network: u64,
}

/// The bits of a dimension in [`Cell`].
struct Field {
    shift: u32,
    mask: u64,
}

impl Field {
    /// The fields of all dimensions but the network, in their order. The two highest numbers of each are [`ABSENT`] and
    /// [`OTHER`] without their high bits; no other value of the dimension has as many bits.
    const ALL: [Self; Cell::NETWORK] =
        [Self::new(0, 16), Self::new(16, 12), Self::new(28, 18), Self::new(46, 18)];

    const fn new(shift: u32, bits: u32) -> Self {
        Self { shift, mask: (1 << bits) - 1 }
    }

    #[inline]
    fn pack(&self, value: u64) -> u64 {
        (value & self.mask) << self.shift
    }

    #[inline]
    fn unpack(&self, labels: u64) -> u64 {
        let value = (labels >> self.shift) & self.mask;
        if value >= ABSENT & self.mask { value | !self.mask } else { value }
    }
}

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

    /// The position of the network among them.
    const NETWORK: usize = 4;

    /// The cell of an event, without folds.
    #[must_use]
    #[inline]
    pub fn of(event: &Event) -> Self {
        Self::new(Self::DIMENSIONS.map(|dimension| dimension.value(event)))
    }

    /// The cell of these values, in the order of [`Self::DIMENSIONS`]. Bits that no value of a dimension has are lost.
    #[must_use]
    #[inline]
    pub fn new(values: [u64; Self::DIMENSIONS.len()]) -> Self {
        let fields = Field::ALL.iter().zip(values);
        let labels = fields.fold(0, |labels, (field, value)| labels | field.pack(value));
        Self { labels, network: values[Self::NETWORK] }
    }

    /// The values, in the order of [`Self::DIMENSIONS`].
    #[must_use]
    #[inline]
    pub fn values(&self) -> [u64; Self::DIMENSIONS.len()] {
        let [country, proto, prefix, port] = Field::ALL.each_ref().map(|it| it.unpack(self.labels));
        [country, proto, prefix, port, self.network]
    }

    /// The value of one of [`Self::DIMENSIONS`]; [`ABSENT`] for any other.
    #[must_use]
    pub fn value(&self, dimension: Dimension) -> u64 {
        let position = Self::DIMENSIONS.iter().position(|it| *it == dimension);
        position.map_or(ABSENT, |position| self.at(position))
    }

    /// The value at this position in [`Self::DIMENSIONS`].
    #[inline]
    pub(super) fn at(&self, position: usize) -> u64 {
        Field::ALL.get(position).map_or(self.network, |field| field.unpack(self.labels))
    }

    /// Folds only the prefix to `other`.
    pub(super) fn fold_prefix(&mut self) {
        self.fold(Self::PREFIX);
    }

    /// The value of the prefix.
    pub(super) fn prefix(&self) -> u64 {
        self.at(Self::PREFIX)
    }

    /// Folds the value at this position in [`Self::DIMENSIONS`].
    #[inline]
    pub(super) fn fold(&mut self, position: usize) {
        match Field::ALL.get(position) {
            Some(field) => self.labels |= field.pack(OTHER),
            None => self.network = OTHER,
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
        let values = cell.values();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{NameId, fixture::tcp},
        geoip::{Country, CountryId},
    };

    /// An event with the highest number of each dimension that a packet can have.
    fn largest_event() -> Event {
        let mut event = tcp("DE", u32::MAX, u16::MAX);
        event.prefix = NameId::from_index(u16::MAX);
        event.headers.protocol = None;
        event
    }

    fn largest() -> Cell {
        Cell::of(&largest_event())
    }

    #[test]
    fn a_cell_has_the_values_it_is_made_of() {
        let last_country = CountryId::all().last().map(|id| Country::Known(id).to_bits()).unwrap();
        let largest = largest();
        assert_eq!(largest.values(), Cell::DIMENSIONS.map(|of| of.value(&largest_event())));
        let columns = [
            [0, last_country, ABSENT, OTHER],
            [0, largest.value(Dimension::Proto), ABSENT, OTHER],
            [0, largest.value(Dimension::Prefix), ABSENT, OTHER],
            [0, largest.value(Dimension::Port), ABSENT, OTHER],
            [0, (1 << 24) - 1, ABSENT, OTHER],
        ];
        for number in 0..4_usize.pow(5) {
            let values = std::array::from_fn(|at| columns[at][number >> (2 * at) & 3]);
            let mut cell = Cell::new(values);
            assert_eq!(cell.values(), values);
            for (position, dimension) in Cell::DIMENSIONS.into_iter().enumerate() {
                assert_eq!(cell.value(dimension), values[position]);
                cell.fold(position);
                assert_eq!(cell.at(position), OTHER);
                assert_eq!(cell.values()[position + 1..], values[position + 1..]);
                assert_eq!(cell.values()[..position], [OTHER; 5][..position]);
            }
        }
    }
}
