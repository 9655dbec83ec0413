//! Times as text, `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, which sorts as the times do up to [`LATEST`](super::day::LATEST).

use std::fmt::Write as _;

use super::day::Day;

/// Replaces `text` by the text of a time, microseconds since 1970-01-01 UTC.
pub(super) fn write_time(text: &mut String, time: u64) {
    let day = Day::of_micros(time);
    let micros = time - day.start_micros();
    let seconds = micros / 1_000_000;
    text.clear();
    // Writing to a String never fails.
    let _ = write!(
        text,
        "{day} {:02}:{:02}:{:02}.{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        micros % 1_000_000
    );
}

/// The text of a time, microseconds since 1970-01-01 UTC.
#[must_use]
pub fn time_text(time: u64) -> String {
    let mut text = String::with_capacity(26);
    write_time(&mut text, time);
    text
}

/// The time of a text, microseconds since 1970-01-01 UTC; `None` for any other form.
#[must_use]
pub fn parse_time(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once(' ')?;
    let day = Day::parse_compact(&date.replace('-', ""))?;
    let (clock, micros) = clock.split_once('.')?;
    // Few digits, so that the sum does not overflow.
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.len() <= 6);
    let [hours, minutes, seconds] = *clock.split(':').collect::<Vec<_>>() else { return None };
    let seconds = number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?;
    let time = day.start_micros() + seconds * 1_000_000 + number(micros)?;
    (time_text(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::day::LATEST;

    #[test]
    fn times() {
        for (time, expect) in [
            (0, "1970-01-01 00:00:00.000000"),
            (1_795_435_199_999_999, "2026-11-23 11:59:59.999999"),
            (1_795_435_200_000_001, "2026-11-23 12:00:00.000001"),
            (LATEST, "9999-12-31 23:59:59.999999"),
        ] {
            assert_eq!(time_text(time), expect);
            assert_eq!(parse_time(expect), Some(time));
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T11:59:59.999999",
            "2026-11-23 24:00:00.000000",
            "2026-11-23 11:59:59.9999999",
            "2026-11-23 11:59:59.9",
            "2026-1123 11:59:59.999999",
            "2026-11-23 +1:59:59.999999",
            "2026-11-23 99999999999999999999:0:0.0",
            "2026-11-23 18446744073709551615:0:0.0",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
