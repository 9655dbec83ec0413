//! The lines of a `ulogd.conf` with their sections, whether ulogd uses them or not.

use super::grammar::{AROUND_NAMES, BETWEEN_WORDS, pieces, word};

/// Whether a file has a section header.
pub(super) fn has_sections(text: &[u8]) -> bool {
    pieces(text).any(|(_, piece)| piece.trim_ascii_start().starts_with(b"["))
}

/// A line that is no comment, or a section header.
pub(super) struct ConfLine {
    /// Its number, from 1.
    pub(super) line: usize,
    /// Name of the section whose header is before it; `None` before the first one.
    pub(super) section: Option<String>,
    /// The key; `None` for a header.
    pub(super) key: Option<String>,
}

/// The lines of a file, with their sections. Values are left out: they can be passwords.
pub(super) fn conf_lines(text: &[u8]) -> Vec<ConfLine> {
    let mut section = None;
    let mut lines = Vec::new();
    for (line, piece) in pieces(text) {
        let content = piece.trim_ascii();
        if content.is_empty() || piece.starts_with(b"#") {
            continue;
        }
        let name = |ends| {
            let word = word(piece, ends).map_or(content, |(word, _)| word);
            String::from_utf8_lossy(word).into_owned()
        };
        let key = if content.starts_with(b"[") {
            section = Some(name(AROUND_NAMES));
            None
        } else {
            Some(name(BETWEEN_WORDS))
        };
        lines.push(ConfLine { line, section: section.clone(), key });
    }
    lines
}
