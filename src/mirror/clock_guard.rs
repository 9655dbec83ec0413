//! Whether the clocks can be trusted to drop rows by: a wrong one must not delete what others wrote.

use std::time::{Duration, Instant, SystemTime};

use humantime::format_duration;

/// Most that two clocks may differ.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// The newest row is this old at most on a host that was not away.
const MAX_GAP: Duration = Duration::from_secs(24 * 3600);

/// How long nothing is dropped after a clock looked wrong: time for NTP, or for somebody who reads the log.
const HOLD: Duration = Duration::from_secs(24 * 3600);

/// What the clocks showed, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The monotonic clock.
    pub(super) monotonic: Instant,
    /// This host's clock.
    pub(super) local: SystemTime,
    /// The database server's; for a file, this host's.
    pub(super) server: SystemTime,
    /// Time of the newest row that is not ahead of the server's clock.
    pub(super) newest_row: Option<SystemTime>,
}

/// Compares the clocks whenever maintenance is due.
#[derive(Debug, Default)]
pub(super) struct ClockGuard {
    /// The last look.
    last: Option<Clocks>,
    /// Nothing is dropped before this moment, and why.
    held: Option<(Instant, String)>,
}

impl ClockGuard {
    /// Whether rows may be dropped now.
    ///
    /// # Errors
    /// Why not: nothing may be dropped.
    pub(super) fn check(&mut self, now: Clocks) -> Result<(), String> {
        let skew = difference(now.local, now.server);
        if skew > MAX_SKEW {
            return Err(format!(
                "this host's clock and the database server's differ by {}: no rows are dropped \
                 until they agree; set both by NTP (timedatectl set-ntp true)",
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

    /// What looks wrong: a step of the clock, or at the first look a newest row from long ago.
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
    one.duration_since(other).unwrap_or_else(|behind| behind.duration())
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

    /// Looks whose clocks all agree, so long after the first.
    struct Looks {
        guard: ClockGuard,
        start: Instant,
        epoch: SystemTime,
    }

    impl Looks {
        fn new() -> Self {
            let epoch = SystemTime::UNIX_EPOCH + 56 * YEAR;
            Self { guard: ClockGuard::default(), start: Instant::now(), epoch }
        }

        fn look(
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
    fn clocks_that_agree_may_drop() {
        let mut looks = Looks::new();
        for hours in 0..100 {
            assert_eq!(looks.look(HOUR * hours, |_| {}), Ok(()));
        }
        let mut empty = Looks::new();
        assert_eq!(empty.look(HOUR, |clocks| clocks.newest_row = None), Ok(()));
    }

    #[test]
    fn a_host_whose_clock_differs_from_the_servers_drops_nothing_while_it_does() {
        let mut looks = Looks::new();
        for (hours, local) in [(0, YEAR * 3), (1, YEAR * 3), (2, MAX_SKEW + HOUR)] {
            let held = looks.look(HOUR * hours, |clocks| clocks.local += local);
            assert!(held.unwrap_err().contains("differ by"));
        }
        let held = looks.look(HOUR * 3, |clocks| clocks.local -= YEAR);
        assert!(held.unwrap_err().contains("differ by"));
        assert_eq!(looks.look(HOUR * 4, |clocks| clocks.local += MAX_SKEW), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_holds_for_a_day() {
        let mut looks = Looks::new();
        assert_eq!(looks.look(Duration::ZERO, |_| {}), Ok(()));
        let ahead = |clocks: &mut Clocks| {
            clocks.local += YEAR;
            clocks.server += YEAR;
        };
        assert!(looks.look(HOUR, ahead).unwrap_err().contains("the clock was set by"));
        assert!(looks.look(HOUR * 24, ahead).is_err());
        assert_eq!(looks.look(HOUR * 26, ahead), Ok(()));
        // Set back, it is as suspicious.
        assert!(looks.look(HOUR * 27, |_| {}).is_err());
    }

    #[test]
    fn a_newest_row_of_long_ago_holds_for_a_day() {
        let mut looks = Looks::new();
        let old = |clocks: &mut Clocks| clocks.newest_row = Some(clocks.server - YEAR * 3);
        assert!(looks.look(Duration::ZERO, old).unwrap_err().contains("the newest row is"));
        // Rows that come with the wrong time clear nothing.
        assert!(looks.look(HOUR, |_| {}).is_err());
        assert_eq!(looks.look(HOUR * 25, |_| {}), Ok(()));
    }
}
