//! The running slice of the window, bounded also in a flood.

use std::{borrow::Borrow, cmp::Reverse, hint::black_box};

use hashbrown::HashMap;

use super::{
    Cell,
    cells::Cells,
    prefixes::KeptPrefixes,
    slice::{Count, Slice},
    summary::{HEAVY_PART, Summary, SummaryLimits},
};
use crate::metrics::OTHER;

/// The values in the order in which they fold, by their position in [`Cell::DIMENSIONS`].
const FOLDS: [usize; 4] = [4, 3, 2, 1];

/// A packet on its way to a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    cell: Cell,
    bytes: u32,
    /// The hash of the cell.
    hash: u64,
    /// Set when a cell may have to fold.
    first_fold: FirstFold,
}

/// The hashes that the first fold of a cell needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FirstFold {
    /// That of the value, in its summary.
    value: u64,
    /// That of the cell without the value.
    cell: u64,
}

impl Lookup {
    /// Its hashes are set by [`OpenSlice::count`].
    #[inline]
    pub(super) fn new(cell: Cell, bytes: u32) -> Self {
        Self { cell, bytes, hash: 0, first_fold: FirstFold::default() }
    }
}

/// How much a slice can hold.
#[derive(Debug)]
pub struct Limits {
    /// Maximum number of cells at which one with all values is still added.
    room: usize,
    /// The maximum number of cells at which one is still added that has folded the value of this position in [`FOLDS`],
    /// and the ones before, if they are light.
    folded_room: [usize; FOLDS.len()],
    /// Maximum number of cells at which one with only its country is still added: there is room for every country.
    country_room: usize,
    /// The folded values of each dimension.
    summary: SummaryLimits,
}

impl Limits {
    /// Those of ten minutes of slices. With the cell in which all values are folded, the cells fit a hash table of 4,096
    /// slots.
    pub const WINDOW: Self = Self {
        room: 1024,
        folded_room: [2048, 3072, 3200, 3328],
        country_room: 3583,
        summary: SummaryLimits::WINDOW,
    };

    /// Those of a long history: at most 1,024 cells, and 34 kB stored.
    pub const HISTORY: Self = Self {
        room: 224,
        folded_room: [480, 672, 720, 768],
        country_room: 1023,
        summary: SummaryLimits::HISTORY,
    };
}

/// The sum of slices. The counts stay; values that find no room are folded as in one slice.
#[must_use]
pub fn merge(
    slices: impl IntoIterator<Item = impl Borrow<Slice>>,
    limits: &'static Limits,
) -> Slice {
    let mut sum = OpenSlice::new(limits);
    slices.into_iter().for_each(|slice| sum.merge(slice.borrow()));
    sum.seal()
}

/// The counts of one slice, in a bounded number of cells.
///
/// A flood from many networks fills the slice with single networks. Further packets are counted in a cell without
/// their network, then also without their port, and so on, but a value that is heavy stays, and what is folded is
/// counted by value in a [`Summary`]. So a flood hides light networks and ports, but neither heavy ones nor countries.
#[derive(Clone, Debug)]
pub(super) struct OpenSlice {
    limits: &'static Limits,
    cells: Cells,
    packets: u64,
    folded: [Summary; Cell::DIMENSIONS.len()],
}

impl OpenSlice {
    pub(super) fn new(limits: &'static Limits) -> Self {
        let folded = std::array::from_fn(|_| Summary::new(&limits.summary));
        Self { limits, cells: Cells::default(), packets: 0, folded }
    }

    /// An empty slice that keeps from the start what was heavy in this one.
    pub(super) fn successor(&self) -> Self {
        let mut successor = Self::new(self.limits);
        for position in FOLDS {
            let mut packets: HashMap<u64, u64> = HashMap::new();
            for (cell, count) in self.cells.iter() {
                *packets.entry(cell.at(position)).or_default() += count.packets;
            }
            for (value, count) in self.folded[position].folded() {
                *packets.entry(value).or_default() += count.packets;
            }
            for (value, packets) in packets {
                if value != OTHER && packets.saturating_mul(HEAVY_PART) >= self.packets {
                    successor.folded[position].expect_heavy(value);
                }
            }
        }
        successor
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Counts packets. What is read for all of them is read first, in short loops: the processor waits for the memory of
    /// many packets at a time.
    pub(super) fn count(&mut self, packets: &mut [Lookup]) {
        for packet in &mut *packets {
            packet.hash = self.cells.hash(&packet.cell);
        }
        let mut touched = 0;
        for packet in &*packets {
            touched ^= self.cells.touch(packet.hash);
        }
        // Most packets of a flood fold one value, and know the cell without it.
        if self.cells.len() + packets.len() > self.limits.room {
            for packet in &mut *packets {
                packet.first_fold = self.first_fold(&packet.cell);
            }
            let summary = &self.folded[FOLDS[0]];
            for packet in &*packets {
                touched ^= summary.touch(packet.first_fold.value);
            }
            for packet in &*packets {
                touched ^= self.cells.touch(packet.first_fold.cell);
            }
        }
        // Used, so that the compiler does not leave out the reads.
        black_box(touched);
        for packet in packets {
            let count = Count { packets: 1, bytes: packet.bytes.into() };
            self.packets += 1;
            match self.cells.get_mut(packet.hash, &packet.cell) {
                Some(counted) => counted.add(count),
                None => self.admit(packet.hash, packet.first_fold, packet.cell, count),
            }
        }
    }

    /// What a cell needs if it has to fold.
    #[inline]
    fn first_fold(&self, cell: &Cell) -> FirstFold {
        let mut folded = *cell;
        folded.fold(FOLDS[0]);
        FirstFold {
            value: self.folded[FOLDS[0]].hash(cell.at(FOLDS[0])),
            cell: self.cells.hash(&folded),
        }
    }

    /// Adds all counts of a finished slice.
    pub(super) fn merge(&mut self, other: &Slice) {
        for (own, other) in self.folded.iter_mut().zip(&other.folded) {
            own.merge(other);
        }
        // The heaviest first: they are the last to find no room.
        let mut cells: Vec<_> = other.cells().collect();
        cells.sort_unstable_by_key(|(cell, count)| (Reverse(count.packets), cell.values()));
        for (cell, count) in cells {
            self.packets += count.packets;
            let hash = self.cells.hash(cell);
            if !self.add_if_known(hash, cell, count) {
                self.admit(hash, self.first_fold(cell), *cell, count);
            }
        }
    }

    /// Whether all its prefixes are kept.
    pub(super) fn is_kept(&self, kept: &mut KeptPrefixes<'_>) -> bool {
        let cells = self.cells.iter().map(|(cell, _)| cell.prefix());
        kept.keep_all(cells.chain(self.folded[Cell::PREFIX].values()))
    }

    /// Folds prefixes that are not kept; the counts stay.
    pub(super) fn fold(&mut self, kept: &mut KeptPrefixes<'_>) {
        for (mut cell, count) in self.cells.take() {
            if !kept.keep(cell.prefix()) {
                cell.fold_prefix();
            }
            self.add_or_insert(cell, count);
        }
        self.folded[Cell::PREFIX].retain(|value| kept.keep(value));
    }

    pub(super) fn seal(mut self) -> Slice {
        Slice { cells: self.cells.take().collect(), folded: self.folded.map(Summary::seal) }
    }

    /// Adds a count to a cell that is not here: to a new one, or to one with folded values if there is no room for it.
    fn admit(&mut self, hash: u64, first_fold: FirstFold, cell: Cell, count: Count) {
        if self.cells.len() < self.limits.room {
            self.cells.insert(hash, cell, count);
            return;
        }
        debug_assert_eq!(first_fold, self.first_fold(&cell), "not set for this cell");
        let mut folded = cell;
        for (position, room) in FOLDS.into_iter().zip(self.limits.folded_room) {
            let value = cell.at(position);
            let is_first = position == FOLDS[0];
            let summary = &mut self.folded[position];
            let hash = if is_first { first_fold.value } else { summary.hash(value) };
            if value != OTHER && !summary.fold_light(hash, value, count, self.packets) {
                folded.fold(position);
                let hash = if is_first { first_fold.cell } else { self.cells.hash(&folded) };
                if self.add_if_known(hash, &folded, count) {
                    return;
                }
            }
            if self.cells.len() < room {
                self.cells.insert(self.cells.hash(&folded), folded, count);
                return;
            }
        }
        for position in FOLDS {
            let value = folded.at(position);
            if value != OTHER {
                self.folded[position].fold_heavy(value, count);
                folded.fold(position);
            }
        }
        if self.add_if_known(self.cells.hash(&folded), &folded, count) {
            return;
        }
        if self.cells.len() >= self.limits.country_room {
            // Not with the countries that exist.
            folded.fold(0);
        }
        self.add_or_insert(folded, count);
    }

    fn add_if_known(&mut self, hash: u64, cell: &Cell, count: Count) -> bool {
        self.cells.get_mut(hash, cell).map(|counted| counted.add(count)).is_some()
    }

    fn add_or_insert(&mut self, cell: Cell, count: Count) {
        let hash = self.cells.hash(&cell);
        if !self.add_if_known(hash, &cell, count) {
            self.cells.insert(hash, cell, count);
        }
    }
}
