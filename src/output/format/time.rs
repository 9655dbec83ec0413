//! The times of the formats.

use jiff::{Timestamp, tz::TimeZone};

/// A time in microseconds since 1970; one past the year 9999 is the latest one.
fn timestamp(micros: u64) -> Timestamp {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// RFC 3339 in UTC, with microseconds: `2026-11-29T06:54:32.323870Z`.
pub(super) fn rfc3339(micros: u64) -> String {
    format!("{:.6}", timestamp(micros))
}

/// The time of LOGEMU, as `ctime(3)` has it: `Nov  9 06:54:32`.
pub(super) fn logemu(micros: u64, zone: &TimeZone) -> String {
    let local = zone.to_datetime(timestamp(micros));
    local.strftime("%b %e %H:%M:%S").to_string()
}

/// The key `timestamp` of ulogd's JSON: `2026-11-29T06:54:32.323870`, local time.
pub(super) fn ulogd_json(micros: u64, zone: &TimeZone) -> String {
    let local = zone.to_datetime(timestamp(micros));
    local.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_their_zone() {
        let time = 1_794_207_272_000_870;
        assert_eq!(rfc3339(time), "2026-11-09T06:54:32.000870Z");
        assert_eq!(logemu(time, &TimeZone::UTC), "Nov  9 06:54:32");
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(ulogd_json(time, &zone), "2026-11-09T08:54:32.000870");
        // `TZ` can name a zone of /usr/share/zoneinfo.
        let summer = 1_784_000_000_000_000;
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(logemu(summer, &zone), "Jul 14 05:33:20");
        assert_eq!(rfc3339(u64::MAX).get(..4), Some("9999"));
    }
}
