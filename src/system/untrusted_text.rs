//! Makes text from rules, packets and databases safe to show.

use compact_str::CompactString;

/// The text as one trimmed line of at most `max` bytes. Control characters become U+FFFD.
#[must_use]
pub(crate) fn one_line(text: &str, max: usize) -> CompactString {
    let mut line = CompactString::default();
    for character in text.trim().chars() {
        let shown = if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
        if line.len() + shown.len_utf8() > max {
            break;
        }
        line.push(shown);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(one_line(text, 128), expect, "{text:?}");
    }

    #[test]
    fn untrusted_text_becomes_one_short_line() {
        check("Linköping", "Linköping");
        check("  London\r\n", "London");
        check("", "");
        check("a\nb\0c\u{1b}[2J", "a\u{fffd}b\u{fffd}c\u{fffd}[2J");
        check("<script>alert('1')</script>", "<script>alert('1')</script>");
        check(&"x".repeat(500), &"x".repeat(128));
        // 43 of three bytes would be one byte too many.
        check(&"東".repeat(50), &"東".repeat(42));
        check(&format!("{} y", "x".repeat(127)), &"x".repeat(127));
        check(&"\u{1}".repeat(1_000), &"\u{fffd}".repeat(42));
    }
}
