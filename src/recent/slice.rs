//! One finished slice of the window: counts by cell, and counts of the heaviest folded values.

use hashbrown::HashMap;

use super::{Cell, prefixes::KeptPrefixes};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Count {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }

    /// Subtracts a part of this count.
    pub(super) fn subtract(&mut self, part: Self) {
        self.packets -= part.packets;
        self.bytes -= part.bytes;
    }
}

/// The counts of one slice of time, in as little memory as possible.
///
/// The cells add up to all packets of the slice. Of the packets that are in a cell in which a value is folded, the
/// folded values count those with a known value: this is a part of these cells, not an addition to them.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub(super) cells: Box<[(Cell, Count)]>,
    pub(super) folded: [FoldedValues; Cell::DIMENSIONS.len()],
}

/// The heaviest folded values of a dimension.
#[derive(Clone, Debug, Default)]
pub struct FoldedValues {
    /// Each value with its packets that are in cells without it, in the order of the values.
    pub values: Box<[(u64, Count)]>,
    /// Maximum number of packets that are missing in the count of any value.
    pub error: u64,
}

impl Slice {
    /// A slice of these cells, each once, and the folded values of each dimension.
    #[must_use]
    pub fn new(cells: Vec<(Cell, Count)>, folded: [FoldedValues; Cell::DIMENSIONS.len()]) -> Self {
        Self { cells: cells.into(), folded }
    }

    /// The folded values of each dimension.
    #[must_use]
    pub fn all_folded(&self) -> &[FoldedValues; Cell::DIMENSIONS.len()] {
        &self.folded
    }

    /// All cells with their counts, in no order.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Count)> {
        self.cells.iter().map(|(cell, count)| (cell, *count))
    }

    /// The folded values of the dimension at this position in [`Cell::DIMENSIONS`], with their counts.
    #[must_use]
    pub fn folded(&self, position: usize) -> &[(u64, Count)] {
        &self.folded[position].values
    }

    /// The count of one folded value.
    pub(super) fn folded_count(&self, position: usize, value: u64) -> Option<Count> {
        let values = self.folded(position);
        let index = values.binary_search_by_key(&value, |(value, _)| *value).ok()?;
        Some(values[index].1)
    }

    /// Whether all its prefixes are kept.
    pub(super) fn is_kept(&self, kept: &mut KeptPrefixes<'_>) -> bool {
        let cells = self.cells.iter().map(|(cell, _)| cell.prefix());
        kept.keep_all(cells.chain(self.folded(Cell::PREFIX).iter().map(|(value, _)| *value)))
    }

    /// Folds prefixes that are not kept; the counts stay.
    pub(super) fn fold(&mut self, kept: &mut KeptPrefixes<'_>) {
        let mut cells: HashMap<Cell, Count> = HashMap::with_capacity(self.cells.len());
        for (mut cell, count) in std::mem::take(&mut self.cells) {
            if !kept.keep(cell.prefix()) {
                cell.fold_prefix();
            }
            cells.entry(cell).or_default().add(count);
        }
        self.cells = cells.into_iter().collect();
        let prefixes = &mut self.folded[Cell::PREFIX].values;
        *prefixes = prefixes.iter().copied().filter(|(value, _)| kept.keep(*value)).collect();
    }
}
