//! Makes text from rules, packets, files and databases safe to show.

use std::borrow::Cow;

use compact_str::CompactString;

/// Characters without a visible form: format characters, line separators and characters that Unicode calls "default
/// ignorable" (`DerivedCoreProperties.txt`). Some of them change the order in which the text around them is shown.
const HIDDEN: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is a control character, or has no visible form and can hide or reorder text.
#[must_use]
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || !character.is_ascii()
            && HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// The text as one trimmed line of at most `max` bytes. Characters that are not safe to show become U+FFFD.
#[must_use]
pub(crate) fn one_line(text: &str, max: usize) -> CompactString {
    let mut line = CompactString::default();
    for character in text.trim().chars() {
        let shown = if is_unsafe(character) { char::REPLACEMENT_CHARACTER } else { character };
        if line.len() + shown.len_utf8() > max {
            break;
        }
        line.push(shown);
    }
    line.truncate(line.trim_end().len());
    line
}

/// The text with a space for each character that is not safe to show, so that it is one line.
#[must_use]
pub(crate) fn with_spaces(text: &str) -> Cow<'_, str> {
    if text.contains(is_unsafe) { text.replace(is_unsafe, " ").into() } else { text.into() }
}

/// Some lines, with U+FFFD for each character that is not safe to show.
#[must_use]
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    let is_replaced = |character| is_unsafe(character) && !matches!(character, '\n' | '\t');
    if text.contains(is_replaced) {
        text.replace(is_replaced, "\u{fffd}").into()
    } else {
        text.into()
    }
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

    /// "Trojan Source" (CVE-2021-42574): text is shown in another order than it has.
    #[test]
    fn characters_that_reorder_or_hide_text_are_replaced() {
        let bidirectional = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let marks =
            ['\u{200e}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{e0041}'];
        for hidden in bidirectional.chain(marks) {
            check(&format!("DROP{hidden}TPECCA"), "DROP\u{fffd}TPECCA");
            assert_eq!(with_spaces(&format!("a{hidden}b\nc")), "a b c");
            assert_eq!(lines(&format!("a{hidden}b\n\tc\u{9b}")), "a\u{fffd}b\n\tc\u{fffd}");
        }
        for text in ["São Paulo", "العربية", "עברית", "ไทย", "東京 – №1 ✓"]
        {
            check(text, text);
            assert_eq!((&*with_spaces(text), &*lines(text)), (text, text));
        }
    }

    #[test]
    fn the_ranges_are_sorted_and_disjoint() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
