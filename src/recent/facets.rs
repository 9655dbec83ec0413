//! Facets: the counts of the window by each dimension, under a filter.
//!
//! A filter on a dimension does not apply to that dimension's own list, so that the list still shows
//! the other values.
//!
//! A value that was folded is counted by the slices' summaries. They know nothing else about these packets, so under a
//! filter on that value the packets are `other` in all other lists, and a filter on a second value leaves them out.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::{Cell, Count, Filter, Span, cell::Demand};
use crate::metrics::OTHER;

/// The counts of a window.
#[derive(Clone, Debug)]
pub struct Facets {
    /// All packets that match the filter.
    pub total: Count,
    /// The same packets by slice.
    pub timeline: Vec<u64>,
    /// For each of [`Cell::DIMENSIONS`], all values, the heaviest first, and the folded ones last.
    pub lists: [Vec<FacetRow>; Cell::DIMENSIONS.len()],
}

/// One value of a dimension.
#[derive(Clone, Debug)]
pub struct FacetRow {
    /// The value, as [`crate::metrics::Dimension::value`] gives it.
    pub value: u64,
    /// Its packets and bytes.
    pub count: Count,
    /// Its packets by slice; only for the first rows of a list, and for folded values.
    pub timeline: Option<Vec<u64>>,
    /// The country of its heaviest cell; only for rows with a timeline.
    pub country: Option<u64>,
}

/// Sums the window. The first `detailed` rows of each list have a timeline and a country.
#[must_use]
pub fn facets(span: &Span, filter: &Filter, detailed: usize) -> Facets {
    let mut sums: [HashMap<u64, Count>; Cell::DIMENSIONS.len()] = Default::default();
    each(span, filter, |_, position, part| {
        let sums = &mut sums[position];
        sums.entry(part.value).or_default().add(part.count);
        if part.was_other
            && let Some(other) = sums.get_mut(&OTHER)
        {
            other.subtract(part.count);
        }
    });
    let mut lists = sums.map(sorted);
    detail(span, filter, &mut lists, detailed);
    let (total, timeline) = total(span, filter);
    Facets { total, timeline, lists }
}

/// All packets that match, and the same by slice.
fn total(span: &Span, filter: &Filter) -> (Count, Vec<u64>) {
    let mut total = Count::default();
    let mut timeline = vec![0; span.length];
    for (index, slice) in &span.slices {
        let mut add = |count: Count| {
            total.add(count);
            timeline[*index] += count.packets;
        };
        for (cell, count) in slice.cells() {
            if filter.matches(cell) {
                add(count);
            }
        }
        if let Demand::One(position, value) = filter.besides(None)
            && let Some(count) = slice.folded_count(position, value)
        {
            add(count);
        }
    }
    (total, timeline)
}

/// Packets of one slice that belong to a row.
struct Part {
    value: u64,
    count: Count,
    /// Their country, if it is known.
    country: Option<u64>,
    /// Whether an earlier part counted them as [`OTHER`].
    was_other: bool,
}

/// Calls `visit` for all parts, with the slice and the position of the list. A cell belongs to all lists if it matches
/// the filter, or only to the list of the one dimension in which it does not match.
fn each(span: &Span, filter: &Filter, mut visit: impl FnMut(usize, usize, &Part)) {
    for (index, slice) in &span.slices {
        for (cell, count) in slice.cells() {
            let mut mismatches = filter.mismatches(cell);
            let only = mismatches.next();
            if mismatches.next().is_some() {
                continue;
            }
            let country = Some(cell.at(0));
            for (position, value) in cell.values().into_iter().enumerate() {
                if only.is_none_or(|only| only == position) {
                    visit(*index, position, &Part { value, count, country, was_other: false });
                }
            }
        }
        for position in 0..Cell::DIMENSIONS.len() {
            match filter.besides(Some(position)) {
                Demand::Nothing => {
                    for &(value, count) in slice.folded(position) {
                        let part = Part { value, count, country: None, was_other: true };
                        visit(*index, position, &part);
                    }
                }
                Demand::One(by, value) => {
                    if let Some(count) = slice.folded_count(by, value) {
                        let part = Part { value: OTHER, count, country: None, was_other: false };
                        visit(*index, position, &part);
                    }
                }
                Demand::More => {}
            }
        }
    }
}

fn sorted(sums: HashMap<u64, Count>) -> Vec<FacetRow> {
    let mut rows: Vec<_> = sums
        .into_iter()
        .filter(|(_, count)| count.packets > 0)
        .map(|(value, count)| FacetRow { value, count, timeline: None, country: None })
        .collect();
    // Also by value, so that rows with equal counts keep their order.
    rows.sort_unstable_by_key(|row| (row.value == OTHER, Reverse(row.count.packets), row.value));
    rows
}

/// Adds timeline and country to the first rows of each list and to that of the folded values, in a second pass over the
/// window.
fn detail(
    span: &Span,
    filter: &Filter,
    lists: &mut [Vec<FacetRow>; Cell::DIMENSIONS.len()],
    detailed: usize,
) {
    let mut details: [HashMap<u64, Detail>; Cell::DIMENSIONS.len()] =
        lists.each_ref().map(|rows| {
            let rows = rows.iter().enumerate();
            rows.filter(|(index, row)| *index < detailed || row.value == OTHER)
                .map(|(_, row)| (row.value, Detail::new(span.length)))
                .collect()
        });
    each(span, filter, |slice, position, part| {
        let packets = part.count.packets;
        if let Some(detail) = details[position].get_mut(&part.value) {
            detail.timeline[slice] += packets;
            // Of equally heavy cells, which have no order, the one whose country has the lowest number.
            let is_heavier =
                (packets, Reverse(part.country)) > (detail.heaviest, Reverse(detail.country));
            if is_heavier && part.country.is_some() {
                (detail.heaviest, detail.country) = (packets, part.country);
            }
        }
        if part.was_other
            && let Some(detail) = details[position].get_mut(&OTHER)
        {
            detail.timeline[slice] -= packets;
        }
    });
    for (rows, details) in lists.iter_mut().zip(&mut details) {
        for row in rows {
            if let Some(detail) = details.remove(&row.value) {
                row.timeline = Some(detail.timeline);
                row.country = detail.country;
            }
        }
    }
}

struct Detail {
    timeline: Vec<u64>,
    heaviest: u64,
    country: Option<u64>,
}

impl Detail {
    fn new(slices: usize) -> Self {
        Self { timeline: vec![0; slices], heaviest: 0, country: None }
    }
}
