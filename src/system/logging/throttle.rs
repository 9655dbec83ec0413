//! Limits repeated messages of one part: the first is logged at once, then one a minute.

use std::time::{Duration, Instant};

/// Allows one message at once, and then one a minute.
#[derive(Debug, Default)]
pub struct LogThrottle(Option<Instant>);

impl LogThrottle {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// Whether to log the message now.
    pub fn allows(&mut self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&mut self, now: Instant) -> bool {
        let allowed = self.0.is_none_or(|last| now - last >= Self::INTERVAL);
        if allowed {
            self.0 = Some(now);
        }
        allowed
    }
}

/// Logs a temporary condition: a warning when it begins and once a minute while it lasts, and a message when it ends. Of a
/// condition that begins and ends all the time, at most five beginnings a minute.
#[derive(Debug)]
pub struct ConditionLog {
    topic: &'static str,
    is_logged: bool,
    throttle: LogThrottle,
    /// When the current minute of beginnings began, and how many were logged in it.
    begun: (Option<Instant>, u32),
}

impl ConditionLog {
    const MAX_BEGUN: u32 = 5;

    /// Creates the log of a condition. Each warning begins with `topic`.
    #[must_use]
    pub fn new(topic: &'static str) -> Self {
        Self { topic, is_logged: false, throttle: LogThrottle::default(), begun: (None, 0) }
    }

    /// Reports that the condition holds.
    pub fn report(&mut self, problem: &str) {
        if self.warns_at(Instant::now()) {
            tracing::warn!("{}: {problem}", self.topic);
        }
    }

    /// Reports that the condition does not hold. Logs `message` if a warning was logged before.
    pub fn resolve(&mut self, message: &str) {
        if std::mem::take(&mut self.is_logged) {
            tracing::info!("{message}");
        }
    }

    fn warns_at(&mut self, now: Instant) -> bool {
        if self.is_logged {
            return self.throttle.allows_at(now);
        }
        let (minute, count) = &mut self.begun;
        if minute.is_none_or(|minute| now - minute >= LogThrottle::INTERVAL) {
            (*minute, *count) = (Some(now), 0);
        }
        *count = count.saturating_add(1);
        self.is_logged = *count <= Self::MAX_BEGUN;
        if self.is_logged {
            self.throttle = LogThrottle(Some(now));
        }
        self.is_logged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_logged_once_a_minute() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        let mut allowed = |seconds| throttle.allows_at(start + Duration::from_secs(seconds));
        assert!(allowed(0));
        assert!(!allowed(0));
        assert!(!allowed(59));
        assert!(allowed(60));
        assert!(!allowed(119));
        assert!(allowed(120));
    }

    #[test]
    fn a_condition_is_logged_when_it_begins_and_once_a_minute() {
        let (mut log, start) = (ConditionLog::new("test"), Instant::now());
        let seconds = [0, 1, 59, 60, 61, 120];
        let warns = seconds.map(|seconds| log.warns_at(start + Duration::from_secs(seconds)));
        assert_eq!(warns, [true, false, false, true, false, true]);
        log.resolve("over");
        assert!(log.warns_at(start + Duration::from_secs(121)));
    }

    #[test]
    fn a_condition_that_begins_all_the_time_does_not_fill_the_log() {
        let (mut log, start) = (ConditionLog::new("test"), Instant::now());
        let mut warns = |second| {
            let warns = log.warns_at(start + Duration::from_secs(second));
            log.resolve("over");
            warns
        };
        let logged: Vec<_> = (0..180).filter(|second| warns(*second)).collect();
        assert_eq!(logged, [0, 1, 2, 3, 4, 60, 61, 62, 63, 64, 120, 121, 122, 123, 124]);
    }

    /// A beginning that was not logged is, once a minute is over.
    #[test]
    fn a_condition_that_lasts_is_logged() {
        let (mut log, start) = (ConditionLog::new("test"), Instant::now());
        for _ in 0..10 {
            log.warns_at(start);
            log.resolve("over");
        }
        let seconds = [1, 30, 59, 60, 61];
        let warns = seconds.map(|seconds| log.warns_at(start + Duration::from_secs(seconds)));
        assert_eq!(warns, [false, false, false, true, false]);
    }
}
