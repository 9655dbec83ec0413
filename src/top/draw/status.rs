//! The lowest line: the keys, or messages.

use std::time::Instant;

use ratatui::layout::Rect;

use super::{BAD, Canvas, DIM, NOTE};
use crate::top::{
    text,
    view::{ReadProgress, View},
};

/// Maximum lines of a message.
const MAX_LINES: usize = 3;

/// The row of a message on a screen without figures.
const MESSAGE_ROW: u16 = 2;

/// The keys, the most important ones first.
const KEYS: [(&str, &str); 7] = [
    ("q", "quit"),
    ("?", "help"),
    ("Tab", "list"),
    ("Enter", "filter"),
    ("s", "sort"),
    ("1-5", "range"),
    ("Space", "pause"),
];

/// The lines of the message to show: an error, the state of the exporter, or about the last key. None without a message.
pub(super) fn messages(view: &View, now: Instant, width: u16) -> Vec<String> {
    let health = view.figures.as_ref().and_then(|figures| figures.health.as_deref());
    let message = if let Some(error) = &view.error {
        match view.received {
            Some(received) => {
                let age = text::span(now.saturating_duration_since(received).as_secs_f64());
                format!("OLD FIGURES, {age}: {error}. Retrying.")
            }
            None => format!("{error}. Retrying."),
        }
    } else if let Some(ReadProgress::Failed(error)) = &view.progress {
        error.clone()
    } else if let Some(notice) = view.notice {
        notice.into()
    } else if let Some(health) = health {
        format!("The exporter is not healthy: {health}")
    } else if view.figures.is_none() {
        "Waiting for the first figures ...".into()
    } else {
        return Vec::new();
    };
    text::wrapped(&text::safe_message(&message), width.into(), MAX_LINES)
}

/// Draws the message, or the keys.
pub(super) fn draw(view: &View, messages: &[String], area: Rect, canvas: &mut Canvas<'_>) {
    let is_error = view.error.is_some() || matches!(view.progress, Some(ReadProgress::Failed(_)));
    let style = if is_error { BAD } else { NOTE };
    // Without figures, the rest of the screen is empty.
    let first = if view.figures.is_some() { area.y } else { MESSAGE_ROW };
    for (y, line) in (first..area.bottom()).zip(messages) {
        canvas.put((area.x, y), area.right(), line, style);
    }
    if first != area.y || messages.is_empty() {
        let mut x = area.x;
        let window = view.figures.as_ref().map(|figures| &figures.window);
        let has_ranges = window.is_none_or(|window| !window.capture);
        for (key, what) in KEYS.into_iter().filter(|(_, what)| has_ranges || *what != "range") {
            let width = u16::try_from(key.len() + what.len() + 1).unwrap_or(0);
            if x + width > area.right() {
                break;
            }
            x = canvas.put((x, area.y), area.right(), key, super::BOLD);
            x = canvas.put((x, area.y), area.right(), &format!(" {what}"), DIM) + 2;
        }
        let sort = format!("sorted by {}", view.selection.sort.name());
        let start = area.right().saturating_sub(u16::try_from(sort.len()).unwrap_or(0));
        if start > x {
            canvas.put((start, area.y), area.right(), &sort, DIM);
        }
    }
}
