//! Times of log lines, which can lack the year, the time zone or the date.

use jiff::{Timestamp, civil, tz::TimeZone};

/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;

/// How many years before the reference a date is looked for: a leap day can be eight years old (1896 to 1904).
const YEARS: i16 = 8;

/// The time that a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineTime {
    /// Microseconds since 1970-01-01 UTC.
    Absolute(u64),
    /// A time of the clock on the wall, in the time zone of the host that wrote the line.
    Local(LocalTime),
    /// Microseconds since the start of the system.
    SinceBoot(u64),
    /// None.
    Unknown,
}

/// A local time. The fields can have any value; an invalid date has no [`LineTime::resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct LocalTime {
    /// `None` in the format of RFC 3164.
    pub year: Option<i16>,
    /// 1 for January.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

/// A time zone with all its changes of the offset.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this host: `TZ`, or else `/etc/localtime`; UTC if neither can be read. Reads files: call it
    /// before privileges are dropped.
    #[must_use]
    pub fn system() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// The zone with this offset from UTC in seconds, east is positive; `None` for an offset of more than a day.
    #[must_use]
    pub fn fixed(seconds: i32) -> Option<Self> {
        let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
        Some(Self(offset.to_time_zone()))
    }

    /// The time in microseconds since 1970-01-01 UTC. A time that an hour repeats is its first one, and a time in
    /// an hour that the clock skips is as long after the gap.
    fn micros(&self, time: LocalTime, year: i16) -> Option<u64> {
        let signed = |number: u8| i8::try_from(number).ok();
        let date = civil::Date::new(year, signed(time.month)?, signed(time.day)?).ok()?;
        // A leap second is the one before it.
        let second = signed(time.second.min(59))?;
        let nanos = i32::try_from(time.micros).ok()?.checked_mul(1000)?;
        let time =
            civil::Time::new(signed(time.hour)?, signed(time.minute)?, second, nanos).ok()?;
        let instant = self.0.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()?;
        u64::try_from(instant.as_microsecond()).ok()
    }

    /// The local year at a time in microseconds since 1970-01-01 UTC.
    fn year(&self, time: u64) -> Option<i16> {
        let instant = Timestamp::from_microsecond(i64::try_from(time).ok()?).ok()?;
        Some(self.0.to_datetime(instant).year())
    }
}

impl LineTime {
    /// The time in microseconds since 1970-01-01 UTC.
    ///
    /// A date without a year is the latest one that is at most a day after `reference`: the time of the previous
    /// line, or of the last change of the file, or now. A line of December that is read in January is of the
    /// previous year.
    ///
    /// `None` for a line without a time, with a time since the start of the system, and for an invalid date.
    #[must_use]
    pub fn resolve(self, reference: u64, zone: &Zone) -> Option<u64> {
        let time = match self {
            Self::Absolute(time) => return Some(time),
            Self::Local(time) => time,
            Self::SinceBoot(_) | Self::Unknown => return None,
        };
        if let Some(year) = time.year {
            return zone.micros(time, year);
        }
        let latest = reference.saturating_add(DAY);
        let next = zone.year(latest)?;
        (next.saturating_sub(YEARS + 1)..=next)
            .rev()
            .find_map(|year| zone.micros(time, year).filter(|time| *time <= latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02 00:00:00 UTC.
    const JANUARY: u64 = 1_767_312_000_000_000;

    fn local(month: u8, day: u8, hour: u8) -> LocalTime {
        LocalTime { year: None, month, day, hour, minute: 0, second: 0, micros: 5 }
    }

    fn shown(time: LocalTime, reference: u64, zone: &Zone) -> String {
        let micros = LineTime::Local(time).resolve(reference, zone).unwrap();
        Timestamp::from_microsecond(micros.try_into().unwrap()).unwrap().to_string()
    }

    #[test]
    fn years_are_those_of_the_latest_date_before_the_reference() {
        let utc = Zone::utc();
        for (time, expect) in [
            (local(12, 31, 23), "2025-12-31T23:00:00.000005Z"),
            (local(1, 1, 0), "2026-01-01T00:00:00.000005Z"),
            (local(1, 2, 23), "2026-01-02T23:00:00.000005Z"),
            // More than a day after the reference.
            (local(1, 3, 1), "2025-01-03T01:00:00.000005Z"),
            (local(2, 29, 1), "2024-02-29T01:00:00.000005Z"),
        ] {
            assert_eq!(shown(time, JANUARY, &utc), expect);
        }
        // The sender's clock is ahead at the turn of the year.
        let eve = JANUARY - 2 * DAY + DAY / 2;
        assert_eq!(shown(local(1, 1, 0), eve, &utc), "2026-01-01T00:00:00.000005Z");
        let invalid = LineTime::Local(local(2, 30, 0));
        assert_eq!(invalid.resolve(JANUARY, &utc), None);
    }

    #[test]
    fn offsets_are_those_of_the_date() {
        let east = Zone::fixed(7200).unwrap();
        assert_eq!(shown(local(1, 1, 0), JANUARY, &east), "2025-12-31T22:00:00.000005Z");
        // A zone with summer time, as TZ writes it.
        let zone = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        for (time, expect) in [
            (local(7, 1, 12), "2025-07-01T10:00:00.000005Z"),
            (local(12, 1, 12), "2025-12-01T11:00:00.000005Z"),
            // Skipped, and repeated.
            (LocalTime { minute: 30, ..local(3, 30, 2) }, "2025-03-30T01:30:00.000005Z"),
            (LocalTime { minute: 30, ..local(10, 26, 2) }, "2025-10-26T00:30:00.000005Z"),
        ] {
            assert_eq!(shown(time, JANUARY, &zone), expect);
        }
    }

    #[test]
    fn times_of_every_field_are_resolved_or_rejected() {
        let utc = Zone::utc();
        let year = |year| LocalTime { year: Some(year), ..local(1, 1, 0) };
        assert_eq!(shown(year(2020), JANUARY, &utc), "2020-01-01T00:00:00.000005Z");
        assert_eq!(LineTime::Local(year(1969)).resolve(JANUARY, &utc), None);
        assert_eq!(LineTime::Absolute(7).resolve(JANUARY, &utc), Some(7));
        assert_eq!(LineTime::SinceBoot(7).resolve(JANUARY, &utc), None);
        assert_eq!(LineTime::Unknown.resolve(JANUARY, &utc), None);
        assert!(LineTime::Local(local(1, 1, 0)).resolve(u64::MAX, &utc).is_none());
        let leap = LocalTime { second: 60, ..local(1, 1, 0) };
        assert_eq!(shown(leap, JANUARY, &utc), "2026-01-01T00:00:59.000005Z");
        assert!(Zone::fixed(i32::MAX).is_none());
    }
}
