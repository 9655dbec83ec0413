//! Markdown: `CommonMark` with the tables of GitHub.

use std::fmt::Write as _;

use super::{
    numbers::minute,
    sections::{Section, TITLE, facts, sections, timeline_title},
    sparkline::sparkline,
};
use crate::report::Report;

// Writing to a String never fails, so the results of `write!` are ignored.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("# {TITLE}\n\n");
    for (name, value) in facts(report) {
        let _ = writeln!(text, "- **{name}:** {}", escape(&value));
    }
    let timeline = &report.timeline;
    if !timeline.packets.is_empty() {
        // A no-break space, because a reader trims other spaces of a code span.
        let line =
            sparkline(&timeline.packets, true).map(|it| if it == ' ' { '\u{a0}' } else { it });
        let _ = writeln!(
            text,
            "\n## {}\n\n`{}`\n\n{} to {} UTC",
            timeline_title(report),
            line.collect::<String>(),
            minute(&timeline.start),
            minute(&timeline.end)
        );
    }
    for section in sections(report) {
        push_section(&mut text, &section);
    }
    if !report.notes.is_empty() {
        text.push_str("\n## Notes\n\n");
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {}", escape(note));
    }
    text
}

fn push_section(text: &mut String, section: &Section) {
    let _ = writeln!(text, "\n## {}\n", escape(&section.title));
    let names: Vec<_> = section.columns.iter().map(|column| column.name).collect();
    let rules = section.columns.iter().map(|column| if column.is_number { "--:" } else { "---" });
    let _ = writeln!(text, "| {} |\n|{}|", names.join(" | "), rules.collect::<Vec<_>>().join("|"));
    for row in &section.rows {
        let cells: Vec<_> = row.cells.iter().map(|cell| escape(cell)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    if !section.more.is_empty() {
        let _ = writeln!(text, "\n{}", section.more);
    }
}

/// Text without markup: a backslash before every character that can have a meaning. `CommonMark` allows one before all
/// ASCII punctuation; the others have no meaning inside a line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(
            character,
            '\\' | '`'
                | '*'
                | '_'
                | '['
                | ']'
                | '<'
                | '>'
                | '|'
                | '~'
                | '&'
                | '!'
                | '#'
                | '$'
                | '@'
        ) {
            escaped.push('\\');
        }
        escaped.push(character);
        // `http://` and `www.` become links otherwise.
        if character == ':' || character == '.' {
            let at = escaped.len() - 1;
            let before = escaped[..at].to_ascii_lowercase();
            if ["http", "https", "ftp", "www", "mailto", "xmpp"]
                .iter()
                .any(|it| before.ends_with(it))
            {
                escaped.insert(at, '\\');
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_of_untrusted_text_is_escaped() {
        for (text, expect) in [
            ("drop-in: 203.0.113.0/24, 1 of (2)", "drop-in: 203.0.113.0/24, 1 of (2)"),
            ("a|b`c`", r"a\|b\`c\`"),
            ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
            ("[x](javascript:1) ![y](z)", r"\[x\](javascript:1) \!\[y\](z)"),
            (r"\| **b** _i_ ~s~ &amp;", r"\\\| \*\*b\*\* \_i\_ \~s\~ \&amp;"),
            ("HTTPS://evil.example www.evil.example", r"HTTPS\://evil.example www\.evil.example"),
            ("a@example.com", r"a\@example.com"),
        ] {
            assert_eq!(escape(text), expect);
        }
    }
}
