//! The page that explains the keys and the columns.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{BOLD, DIM};
use crate::top::{keys::HELP, text};

/// What the columns mean, for a screen with enough rows.
const COLUMNS: [&str; 5] = [
    "packets   in the range of time, and matching the filter",
    "per s     rate of the last half minute, or of the whole range",
    "change    packets against the previous range of the same length",
    "sources   estimated different addresses of the last 10 minutes",
    "lost      packets that the kernel logged and the exporter did not receive",
];

/// Draws the page.
pub(super) fn draw(area: Rect, buffer: &mut Buffer) {
    let keys = if area.width >= 70 { 16 } else { 15 };
    let mut lines: Vec<(String, String, Style)> = HELP
        .iter()
        .map(|(key, what)| (text::left(key, keys), (*what).to_owned(), Style::new()))
        .collect();
    lines.push((String::new(), String::new(), DIM));
    lines.extend(COLUMNS.iter().map(|line| (String::new(), (*line).to_owned(), DIM)));
    let title = "Keys of nflog_exporter top. Any key returns.";
    let head = std::iter::once((String::new(), title.to_owned(), BOLD));
    for (y, (key, what, style)) in (area.y..area.bottom()).zip(head.chain(lines)) {
        let (x, _) = buffer.set_stringn(area.x, y, &key, area.width.into(), BOLD);
        let room = usize::from(area.right() - x);
        buffer.set_stringn(x, y, text::left(&what, room), room, style);
    }
}
