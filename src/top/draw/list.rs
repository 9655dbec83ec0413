//! The lists: one with all columns, the others with their first entries.

use ratatui::{layout::Rect, style::Style};

use super::{BOLD, Canvas, DIM, GRAPH, REVERSED, overall::trend};
use crate::{
    report::{numbers, sparkline::sparkline},
    top::{
        figures::{Figures, ListEntry, ListKind, Tallied, Unlisted},
        layout::FrameLayout,
        rates::{count, resample, rounded},
        text,
        view::{SortOrder, View},
    },
};

/// Columns before a name: one for the selected entry, one for a filter.
const MARKS: usize = 2;

/// Minimum columns of a name.
const MIN_NAME: usize = 14;

/// Columns of a count, of a share, of a rate and of a change, with a space before each of them.
const PACKETS: usize = 9;
const SHARE: usize = 8;
const RATE: usize = 8;
const CHANGE: usize = 8;

/// Columns of a count beside a name in a small list.
const SHORT: usize = 6;

/// Columns of the packets over time in a small list, with the spaces around them, and the columns of a list that has them.
const SMALL_TIMELINE: usize = 14;
const SMALL_WITH_TIMELINE: usize = 38;

/// The columns of a list; 0 for one that is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListColumns {
    name: usize,
    share: usize,
    change: usize,
    timeline: usize,
    bar: usize,
}

impl ListColumns {
    fn new(width: usize) -> Self {
        let mut free = width.saturating_sub(MARKS + MIN_NAME + PACKETS + RATE);
        let mut take = |wanted: usize| {
            let taken = if free >= wanted { wanted } else { 0 };
            free -= taken;
            taken
        };
        let change = take(CHANGE);
        // With the spaces before them.
        let timeline = take(14);
        let bar = take(10);
        let share = take(SHARE);
        let name = MIN_NAME + take(8) + take(10);
        let timeline = timeline + if timeline > 0 { take(18) } else { 0 };
        let bar = bar + if bar > 0 { take(10) } else { 0 };
        let timeline = timeline + if timeline > 14 { take(30) } else { 0 };
        let bar = bar + if bar > 10 { take(20) } else { 0 };
        // What is left.
        Self { name: name + free, share, change, timeline, bar }
    }
}

/// Draws the focused list, and the others below it.
pub(super) fn draw_all(view: &mut View, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    let kind = view.selection.focus;
    let more = view.figures.as_ref().map(|figures| figures.list(kind).1).unwrap_or_default();
    // The last line counts the entries that are not visible.
    let has_more = more.values > 0 || view.entries(kind).len() > layout.page();
    let visible = layout.page().saturating_sub(usize::from(has_more)).max(1);
    let first = view.first_visible(kind, visible);
    let Some(figures) = &view.figures else { return };
    focused(view, figures, (first, visible), layout.focused, canvas);
    for (kind, area) in &layout.others {
        small(view, figures, *kind, *area, canvas);
    }
}

fn focused(
    view: &View,
    figures: &Figures,
    (first, visible): (usize, usize),
    area: Rect,
    canvas: &mut Canvas<'_>,
) {
    let kind = view.selection.focus;
    let columns = ListColumns::new(area.width.into());
    let entries = view.entries(kind);
    let head = head(view, figures, &columns, entries.len());
    canvas.put((area.x, area.y), area.right(), &text::left(&head, area.width.into()), REVERSED);
    let (_, more) = figures.list(kind);
    let scale = Scale::of(&entries, more);
    let selected = view.selected(kind);
    let rows = area.y + 1..area.bottom();
    for (y, (position, entry)) in
        rows.clone().zip(entries.iter().enumerate().skip(first).take(visible))
    {
        let is_selected = position == selected;
        row(view, figures, &columns, entry, (is_selected, &scale), (area, y), canvas);
    }
    let last = rows.end.saturating_sub(1);
    let below = entries.iter().skip(first + visible);
    let values = more.values.saturating_add(below.clone().count() as u64);
    if entries.is_empty() {
        canvas.put((area.x, area.y + 1), area.right(), empty_text(figures), DIM);
    } else if values > 0 && last > area.y {
        let packets = below.fold(more.packets, |sum, entry| sum.saturating_add(entry.packets));
        let (values, packets) = (text::packets(values), text::packets(packets));
        canvas.put(
            (area.x, last),
            area.right(),
            &format!("  and {values} more with {packets} packets"),
            DIM,
        );
    }
}

/// What is in place of entries.
fn empty_text(figures: &Figures) -> &'static str {
    if figures.received > 0 || figures.window.capture {
        "  no packets in this window"
    } else {
        "  no packets were received yet: nflog_exporter doctor finds out why"
    }
}

/// The sums that bars and shares refer to.
struct Scale {
    most: u64,
    all: u64,
}

impl Scale {
    fn of(entries: &[&ListEntry], more: Unlisted) -> Self {
        let listed = entries.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.packets));
        let values = entries.iter().filter(|entry| !entry.is_folded());
        let most = values.map(|entry| entry.packets).max().unwrap_or(0).max(1);
        Self { most, all: listed.saturating_add(more.packets) }
    }
}

/// The titles of the columns; the one that the list is sorted by has a mark.
fn head(view: &View, figures: &Figures, columns: &ListColumns, entries: usize) -> String {
    let sort = view.selection.sort;
    let mark = |order: SortOrder, title: &str| {
        if sort == order { format!("{title}▽") } else { title.to_owned() }
    };
    let kind = view.selection.focus;
    let (_, more) = figures.list(kind);
    let values = count(more.values) + count(entries as u64);
    let title = format!("{} ({})", kind.title(), text::short(rounded(values)));
    let mut head =
        format!("  {}", text::left(&mark(SortOrder::Name, &title).replace('▽', "△"), columns.name));
    head += &text::right(&mark(SortOrder::Packets, "packets"), PACKETS);
    if columns.share > 0 {
        head += &text::right("share", columns.share);
    }
    let (unit, _) = figures.window.rate_unit();
    head += &text::right(&mark(SortOrder::Rate, &unit.replace('/', "per ")), RATE);
    if columns.change > 0 {
        head += &text::right(&mark(SortOrder::Change, "change"), columns.change);
    }
    if columns.timeline > 0 {
        head += &text::left("  over time", columns.timeline);
    }
    head
}

fn row(
    view: &View,
    figures: &Figures,
    columns: &ListColumns,
    entry: &ListEntry,
    (is_selected, scale): (bool, &Scale),
    (area, y): (Rect, u16),
    canvas: &mut Canvas<'_>,
) {
    let kind = view.selection.focus;
    let is_filter = view.selection.filter(kind).is_some_and(|filter| filter.value == entry.value);
    let window = &figures.window;
    let style = match (is_selected, is_filter) {
        (_, true) => BOLD,
        (true, _) => Style::new(),
        _ if entry.is_folded() => DIM,
        _ => Style::new(),
    };
    let end = area.right();
    let marks =
        format!("{}{}", if is_selected { '>' } else { ' ' }, if is_filter { '*' } else { ' ' });
    let mut x = canvas.put((area.x, y), end, &marks, style);
    let name = text::name(kind, entry);
    x = canvas.put((x, y), end, &text::left(&name, columns.name), style);
    x = canvas.put((x, y), end, &text::right(&text::packets(entry.packets), PACKETS), style);
    if columns.share > 0 {
        let share = numbers::share(entry.packets, scale.all).replace(' ', "");
        x = canvas.put((x, y), end, &text::right(&share, columns.share), style);
    }
    let rate = window.recent_rate(entry) * window.rate_unit().1;
    x = canvas.put((x, y), end, &text::right(&text::rate(rate), RATE), style);
    if columns.change > 0 {
        let known = if entry.is_folded() { None } else { entry.before };
        let tallied = Tallied { packets: entry.packets, before: known };
        let (text, style) = trend(window.trend(tallied));
        x = canvas.put((x, y), end, &text::right(&text, columns.change), style);
    }
    if let Some(width) = columns.timeline.checked_sub(2) {
        let line = over_time(figures, entry, width, canvas.look.has_unicode);
        canvas.put((x + 2, y), end, &line, GRAPH);
        x += u16::try_from(columns.timeline).unwrap_or(0);
    }
    if let Some(width) = columns.bar.checked_sub(2).filter(|_| !entry.is_folded()) {
        let part = count(entry.packets) / count(scale.most);
        let bar = canvas.look.bar(part, width);
        canvas.put((x + 2, y), end, &bar, GRAPH);
    }
    if is_selected {
        canvas.buffer.set_style(
            Rect {
                y,
                height: 1,
                width: u16::try_from(MARKS + columns.name).unwrap_or(area.width),
                ..area
            },
            REVERSED,
        );
    }
}

/// The title and the first entries of a list, with the number that they are sorted by.
fn small(view: &View, figures: &Figures, kind: ListKind, area: Rect, canvas: &mut Canvas<'_>) {
    let width = usize::from(area.width);
    let end = area.right();
    canvas.put((area.x, area.y), end, kind.title(), BOLD);
    let filter = view.selection.filter(kind);
    let timeline = if width >= SMALL_WITH_TIMELINE { SMALL_TIMELINE } else { 0 };
    for (y, entry) in (area.y + 1..area.bottom()).zip(view.entries(kind)) {
        let is_filter = filter.is_some_and(|filter| filter.value == entry.value);
        let style = match is_filter {
            true => BOLD,
            false if entry.is_folded() => DIM,
            false => Style::new(),
        };
        let mark = if is_filter { "*" } else { "" };
        let name = format!("{mark}{}", text::name(kind, entry));
        let number = sorted_number(view.selection.sort, figures, entry);
        let name = text::left(&name, width.saturating_sub(SHORT + timeline));
        let x = canvas.put((area.x, y), end, &name, style);
        let x = canvas.put((x, y), end, &text::right(&number, SHORT), style);
        if let Some(width) = timeline.checked_sub(2) {
            let line = over_time(figures, entry, width, canvas.look.has_unicode);
            canvas.put((x + 1, y), end, &line, GRAPH);
        }
    }
}

/// The number that entries are sorted by, or their packets.
fn sorted_number(sort: SortOrder, figures: &Figures, entry: &ListEntry) -> String {
    let window = &figures.window;
    match sort {
        SortOrder::Packets | SortOrder::Name => text::short(entry.packets),
        SortOrder::Rate => text::rate(window.recent_rate(entry) * window.rate_unit().1),
        SortOrder::Change => text::trend(window.trend(entry.tallied())),
    }
}

/// The packets of an entry over time.
fn over_time(figures: &Figures, entry: &ListEntry, width: usize, unicode: bool) -> String {
    let timeline = entry.timeline.as_deref().unwrap_or_default();
    sparkline(&resample(&figures.window.full(timeline), width, true), unicode).collect()
}
