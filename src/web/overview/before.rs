//! The counts of the previous range of the same length, for comparison.

use hashbrown::HashMap;

use super::{OverviewQuery, query::NO_VALUE, value_text::text};
use crate::{
    history::View,
    metrics::{Dimension, OTHER},
    recent::{Cell, facets},
};

/// The packets of the previous range, by the texts of values: the ids of names differ between two ranges.
#[derive(Debug)]
pub(super) struct Before {
    total: u64,
    lists: [List; Cell::DIMENSIONS.len()],
}

#[derive(Debug)]
struct List {
    packets: HashMap<String, u64>,
    /// Whether light values were folded, so that a value without an entry can have had packets.
    has_folded: bool,
}

impl Before {
    /// The packets that match a query; `None` if they are not known, because a value of the query can be among the folded
    /// ones.
    pub(super) fn new(view: &View, query: &OverviewQuery) -> Option<Self> {
        let View { span, names } = view;
        let filter = query.filter(span, names);
        let has_folded = |position: usize| {
            let mut cells = span.slices.iter().flat_map(|(_, slice)| slice.cells());
            cells.any(|(cell, _)| cell.values()[position] == OTHER)
        };
        let mut absent = (0..filter.0.len()).filter(|at| filter.0[*at] == Some(NO_VALUE));
        if absent.any(has_folded) {
            return None;
        }
        let facets = facets(span, &filter, 0);
        let mut position = 0;
        let lists = facets.lists.map(|rows| {
            let dimension = Cell::DIMENSIONS[position];
            position += 1;
            let has_folded = rows.iter().any(|row| row.value == OTHER);
            let packets =
                rows.iter().map(|row| (text(dimension, row.value, names), row.count.packets));
            List { packets: packets.collect(), has_folded }
        });
        Some(Self { total: facets.total.packets, lists })
    }

    /// All packets.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The packets of one value; `None` if it can be among the folded ones.
    pub(super) fn packets(&self, dimension: Dimension, value: &str) -> Option<u64> {
        let position = Cell::DIMENSIONS.iter().position(|it| *it == dimension)?;
        let list = &self.lists[position];
        let missing = if list.has_folded { None } else { Some(0) };
        list.packets.get(value).copied().or(missing)
    }
}
