//! One slice of the window: counts by cell, bounded in a flood too.

use hashbrown::HashMap;

use super::{Cell, prefixes::KeptPrefixes};

/// Maximum number of cells at which a new one is still added, by the number of its values that are
/// folded.
///
/// A flood from many networks fills the slice with single networks. Further packets are then counted
/// without their network, then also without their port, and so on. A flood thus hides networks and
/// ports, but never countries: the last steps have room for every country. With the cell in which
/// all values are folded, the cells fit a hash table of 4,096 slots.
const ROOM: [usize; Cell::DIMENSIONS.len()] = [1024, 2560, 3072, 3328, 3583];

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
}

/// The counts of one slice of time, in at most 3,584 cells.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    cells: HashMap<Cell, Count>,
}

impl Slice {
    /// All cells with their counts, in no order. They add up to all packets of the slice.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Count)> {
        self.cells.iter().map(|(cell, count)| (cell, *count))
    }

    /// Adds a count to a cell, which is folded if there is no room for it.
    #[inline]
    pub(super) fn add(&mut self, cell: &Cell, count: Count) {
        match self.cells.get_mut(cell) {
            Some(counted) => counted.add(count),
            None => self.admit(*cell, count),
        }
    }

    /// Adds all counts of another slice.
    pub(super) fn merge(&mut self, other: &Self) {
        for (cell, count) in other.cells() {
            self.add(cell, count);
        }
    }

    /// Whether all its prefixes are kept. Checks them in the order of their values, because that of the map varies.
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
            // The caller has looked up the cell without folds.
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
