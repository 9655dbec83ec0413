//! Decides whether the clocks can be trusted to drop rows: a wrong clock must not delete rows of other hosts.

use std::time::{Duration, Instant, SystemTime};

use humantime::format_duration;

/// Maximum difference between two clocks.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// Maximum age of the newest row on a host that runs all the time.
const MAX_GAP: Duration = Duration::from_secs(24 * 3600);

/// How long retention pauses after a clock looked wrong: time for NTP, or for an administrator.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// All clocks, read at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The monotonic clock.
    pub(super) monotonic: Instant,
    /// This host's clock.
    pub(super) local: SystemTime,
    /// The database server's; for a file, this host's.
    pub(super) server: SystemTime,
    /// Time of the newest row that is not later than the server's clock.
    pub(super) newest_row: Option<SystemTime>,
}

/// Compares the clocks at each maintenance.
#[derive(Debug, Default)]
pub(super) struct ClockGuard {
    /// The clocks at the previous check.
    last: Option<Clocks>,
    /// Retention pauses until this moment, for this reason.
    held: Option<(Instant, String)>,
}

impl ClockGuard {
    /// Whether rows may be dropped now.
    ///
    /// # Errors
    /// The reason to drop nothing.
    pub(super) fn check(&mut self, now: Clocks) -> Result<(), String> {
        let skew = difference(now.local, now.server);
        if skew > MAX_SKEW {
            return Err(format!(
                "this host's clock and the database server's differ by {}: no rows are dropped \
                 until they agree; synchronise both with NTP (timedatectl set-ntp true)",
                rounded(skew)
            ));
        }
        if let Some(reason) = self.suspicion(now) {
            self.held = Some((now.monotonic + HOLD, reason));
        }
        self.last = Some(now);
        match &self.held {
            Some((until, reason)) if *until > now.monotonic => Err(format!(
                "{reason}: no rows are dropped for {}, in case the clock is wrong (timedatectl status)",
                rounded(*until - now.monotonic)
            )),
            _ => Ok(()),
        }
    }

    /// The reason to distrust the clock: a step since the previous check, or a very old newest row at the first.
    fn suspicion(&self, now: Clocks) -> Option<String> {
        let Some(last) = self.last else {
            let age = now.server.duration_since(now.newest_row?).unwrap_or_default();
            return (age > MAX_GAP).then(|| format!("the newest row is {} old", rounded(age)));
        };
        let expected = last.server + now.monotonic.saturating_duration_since(last.monotonic);
        let step = difference(now.server, expected);
        (step > MAX_SKEW).then(|| format!("the clock was set by {}", rounded(step)))
    }
}

fn difference(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

/// Rounded to whole seconds, for messages.
fn rounded(time: Duration) -> impl std::fmt::Display {
    format_duration(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    /// Checks whose clocks all agree, at a time after the first check.
    struct Checks {
        guard: ClockGuard,
        start: Instant,
        epoch: SystemTime,
    }

    impl Checks {
        fn new() -> Self {
            let epoch = SystemTime::UNIX_EPOCH + 56 * YEAR;
            Self { guard: ClockGuard::default(), start: Instant::now(), epoch }
        }

        fn check(
            &mut self,
            after: Duration,
            change: impl FnOnce(&mut Clocks),
        ) -> Result<(), String> {
            let time = self.epoch + after;
            let mut clocks = Clocks {
                monotonic: self.start + after,
                local: time,
                server: time,
                newest_row: Some(time - HOUR),
            };
            change(&mut clocks);
            self.guard.check(clocks)
        }
    }

    #[test]
    fn agreeing_clocks_allow_retention() {
        let mut checks = Checks::new();
        for hours in 0..100 {
            assert_eq!(checks.check(HOUR * hours, |_| {}), Ok(()));
        }
        let mut empty = Checks::new();
        assert_eq!(empty.check(HOUR, |clocks| clocks.newest_row = None), Ok(()));
    }

    #[test]
    fn differing_clocks_pause_retention() {
        let mut checks = Checks::new();
        for (hours, local) in [(0, YEAR * 3), (1, YEAR * 3), (2, MAX_SKEW + HOUR)] {
            let held = checks.check(HOUR * hours, |clocks| clocks.local += local);
            assert!(held.unwrap_err().contains("differ by"));
        }
        let held = checks.check(HOUR * 3, |clocks| clocks.local -= YEAR);
        assert!(held.unwrap_err().contains("differ by"));
        assert_eq!(checks.check(HOUR * 4, |clocks| clocks.local += MAX_SKEW), Ok(()));
    }

    #[test]
    fn a_clock_step_pauses_retention_for_a_day() {
        let mut checks = Checks::new();
        assert_eq!(checks.check(Duration::ZERO, |_| {}), Ok(()));
        let ahead = |clocks: &mut Clocks| {
            clocks.local += YEAR;
            clocks.server += YEAR;
        };
        assert!(checks.check(HOUR, ahead).unwrap_err().contains("the clock was set by"));
        assert!(checks.check(HOUR * 24, ahead).is_err());
        assert_eq!(checks.check(HOUR * 26, ahead), Ok(()));
        // A step back is as suspicious.
        assert!(checks.check(HOUR * 27, |_| {}).is_err());
    }

    #[test]
    fn an_old_newest_row_pauses_retention_for_a_day() {
        let mut checks = Checks::new();
        let old = |clocks: &mut Clocks| clocks.newest_row = Some(clocks.server - YEAR * 3);
        assert!(checks.check(Duration::ZERO, old).unwrap_err().contains("the newest row is"));
        // New rows with the wrong time do not end the pause.
        assert!(checks.check(HOUR, |_| {}).is_err());
        assert_eq!(checks.check(HOUR * 25, |_| {}), Ok(()));
    }
}
