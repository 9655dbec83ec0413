//! Numbers and times as people read them, in the same form as on the built-in page.

/// A count with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count that may be a lower bound.
pub(super) fn at_least(number: u64, is_lower_bound: bool) -> String {
    format!("{}{}", if is_lower_bound { "≥" } else { "" }, count(number))
}

/// A part of all in percent; never "0.0" for a part above zero.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub(crate) fn share(part: u64, all: u64) -> String {
    let percent = if all > 0 { 100.0 * part as f64 / all as f64 } else { 0.0 };
    if percent > 0.0 && percent < 0.1 { "<0.1 %".into() } else { format!("{percent:.1} %") }
}

/// A number of bytes with a binary unit.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub(crate) fn bytes(number: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (number as f64, 0);
    while value >= 1024.0 {
        value /= 1024.0;
        unit += 1;
    }
    if unit > 0 && value < 100.0 {
        format!("{value:.1} {}", units[unit])
    } else {
        format!("{value:.0} {}", units[unit])
    }
}

/// RFC 3339 to the minute, such as `2026-11-28 08:00`.
pub(super) fn minute(rfc3339: &str) -> String {
    rfc3339.get(..16).unwrap_or(rfc3339).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((at_least(7, true), at_least(7, false)), ("≥7".into(), "7".into()));
        for (part, text) in [(0, "0.0 %"), (1, "<0.1 %"), (5_000, "50.0 %"), (10_000, "100.0 %")] {
            assert_eq!(share(part, 10_000), text);
        }
        assert_eq!(share(0, 0), "0.0 %");
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (150 << 20, "150 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(minute("2026-11-28T08:00:59Z"), "2026-11-28 08:00");
    }
}
