//! Where the parts of the view are on a screen of some size.

use ratatui::layout::Rect;

use super::figures::ListKind;

/// Minimum columns of a screen.
pub const MIN_WIDTH: u16 = 40;

/// Minimum rows of a screen.
pub const MIN_HEIGHT: u16 = 10;

/// Minimum columns of a screen that shows all lists.
const ALL_LISTS_WIDTH: u16 = 76;

/// Minimum rows of all lists together.
const ALL_LISTS_HEIGHT: u16 = 15;

/// Rows of the chart, from a height of the screen on.
const CHARTS: [(u16, u16); 5] = [(36, 6), (30, 4), (22, 3), (17, 2), (13, 1)];

/// Minimum rows of a screen with two rows of conditions.
const TWO_CONDITIONS_HEIGHT: u16 = 22;

/// Number of rows that the parts below and above the lists need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededRows {
    /// Of the unusual conditions.
    pub conditions: u16,
    /// Of the status.
    pub status: u16,
}

/// Maximum rows of conditions on a screen of a height.
#[must_use]
pub fn max_conditions(height: u16) -> usize {
    if height < TWO_CONDITIONS_HEIGHT { 1 } else { 2 }
}

/// The rows and columns of each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    /// The source, the range and the time.
    pub title: Rect,
    /// The rates and totals of the exporter.
    pub summary: Rect,
    /// Unusual conditions; empty without any.
    pub conditions: Rect,
    /// The packets over time; empty on a low screen.
    pub chart: Rect,
    /// The number of packets, and the filter.
    pub total: Rect,
    /// The list that has the most room, with its head.
    pub focused: Rect,
    /// The other lists, with their heads; empty on a small screen.
    pub others: Vec<(ListKind, Rect)>,
    /// Messages, or the keys.
    pub status: Rect,
}

impl FrameLayout {
    /// The parts on a screen; `None` if it is too small.
    #[must_use]
    pub fn new(area: Rect, focus: ListKind, rows: NeededRows) -> Option<Self> {
        let NeededRows { conditions, status } = rows;
        if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
            return None;
        }
        let chart = CHARTS.iter().find(|(height, _)| area.height >= *height);
        let mut rest = area;
        let mut take = |rows: u16| {
            let part = Rect { height: rows.min(rest.height), ..rest };
            rest = Rect { y: rest.y + part.height, height: rest.height - part.height, ..rest };
            part
        };
        let title = take(1);
        let summary = take(1);
        let conditions = take(conditions);
        let chart = take(chart.map_or(0, |(_, rows)| *rows));
        let total = take(1);
        let lists = area.bottom().saturating_sub(total.bottom()).saturating_sub(status);
        let below = if area.width >= ALL_LISTS_WIDTH && lists >= ALL_LISTS_HEIGHT {
            lists * 2 / 5
        } else {
            0
        };
        let focused = take(lists - below);
        let others = columns(take(below), focus);
        let status = take(status);
        Some(Self { title, summary, conditions, chart, total, focused, others, status })
    }

    /// Number of entries that the focused list shows.
    #[must_use]
    pub fn page(&self) -> usize {
        usize::from(self.focused.height.saturating_sub(1))
    }
}

/// A column for each list without the focus, with a space between them.
fn columns(area: Rect, focus: ListKind) -> Vec<(ListKind, Rect)> {
    if area.height == 0 {
        return Vec::new();
    }
    let kinds = ListKind::ALL.into_iter().filter(|kind| *kind != focus);
    let number = u16::try_from(ListKind::ALL.len() - 1).unwrap_or(1);
    let step = (area.width + 1) / number;
    let left = |at: u16| area.x + at * step;
    kinds
        .zip(0..number)
        .map(|(kind, at)| {
            let end = if at + 1 == number { area.right() } else { left(at + 1) - 1 };
            (kind, Rect { x: left(at), width: end - left(at), ..area })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_every_screen_and_do_not_overlap() {
        for (width, height, status) in (40..200).step_by(7).flat_map(|width| {
            (10..80).flat_map(move |height| (1..4).map(move |status| (width, height, status)))
        }) {
            let area = Rect { x: 0, y: 0, width, height };
            let conditions = u16::try_from(max_conditions(height)).unwrap();
            let rows = NeededRows { conditions, status };
            let layout = FrameLayout::new(area, ListKind::Ports, rows).unwrap();
            let below = layout.others.first().map_or(0, |(_, area)| area.height);
            let parts = [layout.title, layout.summary, layout.conditions, layout.chart]
                .into_iter()
                .chain([layout.total, layout.focused]);
            let rows: u16 = parts.map(|part| part.height).sum();
            assert_eq!(rows + below + layout.status.height, height, "{layout:?}");
            assert_eq!(layout.status.bottom(), height);
            assert!(layout.page() >= 2, "{layout:?}");
            for pair in layout.others.windows(2) {
                assert_eq!(pair[0].1.right() + 1, pair[1].1.x);
            }
            assert!(layout.others.last().is_none_or(|(_, area)| area.right() == width));
        }
    }

    #[test]
    fn small_screens_show_one_list_and_smaller_ones_nothing() {
        let layout = |width, height| {
            let rows = NeededRows { conditions: 0, status: 1 };
            FrameLayout::new(Rect { x: 0, y: 0, width, height }, ListKind::Ports, rows)
        };
        assert_eq!(layout(80, 24).unwrap().others.len(), 4);
        assert_eq!(layout(80, 24).unwrap().page(), 10);
        assert_eq!(layout(60, 24).unwrap().others.len(), 0);
        assert_eq!(layout(80, 16).unwrap().others.len(), 0);
        assert!(layout(39, 24).is_none() && layout(80, 9).is_none());
    }
}
