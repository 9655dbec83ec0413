//! One slice of the window: counts by cell, under a cap, whatever is thrown at it.

use hashbrown::HashMap;

use super::{Cell, prefixes::KeptPrefixes};

/// How many cells there may be for one to be admitted, by how many of its values are folded.
///
/// A flood from everywhere fills the first row with single networks; then packets count without
/// their network, then without their port too, and so on. So a flood costs the network and
/// the port, and never the country: the last steps have room for every country there is. With the
/// cell in which everything is folded, they just fit a table of 4,096 places.
const ROOM: [usize; Cell::DIMENSIONS.len()] = [1024, 2560, 3072, 3328, 3583];

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

impl Count {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// The counts of one slice of time. At most 3,584 cells.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    cells: HashMap<Cell, Count>,
}

impl Slice {
    /// Every cell with its count, in no order. Their sum is everything that came in the slice.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Count)> {
        self.cells.iter().map(|(cell, count)| (cell, *count))
    }

    /// Counts where there is room.
    #[inline]
    pub(super) fn add(&mut self, cell: &Cell, count: Count) {
        match self.cells.get_mut(cell) {
            Some(counted) => counted.add(count),
            None => self.admit(*cell, count),
        }
    }

    /// Adds all that another slice counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (cell, count) in other.cells() {
            self.add(cell, count);
        }
    }

    /// Whether all its prefixes are kept. They are asked for in the order of their values, not in that of the map.
    pub(super) fn is_kept(&self, kept: &mut KeptPrefixes<'_>) -> bool {
        let mut prefixes: Vec<_> = self.cells.keys().map(Cell::prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes.into_iter().all(|prefix| kept.keep(prefix))
    }

    /// Folds prefixes that are not kept; the counts stay.
    pub(super) fn fold(&mut self, kept: &mut KeptPrefixes<'_>) {
        for (mut cell, count) in std::mem::take(&mut self.cells) {
            if !kept.keep(cell.prefix()) {
                cell.fold_prefix();
            }
            self.cells.entry(cell).or_default().add(count);
        }
    }

    #[cold]
    fn admit(&mut self, mut cell: Cell, count: Count) {
        for (folded, room) in ROOM.into_iter().enumerate() {
            cell.fold(folded);
            // Unfolded, it was looked for already.
            if folded > 0
                && let Some(counted) = self.cells.get_mut(&cell)
            {
                counted.add(count);
                return;
            }
            if self.cells.len() < room {
                self.cells.insert(cell, count);
                return;
            }
        }
        cell.fold(Cell::DIMENSIONS.len());
        self.cells.entry(cell).or_default().add(count);
    }
}
