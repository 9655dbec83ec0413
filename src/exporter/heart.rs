//! The signs of life that a service manager waits for.

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{http::Health, service::Service};

/// Beats as often as the manager wants, and only while all parts do what they should.
pub(super) struct Heart<'a> {
    service: &'a Service,
    health: Health,
    beats: Interval,
}

impl<'a> Heart<'a> {
    pub(super) fn new(service: &'a Service, health: Health) -> Self {
        let mut beats = interval(service.beat());
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { service, health, beats }
    }

    /// Waits for the next beat, and gives it.
    pub(super) async fn beat(&mut self) {
        self.beats.tick().await;
        if self.health.healthy().is_ok() {
            self.service.alive();
        }
    }

    /// The outcome of `work`, and beats for as long as it takes: a file system that hangs is no
    /// reason to be ended, for what was counted would be lost.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = self.beat() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, time::Duration};

    use super::*;

    #[tokio::test]
    async fn it_beats_through_long_work_and_not_when_broken() {
        let (ours, manager) = UnixDatagram::pair().unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 16];
        let service = Service::watched(ours, Duration::from_millis(2));
        let health = Health::new();
        let mut heart = Heart::new(&service, health.clone());
        let three_signs = async {
            for _ in 0..3 {
                while manager.recv(&mut buffer).is_err() {
                    tokio::task::yield_now().await;
                }
                assert!(buffer.starts_with(b"WATCHDOG=1"));
            }
            "done"
        };
        assert_eq!(heart.during(three_signs).await, "done");

        while manager.recv(&mut buffer).is_ok() {}
        health.fail("gone");
        heart.beat().await;
        heart.beat().await;
        assert!(manager.recv(&mut buffer).is_err());
    }
}
