//! One frame of the view as plain text.

use std::time::Instant;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    draw::{Look, draw},
    view::View,
};

/// The lines of a screen of this size, without spaces at their ends.
#[must_use]
pub fn frame(view: &mut View, (width, height): (u16, u16), has_unicode: bool) -> String {
    let area = Rect { x: 0, y: 0, width, height };
    let mut buffer = Buffer::empty(area);
    let look = Look { has_colour: false, has_unicode };
    draw(view, look, Instant::now(), area, &mut buffer);
    lines(&buffer)
}

/// The text of a buffer.
pub(super) fn lines(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.rows() {
        let mut line = String::new();
        let mut covered = 0;
        for position in y.positions() {
            let Some(cell) = buffer.cell(position) else { continue };
            // A wide character covers the next cell.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            line.push_str(cell.symbol());
            covered = super::text::columns(cell.symbol()).saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
