//! Times of a report: written in UTC, and read from the command line.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    mirror::day::{Day, LATEST},
    system::clock::unix_micros,
};

/// A time in microseconds since 1970 as RFC 3339 with whole seconds, such as `2026-11-28T08:00:00Z`. Later times than
/// the year 9999 are shown as its last second.
pub(super) fn utc(micros: u64) -> String {
    let micros = micros.min(LATEST);
    let day = Day::of_micros(micros);
    let seconds = (micros - day.start_micros()) / 1_000_000;
    format!("{day}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads a time: RFC 3339, a date, which is its start in UTC, or a duration, which is so long ago. Returns microseconds
/// since 1970.
///
/// # Errors
/// The text is none of them, or the time is not from 1970 to 9999.
pub fn parse_moment(text: &str) -> Result<u64, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
        return Ok(unix_micros().saturating_sub(ago));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let micros = time.map(|time| time.unix_timestamp_nanos() / 1000).or_else(|| start_of_day(text));
    let micros = micros.ok_or_else(|| {
        "expected RFC 3339 (2026-11-28T08:00:00Z), a date (2026-11-28, UTC) or a duration (24h, 7days)"
            .to_owned()
    })?;
    u64::try_from(micros)
        .ok()
        .filter(|micros| *micros <= LATEST)
        .ok_or_else(|| "expected a time in the years 1970 to 9999".to_owned())
}

/// The start of a date from 1970 on, `YYYY-MM-DD`, in UTC, microseconds since 1970.
fn start_of_day(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    let is_date = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let day = Day::parse_compact(&text.replace('-', "")).filter(|_| is_date)?;
    (day >= Day::of_micros(0)).then(|| day.start_micros().into())
}

/// A length of time for a heading, such as `hour` or `7 days`.
pub(super) fn unit_name(seconds: u64) -> String {
    match seconds {
        3600 => "hour".into(),
        86_400 => "day".into(),
        604_800 => "week".into(),
        seconds => {
            humantime::format_duration(Duration::from_secs(seconds / 86_400 * 86_400)).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(utc(parse_moment(text).unwrap()), expect, "{text}");
    }

    #[test]
    fn times_are_read_and_written() {
        check("2026-11-28T08:00:00Z", "2026-11-28T08:00:00Z");
        check("2026-11-28T08:00:00.999999+02:00", "2026-11-28T06:00:00Z");
        check("2026-11-28", "2026-11-28T00:00:00Z");
        check("1970-01-01", "1970-01-01T00:00:00Z");
        check("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z");
        assert_eq!(parse_moment("2026-11-28T00:00:00.000001Z").unwrap() % 1_000_000, 1);
        assert_eq!(utc(u64::MAX), "9999-12-31T23:59:59Z");
        let ago = |text| {
            let moment = parse_moment(text).unwrap();
            unix_micros() - moment
        };
        for (text, seconds) in [("24h", 86_400), ("7days", 604_800), ("1d 2h", 93_600)] {
            let passed = ago(text);
            assert!((seconds * 1_000_000..(seconds + 60) * 1_000_000).contains(&passed), "{text}");
        }
        // Longer ago than 1970.
        check("100years", "1970-01-01T00:00:00Z");
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "yesterday",
            "24",
            "2026-02-30",
            "28.11.2026",
            "2026-11-28T08:00:00",
            "1969-12-31",
            "20261128",
        ] {
            assert!(parse_moment(text).unwrap_err().starts_with("expected "), "{text}");
        }
    }
}
