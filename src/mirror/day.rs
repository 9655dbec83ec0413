//! Calendar days in UTC, the unit of partitions.

use std::fmt;

/// Microseconds of a day.
const MICROS: u64 = 86_400_000_000;

/// The last microsecond of the year 9999: databases store no later time, or do not sort it.
pub const LATEST: u64 = 253_402_300_799_999_999;

/// A day of the proleptic Gregorian calendar, in UTC, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day of a time in microseconds since 1970-01-01 UTC.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "2^64 microseconds are 2^28 days")]
    pub fn of_micros(time: u64) -> Self {
        Self((time / MICROS) as i64)
    }

    /// Its first instant, microseconds since 1970-01-01 UTC; 0 for days before that.
    #[must_use]
    pub fn start_micros(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0).saturating_mul(MICROS)
    }

    /// Year, month (1..=12), day of the month (1..=31).
    ///
    /// Years start in March here, so that the leap day is the last day of a year; 400 years have 146,097 days,
    /// 4 years 1,461, and 5 months 153.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "months are 1..=12, days 1..=31"
    )]
    pub fn date(self) -> (i64, u8, u8) {
        let days = self.0 + DAYS_BEFORE_1970;
        let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
        let in_year = in_era - (365 * year + year / 4 - year / 100);
        let month = (5 * in_year + 2) / 153;
        let day = in_year - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        (era * 400 + year + next, month as u8, day as u8)
    }

    /// Adds days; a negative number subtracts.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Parses `YYYYMMDD`; `None` for an invalid day.
    #[must_use]
    pub fn parse_compact(text: &str) -> Option<Self> {
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let year: i64 = text[..4].parse().ok()?;
        let month: i64 = text[4..6].parse().ok()?;
        let day: i64 = text[6..].parse().ok()?;
        if !(1..=12).contains(&month) {
            return None;
        }
        let (march_year, march_month) =
            if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, in_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
        let in_year = (153 * march_month + 2) / 5 + day - 1;
        let days = era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year;
        let found = Self(days - DAYS_BEFORE_1970);
        // An invalid day, such as the 30th of February, converts back to another day.
        (found.compact() == text).then_some(found)
    }

    /// `YYYYMMDD`, as in the name of a partition.
    #[must_use]
    pub fn compact(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}{month:02}{day:02}")
    }
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

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
        assert_eq!(Day(days).compact(), expect);
        assert_eq!(Day::parse_compact(expect), Some(Day(days)));
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
    fn every_day_follows_the_day_before() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(Day(days).date(), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = lengths[usize::from(month) - 1] + u8::from(leap && month == 2);
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
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
    }
}
