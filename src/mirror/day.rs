//! Calendar days in UTC, the unit of partitions.

use std::fmt;

use time::{Date, Duration, Month};

/// Microseconds of a day.
const MICROS: u64 = 86_400_000_000;

/// The Julian day number of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// The last microsecond of the year 9999: databases store no later time, or do not sort it.
pub const LATEST: u64 = 253_402_300_799_999_999;

/// A day of the proleptic Gregorian calendar, in UTC; from 1970-01-01 to 9999-12-31 for times of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// The day of a time in microseconds since 1970-01-01 UTC; the last day of 9999 for a later time.
    #[must_use]
    pub fn of_micros(time: u64) -> Self {
        let days = i32::try_from(time / MICROS).unwrap_or(i32::MAX);
        Self(Date::from_julian_day(EPOCH.saturating_add(days)).unwrap_or(Date::MAX))
    }

    /// Its first instant, microseconds since 1970-01-01 UTC; 0 for days before that.
    #[must_use]
    pub fn start_micros(self) -> u64 {
        u64::from(self.number()) * MICROS
    }

    /// Number of days since 1970-01-01; 0 for days before that.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::try_from(self.0.to_julian_day() - EPOCH).unwrap_or(0)
    }

    /// Year, month (1..=12), day of the month (1..=31).
    #[must_use]
    pub fn date(self) -> (i32, u8, u8) {
        let (year, month, day) = self.0.to_calendar_date();
        (year, month.into(), day)
    }

    /// Adds days; a negative number subtracts. Limited to the years -9999 to 9999.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(Duration::days(days)))
    }

    /// Parses `YYYYMMDD`; `None` for an invalid day.
    #[must_use]
    pub fn parse_compact(text: &str) -> Option<Self> {
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let month = Month::try_from(text[4..6].parse::<u8>().ok()?).ok()?;
        let (year, day) = (text[..4].parse().ok()?, text[6..].parse().ok()?);
        Date::from_calendar_date(year, month, day).ok().map(Self)
    }

    /// `YYYYMMDD`, as in the name of a partition.
    #[must_use]
    pub fn compact(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}{month:02}{day:02}")
    }
}

/// `YYYY-MM-DD`.
impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days: i64, expect: &str) {
        let day = Day::of_micros(0).plus(days);
        assert_eq!(day.compact(), expect);
        assert_eq!(i64::from(day.number()), days.max(0));
        assert_eq!(Day::parse_compact(expect), Some(day));
    }

    #[test]
    fn known_days() {
        check(0, "19700101");
        check(-1, "19691231");
        check(59, "19700301");
        check(11_016, "20000229");
        check(20_780, "20261123");
        check(47_540, "21000228");
        check(47_541, "21000301");
        check(2_932_896, "99991231");
    }

    #[test]
    fn invalid_days() {
        for text in ["", "2026112", "202611231", "20260230", "20261301", "20260100", "2026112x"] {
            assert_eq!(Day::parse_compact(text), None, "{text}");
        }
    }

    #[test]
    fn microseconds() {
        let day = Day::of_micros(1_795_435_200_000_123);
        assert_eq!(day.to_string(), "2026-11-23");
        assert_eq!(day.start_micros() % MICROS, 0);
        assert_eq!(Day::of_micros(day.start_micros()), day);
        assert_eq!(Day::of_micros(day.start_micros() - 1), day.plus(-1));
        let last = Day::of_micros(LATEST);
        assert_eq!(last.to_string(), "9999-12-31");
        assert_eq!((Day::of_micros(u64::MAX), last.plus(1)), (last, last));
        assert_eq!(LATEST - last.start_micros(), MICROS - 1);
        assert_eq!(Day::of_micros(0).plus(-1).start_micros(), 0);
    }
}
