//! Draws the view into a buffer of cells.

mod help;
mod list;
mod overall;
mod status;
mod symbols;

use std::time::Instant;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

pub use self::symbols::Look;
use super::{
    conditions,
    layout::{FrameLayout, MIN_HEIGHT, MIN_WIDTH, NeededRows, max_conditions},
    view::View,
};

/// Draws the view at a time. Returns the number of entries that the focused list shows.
pub fn draw(view: &mut View, look: Look, now: Instant, area: Rect, buffer: &mut Buffer) -> usize {
    let messages = status::messages(view, now, area.width);
    let most = max_conditions(area.height);
    let figures = view.figures.as_ref();
    let unusual = figures.map(|it| conditions::lines(it, area.width.into(), most));
    let unusual = unusual.unwrap_or_default();
    let rows = NeededRows {
        conditions: u16::try_from(unusual.len()).unwrap_or(0),
        status: u16::try_from(messages.len().max(1)).unwrap_or(1),
    };
    let page = if let Some(layout) = FrameLayout::new(area, view.selection.focus, rows) {
        if view.shows_help {
            help::draw(area, buffer);
        } else {
            let mut canvas = Canvas { buffer, look };
            overall::draw(view, &layout, &mut canvas);
            unusual_conditions(view, &unusual, layout.conditions, &mut canvas);
            list::draw_all(view, &layout, &mut canvas);
            status::draw(view, &messages, layout.status, &mut canvas);
        }
        layout.page()
    } else {
        let text = format!(
            "The terminal has {}x{} characters; {MIN_WIDTH}x{MIN_HEIGHT} are needed.",
            area.width, area.height
        );
        for (y, line) in
            (0..area.height).zip(super::text::wrapped(&text, area.width.into(), area.height.into()))
        {
            buffer.set_string(area.x, area.y + y, line, Style::new());
        }
        1
    };
    look.apply(area, buffer);
    page
}

fn unusual_conditions(view: &View, lines: &[String], area: Rect, canvas: &mut Canvas<'_>) {
    let is_critical = view.figures.as_ref().is_some_and(conditions::is_critical);
    let style = if is_critical { BAD } else { NOTE };
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        canvas.put((area.x, y), area.right(), line, style);
    }
}

/// A buffer, and what its terminal can show.
struct Canvas<'a> {
    buffer: &'a mut Buffer,
    look: Look,
}

impl Canvas<'_> {
    /// Writes a text from a position on, at most up to column `end`. Returns the column after it.
    fn put(&mut self, (x, y): (u16, u16), end: u16, text: &str, style: Style) -> u16 {
        if x >= end {
            return x;
        }
        self.buffer.set_stringn(x, y, text, usize::from(end - x), style).0
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
const GRAPH: Style = Style::new().fg(Color::Cyan);
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const NOTE: Style = Style::new().fg(Color::Yellow);

#[cfg(test)]
mod tests;
