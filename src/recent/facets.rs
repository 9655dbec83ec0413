//! The window's counts by each dimension, under a filter: facets.
//!
//! A filter on a dimension does not apply to that dimension's own list, so that the list goes on
//! showing what else could be chosen.

use hashbrown::HashMap;

use super::{Cell, Count, Filter, SLICES, Span};

/// What the window shows.
#[derive(Clone, Debug)]
pub struct Facets {
    /// Everything the filter admits.
    pub total: Count,
    /// Its packets, by slice.
    pub timeline: [u64; SLICES],
    /// For each of [`Cell::DIMENSIONS`]: every value, the heaviest first.
    pub lists: [Vec<Row>; Cell::DIMENSIONS.len()],
}

/// One value of a dimension.
#[derive(Clone, Debug)]
pub struct Row {
    /// The value, as [`crate::metrics::Dimension::value`] gives it.
    pub value: u64,
    /// Its packets and bytes.
    pub count: Count,
    /// Its packets by slice, for the first rows of a list.
    pub timeline: Option<Box<[u64; SLICES]>>,
    /// The country in which most of its packets of one cell came, for the first rows of a list.
    pub country: Option<u64>,
}

/// Adds up the window. The first `detailed` rows of each list get their timeline.
#[must_use]
pub fn facets(span: &Span, filter: &Filter, detailed: usize) -> Facets {
    let mut total = Count::default();
    let mut timeline = [0; SLICES];
    let mut sums: [HashMap<u64, Count>; Cell::DIMENSIONS.len()] = Default::default();
    each(span, filter, |slice, cell, count, only| {
        if only.is_none() {
            total.add(count);
            timeline[slice] += count.packets;
        }
        for (place, sums) in sums.iter_mut().enumerate() {
            if only.is_none_or(|only| only == place) {
                sums.entry(cell.values()[place]).or_default().add(count);
            }
        }
    });
    let mut lists = sums.map(sorted);
    detail(span, filter, &mut lists, detailed);
    Facets { total, timeline, lists }
}

/// Calls for every cell that belongs to some list: to all, or only to that of the one dimension in
/// which it is not what was asked for.
fn each(span: &Span, filter: &Filter, mut take: impl FnMut(usize, &Cell, Count, Option<usize>)) {
    for (place, slice) in &span.slices {
        for (cell, count) in slice.cells() {
            let mut misses = filter.misses(cell);
            let only = misses.next();
            if misses.next().is_none() {
                take(*place, cell, count, only);
            }
        }
    }
}

fn sorted(sums: HashMap<u64, Count>) -> Vec<Row> {
    let mut rows: Vec<_> = sums
        .into_iter()
        .map(|(value, count)| Row { value, count, timeline: None, country: None })
        .collect();
    // By value too, so that equal rows do not change places at every look.
    rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.count.packets), row.value));
    rows
}

/// Goes through the window once more for what only the first rows need.
fn detail(
    span: &Span,
    filter: &Filter,
    lists: &mut [Vec<Row>; Cell::DIMENSIONS.len()],
    detailed: usize,
) {
    let mut details: [HashMap<u64, Detail>; Cell::DIMENSIONS.len()] = lists
        .each_ref()
        .map(|rows| rows.iter().take(detailed).map(|row| (row.value, Detail::default())).collect());
    each(span, filter, |slice, cell, count, only| {
        let country = cell.values()[0];
        for (place, details) in details.iter_mut().enumerate() {
            if only.is_none_or(|only| only == place)
                && let Some(detail) = details.get_mut(&cell.values()[place])
            {
                detail.timeline[slice] += count.packets;
                if count.packets > detail.heaviest {
                    (detail.heaviest, detail.country) = (count.packets, Some(country));
                }
            }
        }
    });
    for (rows, details) in lists.iter_mut().zip(&mut details) {
        for row in rows.iter_mut().take(detailed) {
            if let Some(detail) = details.remove(&row.value) {
                row.timeline = Some(detail.timeline);
                row.country = detail.country;
            }
        }
    }
}

struct Detail {
    timeline: Box<[u64; SLICES]>,
    heaviest: u64,
    country: Option<u64>,
}

impl Default for Detail {
    fn default() -> Self {
        Self { timeline: Box::new([0; SLICES]), heaviest: 0, country: None }
    }
}
