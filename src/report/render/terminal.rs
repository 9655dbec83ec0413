//! Plain text of 80 columns, for a terminal or a mail.

use std::iter::repeat_n;

use super::{
    Style,
    numbers::minute,
    sections::{Column, Section, TITLE, TableRow, facts, sections, timeline_title},
    sparkline::sparkline,
};
use crate::report::Report;

/// Columns of a line.
const WIDTH: usize = 80;

/// Spaces between the columns of a table.
const GAP: usize = 2;

/// Minimum length of the longest bar of a table: a longer first column has lines of its own.
const SHORT_BAR: usize = 12;

/// Maximum length of a bar.
const LONG_BAR: usize = 24;

const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

pub(super) fn render(report: &Report, style: Style) -> String {
    let mut writer = Writer { text: String::new(), style };
    writer.line(&[(BOLD, TITLE)]);
    writer.line(&[]);
    for (name, value) in facts(report) {
        writer.line(&[("", &format!("{name:12} {value}"))]);
    }
    writer.timeline(report);
    for section in sections(report) {
        writer.section(&section);
    }
    if !report.notes.is_empty() {
        writer.line(&[]);
        for note in &report.notes {
            writer.paragraph(note);
        }
    }
    writer.text
}

struct Writer {
    text: String,
    style: Style,
}

impl Writer {
    /// A line of parts, each with its colour.
    fn line(&mut self, parts: &[(&str, &str)]) {
        let start = self.text.len();
        for (colour, part) in parts {
            let is_coloured = self.style.colour && !colour.is_empty();
            if is_coloured {
                self.text.push_str(colour);
            }
            self.push(part);
            if is_coloured {
                self.text.push_str(PLAIN);
            }
        }
        let end = self.text[start..].trim_end_matches(' ').len();
        self.text.truncate(start + end);
        self.text.push('\n');
    }

    /// Adds text in the characters that the reader can show.
    fn push(&mut self, part: &str) {
        if self.style.unicode {
            self.text.push_str(part);
        } else {
            self.text.push_str(&ascii(part));
        }
    }

    fn timeline(&mut self, report: &Report) {
        let packets = &report.timeline.packets;
        if packets.is_empty() {
            return;
        }
        self.line(&[]);
        self.line(&[(BOLD, &timeline_title(report))]);
        // Few slots are drawn wider.
        let width = (WIDTH / packets.len()).clamp(1, 3);
        let line = sparkline(packets, self.style.unicode).flat_map(|it| repeat_n(it, width));
        self.line(&[(CYAN, &line.collect::<String>())]);
        let (start, end) = (minute(&report.timeline.start), minute(&report.timeline.end));
        let space = " ".repeat((packets.len() * width).saturating_sub(2 * start.len()).max(4));
        self.line(&[("", &start), ("", &space), ("", &end)]);
    }

    fn section(&mut self, section: &Section) {
        self.line(&[]);
        self.line(&[(BOLD, &section.title)]);
        let layout = Layout::of(section, self.style);
        let names: Vec<_> = section.columns.iter().map(|column| column.name.to_owned()).collect();
        let head = layout.cells(&section.columns, &names);
        self.line(&[("", &head)]);
        let most = section.rows.iter().filter_map(|row| row.packets).max().unwrap_or(0);
        for row in &section.rows {
            if length(&row.cells[0], self.style) > layout.widths[0] {
                // Too long for its column, such as an IPv6 address: lines of its own.
                let cell: Vec<char> = row.cells[0].chars().collect();
                for part in cell.chunks(WIDTH) {
                    self.line(&[("", &part.iter().collect::<String>())]);
                }
                let mut rest = row.cells.clone();
                rest[0].clear();
                self.row(&layout, &section.columns, &TableRow { cells: rest, ..*row }, most);
            } else {
                self.row(&layout, &section.columns, row, most);
            }
        }
        if !section.more.is_empty() {
            self.line(&[("", &section.more)]);
        }
    }

    fn row(&mut self, layout: &Layout, columns: &[Column], row: &TableRow, most: u64) {
        let cells = layout.cells(columns, &row.cells);
        let bar = row.packets.map_or_else(String::new, |packets| {
            let length = u128::from(packets) * layout.bar as u128 / u128::from(most.max(1));
            let block = if self.style.unicode { '█' } else { '#' };
            repeat_n(block, usize::try_from(length).unwrap_or(0)).collect()
        });
        self.line(&[("", &cells), ("", &" ".repeat(GAP)), (CYAN, &bar)]);
    }

    /// A text in lines of at most the width.
    fn paragraph(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&[("", &line)]);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&[("", &line)]);
    }
}

/// The widths of the columns of a table.
struct Layout {
    widths: Vec<usize>,
    /// Length of the longest bar; 0 without bars.
    bar: usize,
    style: Style,
}

impl Layout {
    fn of(section: &Section, style: Style) -> Self {
        let mut widths: Vec<_> = section.columns.iter().map(|column| column.name.len()).collect();
        for row in &section.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = length(cell, style).max(*width);
            }
        }
        let gaps = GAP * (widths.len() - 1);
        let rest: usize = widths[1..].iter().sum();
        let reserved = if section.has_bars() { GAP + SHORT_BAR } else { 0 };
        let room = WIDTH.saturating_sub(rest + gaps + reserved);
        widths[0] = widths[0].min(room.max(section.columns[0].name.len()));
        let free = WIDTH.saturating_sub(widths[0] + rest + gaps + GAP);
        let bar = if section.has_bars() { free.min(LONG_BAR) } else { 0 };
        Self { widths, bar, style }
    }

    fn cells(&self, columns: &[Column], cells: &[String]) -> String {
        let mut line = String::new();
        for ((column, width), cell) in columns.iter().zip(&self.widths).zip(cells) {
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let padding = " ".repeat(width.saturating_sub(length(cell, self.style)));
            if column.is_number {
                line.push_str(&padding);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&padding);
            }
        }
        line
    }
}

/// The number of characters of a text as it is shown.
fn length(text: &str, style: Style) -> usize {
    if style.unicode { text.chars().count() } else { ascii(text).len() }
}

/// The text in ASCII; other characters become `?`.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '≥' => plain.push_str(">="),
            it if it.is_ascii() => plain.push(it),
            _ => plain.push('?'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Format,
        model::{List, NameRow, RowCounts},
    };

    /// A long prefix has lines of its own, and no line is longer than 80 columns.
    #[test]
    fn a_long_text_is_wrapped() {
        let tally = crate::report::Tally::new(0..=1, crate::mirror::anonymize::Anonymizer::None);
        let mut report = tally.report(10, &crate::event::Names::default());
        let row = |name: &str| NameRow {
            name: name.into(),
            counts: RowCounts { packets: 7, bytes: 9, missing: 1 },
        };
        let rows = vec![row(&"é".repeat(127)), row("drop")];
        report.prefixes = List { rows, more: 3, exact: false };
        for unicode in [false, true] {
            let text = report.render(Format::Terminal, Style { colour: false, unicode });
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert_eq!(text.is_ascii(), !unicode);
            let long = if unicode { "é" } else { "?" };
            assert!(
                text.contains(&format!("{}\n{}\n", long.repeat(80), long.repeat(47))),
                "{text}"
            );
            assert!(text.contains(if unicode { "≥7" } else { ">=7" }), "{text}");
            assert!(text.contains("and at least 3 more"), "{text}");
        }
    }
}
