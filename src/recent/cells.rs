//! The cells of the running slice by their values, in a hash table that many packets look up at a time.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Cell, slice::Count};

/// Cells with their counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    table: HashTable<Entry>,
    /// With a random seed, so that nobody can choose cells of the same place.
    hasher: DefaultHashBuilder,
}

/// Aligned so that it is in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Entry {
    cell: Cell,
    count: Count,
}

impl Cells {
    /// The hash of a cell, as the other functions expect it.
    #[inline]
    pub(super) fn hash(&self, cell: &Cell) -> u64 {
        self.hasher.hash_one(cell)
    }

    /// Reads what [`Self::get_mut`] reads for this hash, and returns a part of it.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        self.table.find(hash, |_| true).map_or(0, |entry| entry.count.packets)
    }

    /// The count of a cell.
    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, cell: &Cell) -> Option<&mut Count> {
        self.table.find_mut(hash, |entry| entry.cell == *cell).map(|entry| &mut entry.count)
    }

    /// Adds a cell that is not here.
    pub(super) fn insert(&mut self, hash: u64, cell: Cell, count: Count) {
        let hash_of = |entry: &Entry| self.hasher.hash_one(entry.cell);
        self.table.insert_unique(hash, Entry { cell, count }, hash_of);
    }

    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// All cells, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Cell, Count)> {
        self.table.iter().map(|entry| (&entry.cell, entry.count))
    }

    /// Removes all cells, and returns them in no order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Cell, Count)> + use<> {
        std::mem::take(&mut self.table).into_iter().map(|entry| (entry.cell, entry.count))
    }
}
