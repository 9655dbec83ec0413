//! The lines above the lists: source and range, rates and totals, packets over time, filter.

use jiff::Timestamp;
use ratatui::style::{Modifier, Style};

use super::{BAD, BOLD, Canvas, DIM, GOOD, GRAPH, NOTE, REVERSED};
use crate::{
    history::Range,
    report::numbers,
    top::{
        figures::{Figures, MirrorFigures},
        layout::FrameLayout,
        rates::{Trend, count, resample, rounded},
        text,
        view::{ReadProgress, View},
    },
};

/// Columns of the scale of the chart.
const SCALE: u16 = 9;

/// Spaces between the figures of the summary.
const GAP: u16 = 3;

/// Maximum columns of a filter.
const MAX_FILTER: usize = 30;

/// A text and its style.
type Part = (String, Style);

/// Draws all of them.
pub(super) fn draw(view: &View, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    title(view, layout, canvas);
    let Some(figures) = &view.figures else { return };
    summary(figures, layout, canvas);
    chart(figures, layout, canvas);
    total(view, figures, layout, canvas);
}

fn title(view: &View, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    let area = layout.title;
    let right = title_right(view, area.width >= 70);
    let width: usize = right.iter().map(|(part, _)| text::columns(part)).sum();
    let start = area.right().saturating_sub(u16::try_from(width).unwrap_or(area.width));
    canvas.buffer.set_style(area, BOLD);
    let mut x = area.x;
    if area.width >= 70 {
        x = canvas.put((x, area.y), start, "nflog_exporter top  ", BOLD);
    }
    let room = usize::from(start.saturating_sub(x + 1));
    canvas.put((x, area.y), start, &text::left(&text::safe(&view.source), room), BOLD);
    let mut x = start;
    for (part, style) in right {
        x = canvas.put((x, area.y), area.right(), &part, style);
    }
}

/// The state, the ranges and the time of the figures.
fn title_right(view: &View, is_wide: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    if view.is_paused {
        parts.extend([("PAUSED".into(), REVERSED), (" ".into(), BOLD)]);
    }
    let window = view.figures.as_ref().map(|figures| &figures.window);
    if let Some(progress) = &view.progress {
        let reading = match progress {
            ReadProgress::Reading(progress) => format!("reading {progress}"),
            ReadProgress::Complete => "complete".into(),
            ReadProgress::Failed(_) => "incomplete".into(),
        };
        parts.push((reading, BOLD));
    } else if window.is_some_and(|window| window.capture) {
        parts.push(("recording".into(), BOLD));
    } else {
        for range in Range::ALL {
            if range == view.selection.range {
                parts.push((format!("[{}]", range.name()), REVERSED));
            } else if is_wide {
                parts.push((format!(" {} ", range.name()), BOLD));
            }
        }
        let time = view.figures.as_ref().and_then(|figures| clock(figures.time, view));
        parts.push((format!(" {}", time.unwrap_or_default()), BOLD));
    }
    parts
}

/// The time of day; `None` for an impossible time.
fn clock(seconds: f64, view: &View) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(rounded(seconds.floor())).ok()?).ok()?;
    let local = view.zone.to_datetime(time);
    Some(format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second()))
}

/// As many of the figures as fit, the most important ones first.
fn summary(figures: &Figures, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    let area = layout.summary;
    let capture = figures.window.capture;
    let mut parts: Vec<(u8, &str, Part)> = Vec::new();
    if !capture {
        let now = figures.now;
        parts.push((0, "now", (format!("{}/s", text::rate(now.packets_per_second)), BOLD)));
        let bytes = numbers::bytes(rounded(now.bytes_per_second)).replace(' ', "");
        parts.push((6, "", (format!("{bytes}/s"), BOLD)));
    }
    parts.push((3, "received", (text::packets(figures.received), BOLD)));
    let style = if figures.lost > 0 { BAD } else { BOLD };
    parts.push((1, "lost", (text::packets(figures.lost), style)));
    if figures.undecoded > 0 {
        parts.push((5, "undecoded", (text::packets(figures.undecoded), NOTE)));
    }
    parts.push((4, "sources", (text::packets(rounded(figures.source_addresses)), BOLD)));
    if !capture {
        parts.push((2, "mirror", mirror(figures.mirror.as_ref())));
    }
    let width = |(_, label, (value, _)): &(u8, &str, Part)| {
        text::columns(label)
            + usize::from(!label.is_empty())
            + text::columns(value)
            + usize::from(GAP)
    };
    while parts.iter().map(width).sum::<usize>() > usize::from(area.width + GAP) {
        let least = parts.iter().map(|part| part.0).max();
        parts.retain(|part| Some(part.0) != least);
    }
    let mut x = area.x;
    for (_, label, (value, style)) in parts {
        if !label.is_empty() {
            x = canvas.put((x, area.y), area.right(), &format!("{label} "), DIM);
        }
        x = canvas.put((x, area.y), area.right(), &value, style) + GAP;
    }
}

/// The state of the mirror.
fn mirror(mirror: Option<&MirrorFigures>) -> Part {
    match mirror {
        None => ("off".into(), DIM),
        Some(mirror) if !mirror.up => {
            let waiting = mirror.queued.saturating_add(mirror.spooled);
            (format!("down, {} rows wait", text::packets(waiting)), BAD)
        }
        Some(mirror) if mirror.dropped > 0 => {
            (format!("dropped {} rows", text::packets(mirror.dropped)), BAD)
        }
        Some(mirror) if mirror.lag_seconds >= 1.0 => {
            (format!("up, lag {}", text::span(mirror.lag_seconds)), GOOD)
        }
        Some(_) => ("up".into(), GOOD),
    }
}

/// Packets over time, with the rate of the highest column.
fn chart(figures: &Figures, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    let area = layout.chart;
    let Some(width) = area.width.checked_sub(SCALE).filter(|_| area.height > 0) else { return };
    let values = figures.window.full(&figures.timeline);
    let columns = resample(&values, width.into(), true);
    let most = columns.iter().copied().max().unwrap_or(0);
    let (unit, seconds) = figures.window.rate_unit();
    let peak = count(most) / figures.window.slice_seconds() * seconds;
    let scale = format!("{}{unit}", text::rate(peak));
    canvas.put((area.x, area.y), area.x + SCALE, &text::right(&scale, usize::from(SCALE) - 1), DIM);
    if area.height > 1 {
        let zero = text::right("0", usize::from(SCALE) - 1);
        canvas.put((area.x, area.bottom() - 1), area.x + SCALE, &zero, DIM);
    }
    for (x, value) in (area.x + SCALE..area.right()).zip(columns) {
        for row in 0..area.height {
            let part = count(value) / count(most.max(1));
            let cell = canvas.look.column(part, row, area.height);
            canvas.put(
                (x, area.bottom() - 1 - row),
                area.right(),
                cell.encode_utf8(&mut [0; 4]),
                GRAPH,
            );
        }
    }
}

/// The packets of the window, and the filter.
fn total(view: &View, figures: &Figures, layout: &FrameLayout, canvas: &mut Canvas<'_>) {
    let area = layout.total;
    let end = area.right();
    let mut x = canvas.put((area.x, area.y), end, &text::packets(figures.total.packets), BOLD);
    let window = &figures.window;
    let what = if window.capture { "in" } else { "in the last" };
    let length = text::span(window.seconds);
    x = canvas.put((x, area.y), end, &format!(" packets {what} {length}"), DIM);
    let (trend, style) = trend(window.trend(figures.total));
    if !trend.is_empty() {
        x = canvas.put((x + 2, area.y), end, &trend, style);
    }
    if !view.selection.filters.is_empty() {
        x = canvas.put((x + 2, area.y), end, "filter", DIM).saturating_sub(1);
    }
    for filter in &view.selection.filters {
        let shown = format!("{} {}", filter.kind.label(), filter.name);
        let width = text::columns(&shown).min(MAX_FILTER);
        x = canvas.put((x + 2, area.y), end, &text::left(&shown, width), REVERSED);
    }
    if !view.is_answered() {
        canvas.put((x + 2, area.y), end, "not yet applied", NOTE);
    } else if let Some(since) = partial_since(view, figures) {
        canvas.put((x + 2, area.y), end, &format!("counted since {since}"), DIM);
    }
}

/// When counting started, if that is in the window.
fn partial_since(view: &View, figures: &Figures) -> Option<String> {
    let window = &figures.window;
    let since = window.since?;
    let is_partial = since > figures.time - window.seconds + window.slice_seconds();
    if !is_partial || window.capture {
        return None;
    }
    clock(since, view)
}

/// A comparison and its style.
pub(super) fn trend(trend: Trend) -> Part {
    let style = match trend {
        Trend::New => NOTE.add_modifier(Modifier::BOLD),
        Trend::Times(ratio) if ratio > 1.0 => NOTE,
        Trend::Times(_) => GRAPH,
        Trend::Unknown => DIM,
    };
    (text::trend(trend), style)
}
