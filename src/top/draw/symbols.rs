//! What a terminal can show: colours, and characters other than ASCII.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier},
};

use crate::top::rates::rounded;

/// Parts of a cell from the left, in eighths.
const LEFT_BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Parts of a cell from the bottom, in eighths.
const LOW_BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Characters and what replaces them in ASCII. All others become a question mark.
const REPLACED: [(&str, &str); 6] =
    [("▲", "+"), ("▼", "-"), ("△", "^"), ("▽", "v"), ("×", "x"), ("…", "~")];

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether it has colours.
    pub has_colour: bool,
    /// Whether it has characters other than ASCII.
    pub has_unicode: bool,
}

impl Look {
    /// A bar of at most `width` cells for a part of the maximum, from 0 to 1. A part above zero is visible.
    pub(super) fn bar(self, part: f64, width: usize) -> String {
        let width_eighths = rounded(8.0 * width_of(width));
        let eighths = rounded(part.clamp(0.0, 1.0) * 8.0 * width_of(width));
        let eighths = eighths.max(u64::from(part > 0.0)).min(width_eighths);
        let (whole, rest) = (eighths / 8, eighths % 8);
        let whole = usize::try_from(whole).unwrap_or(0);
        if !self.has_unicode {
            // At least one cell.
            let cells = whole + usize::from(rest >= 4 || (whole == 0 && rest > 0));
            return "#".repeat(cells);
        }
        let mut bar = "█".repeat(whole);
        if let Some(last) = rest.checked_sub(1).and_then(|at| usize::try_from(at).ok()) {
            bar.push(LEFT_BLOCKS[last]);
        }
        bar
    }

    /// The cell of a column of a chart: `row` counts from the bottom, of `rows`. A value above zero is visible.
    pub(super) fn column(self, part: f64, row: u16, rows: u16) -> char {
        let all = rounded(part.clamp(0.0, 1.0) * 8.0 * f64::from(rows)).max(u64::from(part > 0.0));
        let here = all.saturating_sub(8 * u64::from(row)).min(8);
        let Some(height) = here.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
            return ' ';
        };
        match self.has_unicode {
            true => LOW_BLOCKS[height],
            false if height >= 7 => '#',
            false if height >= 4 => '+',
            false if height >= 2 => '-',
            false => '.',
        }
    }

    /// Removes colours and characters that the terminal cannot show.
    pub(super) fn apply(self, area: Rect, buffer: &mut Buffer) {
        for position in area.positions() {
            let Some(cell) = buffer.cell_mut(position) else { continue };
            if !self.has_colour {
                // Faint text is a colour on many terminals.
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
                cell.modifier.remove(Modifier::DIM);
            }
            if !self.has_unicode && !cell.symbol().is_ascii() {
                let known = REPLACED.iter().find(|(symbol, _)| *symbol == cell.symbol());
                cell.set_symbol(known.map_or("?", |(_, replacement)| replacement));
            }
        }
    }
}

fn width_of(cells: usize) -> f64 {
    u16::try_from(cells).map_or(f64::from(u16::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Look = Look { has_colour: true, has_unicode: true };
    const ASCII: Look = Look { has_colour: false, has_unicode: false };

    #[test]
    fn bars_have_eighths_of_a_cell() {
        for (part, unicode, ascii) in [
            (0.0, "", ""),
            (1e-9, "▏", "#"),
            (0.5, "██", "##"),
            (0.66, "██▋", "###"),
            (1.0, "████", "####"),
            (f64::INFINITY, "████", "####"),
            (f64::NAN, "", ""),
        ] {
            assert_eq!((&*UNICODE.bar(part, 4), &*ASCII.bar(part, 4)), (unicode, ascii), "{part}");
        }
        assert_eq!(UNICODE.bar(1.0, 0), "");
    }

    #[test]
    fn columns_of_a_chart_are_stacked() {
        let column = |look: Look, part| [2, 1, 0].map(|row| look.column(part, row, 3));
        assert_eq!(column(UNICODE, 0.0), [' ', ' ', ' ']);
        assert_eq!(column(UNICODE, 0.001), [' ', ' ', '▁']);
        assert_eq!(column(UNICODE, 0.5), [' ', '▄', '█']);
        assert_eq!(column(UNICODE, 1.0), ['█', '█', '█']);
        assert_eq!(column(ASCII, 0.5), [' ', '-', '#']);
    }
}
