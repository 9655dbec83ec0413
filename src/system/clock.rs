//! The wall clock as numbers since 1970-01-01 UTC, and a clock that does not follow its steps.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970 by this host's clock; 0 for a clock set before 1970.
#[must_use]
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Microseconds since 1970 by this host's clock; 0 for a clock set before 1970.
#[must_use]
pub fn unix_micros() -> u64 {
    micros_since_1970(SystemTime::now())
}

/// Microseconds since 1970, as the wall clock at the first call plus the time since then. Ages measured with
/// this clock stay correct when the wall clock is set.
#[must_use]
pub fn steady_micros() -> u64 {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (start, wall) = START.get_or_init(|| (Instant::now(), unix_micros()));
    wall.saturating_add(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Microseconds from 1970 to this time; 0 for a time before 1970, and the maximum for a time that does not fit.
#[must_use]
pub fn micros_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The time this long after 1970-01-01 UTC; 1970-01-01 for a time that does not fit.
#[must_use]
pub fn time_since_1970(since: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_since_1970() {
        let after = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(micros_since_1970(after), 1_500_000);
        assert_eq!(time_since_1970(Duration::from_millis(1_500)), after);
        assert_eq!(time_since_1970(Duration::MAX), UNIX_EPOCH);
        assert_eq!(micros_since_1970(UNIX_EPOCH - Duration::from_secs(1)), 0);
        let (before, seconds, after) = (unix_micros(), unix_seconds(), unix_micros());
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
        let range = before as f64 / 1e6 - 1e-3..=after as f64 / 1e6 + 1e-3;
        assert!(range.contains(&seconds), "{seconds} not in {range:?}");
    }
}
