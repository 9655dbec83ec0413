//! Facets: the counts of the window by each dimension, under a filter.
//!
//! A filter on a dimension does not apply to that dimension's own list, so that the list still shows
//! the other values.

use hashbrown::HashMap;

use super::{Cell, Count, Filter, SLICES, Span};

/// The counts of a window.
#[derive(Clone, Debug)]
pub struct Facets {
    /// All packets that match the filter.
    pub total: Count,
    /// The same packets by slice.
    pub timeline: [u64; SLICES],
    /// For each of [`Cell::DIMENSIONS`], all values, the heaviest first.
    pub lists: [Vec<FacetRow>; Cell::DIMENSIONS.len()],
}

/// One value of a dimension.
#[derive(Clone, Debug)]
pub struct FacetRow {
    /// The value, as [`crate::metrics::Dimension::value`] gives it.
    pub value: u64,
    /// Its packets and bytes.
    pub count: Count,
    /// Its packets by slice; only for the first rows of a list.
    pub timeline: Option<Box<[u64; SLICES]>>,
    /// The country of its heaviest cell; only for the first rows of a list.
    pub country: Option<u64>,
}

/// Sums the window. The first `detailed` rows of each list have a timeline and a country.
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
        for (position, sums) in sums.iter_mut().enumerate() {
            if only.is_none_or(|only| only == position) {
                sums.entry(cell.values()[position]).or_default().add(count);
            }
        }
    });
    let mut lists = sums.map(sorted);
    detail(span, filter, &mut lists, detailed);
    Facets { total, timeline, lists }
}

/// Calls `visit` for each cell that belongs to a list: to all lists if it matches the filter, or only to
/// the list of the one dimension in which it does not match.
fn each(span: &Span, filter: &Filter, mut visit: impl FnMut(usize, &Cell, Count, Option<usize>)) {
    for (index, slice) in &span.slices {
        for (cell, count) in slice.cells() {
            let mut mismatches = filter.mismatches(cell);
            let only = mismatches.next();
            if mismatches.next().is_none() {
                visit(*index, cell, count, only);
            }
        }
    }
}

fn sorted(sums: HashMap<u64, Count>) -> Vec<FacetRow> {
    let mut rows: Vec<_> = sums
        .into_iter()
        .map(|(value, count)| FacetRow { value, count, timeline: None, country: None })
        .collect();
    // Also by value, so that rows with equal counts keep their order.
    rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.count.packets), row.value));
    rows
}

/// Adds timeline and country to the first rows of each list, in a second pass over the window.
fn detail(
    span: &Span,
    filter: &Filter,
    lists: &mut [Vec<FacetRow>; Cell::DIMENSIONS.len()],
    detailed: usize,
) {
    let mut details: [HashMap<u64, Detail>; Cell::DIMENSIONS.len()] = lists
        .each_ref()
        .map(|rows| rows.iter().take(detailed).map(|row| (row.value, Detail::default())).collect());
    each(span, filter, |slice, cell, count, only| {
        let country = cell.values()[0];
        for (position, details) in details.iter_mut().enumerate() {
            if only.is_none_or(|only| only == position)
                && let Some(detail) = details.get_mut(&cell.values()[position])
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
