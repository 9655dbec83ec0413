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

/// Logs a temporary condition: a warning when it begins and once a minute while it lasts, and a message when it ends.
#[derive(Debug)]
pub struct ConditionLog {
    topic: &'static str,
    is_logged: bool,
    throttle: LogThrottle,
}

impl ConditionLog {
    /// Creates the log of a condition. Each warning begins with `topic`.
    #[must_use]
    pub fn new(topic: &'static str) -> Self {
        Self { topic, is_logged: false, throttle: LogThrottle::default() }
    }

    /// Reports that the condition holds.
    pub fn report(&mut self, problem: &str) {
        if self.throttle.allows() || !self.is_logged {
            tracing::warn!("{}: {problem}", self.topic);
            self.is_logged = true;
        }
    }

    /// Reports that the condition does not hold. Logs `message` if a warning was logged before.
    pub fn resolve(&mut self, message: &str) {
        if std::mem::take(&mut self.is_logged) {
            tracing::info!("{message}");
        }
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
}
