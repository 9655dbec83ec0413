//! Numbers, times and names as the view shows them, in a number of columns.

use unicode_width::UnicodeWidthChar as _;

use super::{
    figures::{ListEntry, ListKind},
    rates::{Trend, count, rounded},
};
use crate::{report::numbers, system::untrusted_text::one_line};

/// Maximum length of a name, bytes.
const MAX_NAME: usize = 200;

/// Maximum length of a message, bytes.
const MAX_MESSAGE: usize = 1000;

/// Ratio from which a growth is shown as a multiple.
const MANY_TIMES: f64 = 10.0;

/// A count with commas, from a million on with three digits and a unit.
#[must_use]
pub fn packets(number: u64) -> String {
    if number < 1_000_000 { numbers::count(number) } else { compact(number) }
}

/// A count in at most five columns.
#[must_use]
pub fn short(number: u64) -> String {
    if number < 10_000 { number.to_string() } else { compact(number) }
}

/// Three digits and a unit.
fn compact(number: u64) -> String {
    let (mut value, mut unit) = (count(number), 0);
    let units = ["", "K", "M", "G", "T", "P", "E"];
    while value >= 999.5 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$}{}", units[unit])
}

/// A rate with three digits; never "0" above zero.
#[must_use]
pub fn rate(value: f64) -> String {
    match value {
        value if value.is_nan() || value <= 0.0 => "0".into(),
        value if value < 0.1 => "<0.1".into(),
        value if value < 99.95 => format!("{value:.1}"),
        value if value < 9_999.5 => numbers::count(rounded(value)),
        value => compact(rounded(value)),
    }
}

/// A comparison in at most six columns; empty if it is not known.
#[must_use]
pub fn trend(trend: Trend) -> String {
    let ratio = match trend {
        Trend::Unknown => return String::new(),
        Trend::New => return "new".into(),
        Trend::Times(ratio) => ratio,
    };
    let percent = rounded((ratio - 1.0).abs() * 100.0);
    if percent < 1 {
        return "=".into();
    }
    match ratio {
        ratio if ratio >= MANY_TIMES => format!("▲{}×", short(rounded(ratio))),
        ratio if ratio > 1.0 => format!("▲{percent}%"),
        _ => format!("▼{percent}%"),
    }
}

/// A length of time.
#[must_use]
pub fn span(seconds: f64) -> String {
    let (value, unit) = match seconds {
        seconds if seconds < 90.0 => (seconds, "s"),
        seconds if seconds < 5400.0 => (seconds / 60.0, "min"),
        seconds if seconds < 129_600.0 => (seconds / 3600.0, "h"),
        seconds => (seconds / 86_400.0, "d"),
    };
    format!("{} {unit}", rounded(value.max(0.0)))
}

/// The name of a value, on one line and without characters that disturb a terminal.
#[must_use]
pub fn name(kind: ListKind, entry: &ListEntry) -> String {
    let (value, note) = (safe(&entry.value), safe(&entry.name));
    match kind {
        _ if entry.is_folded() => "other".into(),
        ListKind::Countries if value.len() == 2 => format!("{value} {note}"),
        ListKind::Countries if !note.is_empty() => note,
        ListKind::Prefixes if value.is_empty() => "(no prefix)".into(),
        ListKind::Ports if value == "none" => "(no port)".into(),
        _ if note.is_empty() => value,
        _ => format!("{value} {note}"),
    }
}

/// Text from elsewhere as one short line without control characters and characters that reorder text.
#[must_use]
pub fn safe(text: &str) -> String {
    one_line(text, MAX_NAME).into()
}

/// As [`safe`], for a message, which is longer.
#[must_use]
pub fn safe_message(text: &str) -> String {
    one_line(text, MAX_MESSAGE).into()
}

/// The text in exactly `width` columns, cut with an ellipsis or filled with spaces on the right.
#[must_use]
pub fn left(text: &str, width: usize) -> String {
    let (mut cut, columns) = shortened(text, width);
    cut.extend(std::iter::repeat_n(' ', width - columns));
    cut
}

/// As [`left`], filled on the left.
#[must_use]
pub fn right(text: &str, width: usize) -> String {
    let (cut, columns) = shortened(text, width);
    let mut filled = " ".repeat(width - columns);
    filled.push_str(&cut);
    filled
}

/// Columns of a text on a terminal.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// Lines of at most `width` columns, broken at spaces; at most `most` of them.
#[must_use]
pub fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if columns(last) + 1 + columns(word) <= width || lines.len() == most {
            if let Some(last) = lines.last_mut() {
                last.push(' ');
                last.push_str(word);
            }
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| shortened(line, width).0).collect()
}

/// The text cut to a number of columns, and its columns.
fn shortened(text: &str, width: usize) -> (String, usize) {
    let all = columns(text);
    if all <= width {
        return (text.to_owned(), all);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for character in text.chars() {
        let next = used + character.width().unwrap_or(0);
        // One column is for the ellipsis.
        if next + 1 > width {
            break;
        }
        cut.push(character);
        used = next;
    }
    if width > 0 {
        cut.push('…');
        used += 1;
    }
    (cut, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits() {
        for (number, long, few) in [
            (0, "0", "0"),
            (9_999, "9,999", "9999"),
            (12_345, "12,345", "12.3K"),
            (999_499, "999,499", "999K"),
            (1_234_567, "1.23M", "1.23M"),
            (999_999_999, "1.00G", "1.00G"),
            (u64::MAX, "18.4E", "18.4E"),
        ] {
            assert_eq!((packets(number), short(number)), (long.into(), few.into()));
        }
        for (value, text) in [
            (0.0, "0"),
            (f64::NAN, "0"),
            (0.01, "<0.1"),
            (1.25, "1.2"),
            (99.96, "100"),
            (1234.4, "1,234"),
            (12_345.0, "12.3K"),
            (1e300, "18.4E"),
        ] {
            assert_eq!(rate(value), text);
        }
        for (seconds, text) in
            [(9.6, "10 s"), (600.0, "10 min"), (86_400.0, "24 h"), (2.6e6, "30 d")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn trends_have_at_most_six_columns() {
        for (ratio, text) in [
            (1.004, "="),
            (1.5, "▲50%"),
            (0.25, "▼75%"),
            (9.99, "▲899%"),
            (10.0, "▲10×"),
            (98_765.0, "▲98.8K×"),
        ] {
            assert_eq!(trend(Trend::Times(ratio)), text);
        }
        assert_eq!((trend(Trend::Unknown), trend(Trend::New)), (String::new(), "new".into()));
        assert!(columns(&trend(Trend::Times(f64::INFINITY))) <= 7);
    }

    #[test]
    fn names_are_safe_and_say_what_is_missing() {
        let check = |kind, value: &str, note: &str, expect: &str| {
            let entry =
                ListEntry { value: value.into(), name: note.into(), ..ListEntry::default() };
            assert_eq!(name(kind, &entry), expect);
        };
        check(ListKind::Countries, "DE", "Germany", "DE Germany");
        check(ListKind::Countries, "private", "Private addresses", "Private addresses");
        check(ListKind::Prefixes, "", "", "(no prefix)");
        check(ListKind::Ports, "none", "", "(no port)");
        check(ListKind::Ports, "22", "ssh", "22 ssh");
        check(ListKind::Ports, "other", "x", "other");
        check(ListKind::Prefixes, "a\x1b[2J\u{202e}b", "", "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn cells_have_exact_widths() {
        assert_eq!((left("ab", 4), right("ab", 4)), ("ab  ".into(), "  ab".into()));
        assert_eq!((left("abcdef", 4), right("abcdef", 1)), ("abc…".into(), "…".into()));
        // Each has two columns.
        assert_eq!(left("東京東京", 6), "東京… ");
        assert_eq!(left("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!((left("abc", 0), columns("東a")), (String::new(), 3));
    }

    #[test]
    fn long_texts_are_wrapped_and_cut() {
        assert_eq!(wrapped("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrapped("one two three four", 7, 2), ["one two", "three …"]);
        assert_eq!(wrapped("abcdefgh", 4, 2), ["abc…"]);
    }
}
