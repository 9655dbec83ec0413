//! Times of the clock on the wall at the start of a line.

use super::sender::word;
use crate::source::log::{
    kernel_time::{fraction, number},
    line_time::{LineTime, LocalTime, Zone},
};

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Splits a time from the text after it and the blank between them.
pub(super) fn wall_time(text: &[u8]) -> Option<(LineTime, &[u8])> {
    match text.first()? {
        b'0'..=b'9' => iso(text).or_else(|| unix(text)),
        b'A'..=b'Z' => month_first(text).or_else(|| weekday_first(text)),
        // dmesg --ctime
        b'[' => {
            let end = text.iter().take(40).position(|byte| *byte == b']')?;
            let (time, rest) = weekday_first(&text[1..end])?;
            rest.is_empty().then_some((time, after_blank(&text[end + 1..])?))
        }
        _ => None,
    }
}

/// `2026-12-03T10:11:12.345678+02:00`, also with a blank instead of the `T`, a comma before the fraction, and without
/// a zone: RFC 3339, ISO 8601.
pub(super) fn iso(text: &[u8]) -> Option<(LineTime, &[u8])> {
    let (time, text) = iso_local(text)?;
    let (offset, rest) = match text {
        [b'Z', rest @ ..] => (Some(0), rest),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (seconds, rest) = offset(rest)?;
            (Some(if *sign == b'-' { -seconds } else { seconds }), rest)
        }
        rest => (None, rest),
    };
    let time = LineTime::Local(time);
    let time = match offset {
        Some(offset) => LineTime::Absolute(time.resolve(0, &Zone::fixed(offset)?)?),
        None => time,
    };
    Some((time, after_blank(rest)?))
}

fn iso_local(text: &[u8]) -> Option<(LocalTime, &[u8])> {
    let (year, text) = digits(text, 4)?;
    let (month, text) = digits(text.strip_prefix(b"-")?, 2)?;
    let (day, text) = digits(text.strip_prefix(b"-")?, 2)?;
    let [b'T' | b't' | b' ', text @ ..] = text else { return None };
    let (time, text) = clock(text)?;
    Some((
        LocalTime {
            year: Some(i16::try_from(year).ok()?),
            month: small(month)?,
            day: small(day)?,
            ..time
        },
        text,
    ))
}

/// Seconds since 1970, as `journalctl --output short-unix` writes them.
fn unix(text: &[u8]) -> Option<(LineTime, &[u8])> {
    let (seconds, text) = number(text)?;
    let (micros, text) = fraction(text.strip_prefix(b".")?)?;
    let time = seconds.checked_mul(1_000_000)?.checked_add(u64::from(micros))?;
    (seconds > 99_999_999).then_some((LineTime::Absolute(time), after_blank(text)?))
}

/// `Dec  3 10:11:12`, also with a fraction, and with a year before or after the clock.
fn month_first(text: &[u8]) -> Option<(LineTime, &[u8])> {
    let (name, text) = text.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let text = text.strip_prefix(b" ")?;
    let (day, text) = number(text.strip_prefix(b" ").unwrap_or(text))?;
    let (before, text) = year(text.strip_prefix(b" ")?);
    let (time, text) = clock(text)?;
    let text = text.strip_prefix(b":").unwrap_or(text);
    let text = after_blank(text)?;
    let (year, text) = if before.is_some() { (before, text) } else { year(text) };
    let time = LocalTime { year, month: small(month as u64 + 1)?, day: small(day)?, ..time };
    Some((LineTime::Local(time), text))
}

/// `Thu Dec  3 10:11:12 2026`, as ctime(3) writes it, or `Thu 2026-12-03 10:11:12 CET`, as systemd does.
fn weekday_first(text: &[u8]) -> Option<(LineTime, &[u8])> {
    let (name, text) = text.split_first_chunk::<3>()?;
    WEEKDAYS.iter().find(|weekday| *weekday == &name)?;
    let text = text.strip_prefix(b" ")?;
    if let Some(found) = month_first(text) {
        return Some(found);
    }
    let (time, text) = iso_local(text)?;
    let (zone, rest) = word(text.strip_prefix(b" ")?);
    let time = LineTime::Local(time);
    // Another abbreviation is that of the host's zone: it does not identify an offset.
    let is_utc = matches!(zone, b"UTC" | b"GMT");
    let time = if is_utc { LineTime::Absolute(time.resolve(0, &Zone::utc())?) } else { time };
    Some((time, rest))
}

/// A year and a blank at the start of a text.
fn year(text: &[u8]) -> (Option<i16>, &[u8]) {
    let year = || {
        let (year, rest) = digits(text, 4)?;
        Some((i16::try_from(year).ok()?, after_blank(rest)?))
    };
    year().map_or((None, text), |(year, rest)| (Some(year), rest))
}

/// `10:11:12`, and its fraction.
fn clock(text: &[u8]) -> Option<(LocalTime, &[u8])> {
    let (hour, text) = number(text)?;
    let (minute, text) = digits(text.strip_prefix(b":")?, 2)?;
    let (second, text) = digits(text.strip_prefix(b":")?, 2)?;
    let (micros, text) = match text {
        [b'.' | b',', rest @ ..] => fraction(rest)?,
        text => (0, text),
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let time = LocalTime {
        year: None,
        month: 0,
        day: 0,
        hour: small(hour)?,
        minute: small(minute)?,
        second: small(second)?,
        micros,
    };
    Some((time, text))
}

/// `02:00`, `0200` or `02` in seconds.
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let (hours, text) = digits(text, 2)?;
    let text = text.strip_prefix(b":").unwrap_or(text);
    let (minutes, text) = digits(text, 2).unwrap_or((0, text));
    Some((i32::try_from(hours * 3600 + minutes * 60).ok()?, text))
}

/// A number of exactly so many digits at the start of a text.
fn digits(text: &[u8], count: usize) -> Option<(u64, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    match number(digits)? {
        (number, []) => Some((number, rest)),
        _ => None,
    }
}

fn small(number: u64) -> Option<u8> {
    u8::try_from(number).ok()
}

/// The text after a blank, which may be missing at the end of the line.
fn after_blank(text: &[u8]) -> Option<&[u8]> {
    if text.is_empty() { Some(text) } else { text.strip_prefix(b" ") }
}
