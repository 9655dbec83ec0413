//! The signs of life: those of the reader, and those that a service manager waits for.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    source::{ReadOutcome, Record, Source},
    system::{Health, Heartbeat, service_manager::Service},
};

/// A source whose reader gives a sign of life whenever it asks for more.
pub(super) struct HeartbeatSource {
    pub(super) source: Box<dyn Source>,
    pub(super) pulse: Heartbeat,
}

impl Source for HeartbeatSource {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.pulse.beat();
        self.source.fill(patience, take)
    }

    fn close(&mut self) {
        self.source.close();
    }
}

/// Beats as often as the manager wants, and only while all parts do what they should.
pub(super) struct Watchdog<'a> {
    service: &'a Service,
    health: Health,
    beats: Interval,
}

impl<'a> Watchdog<'a> {
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
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A source that never has anything.
    struct Quiet;

    impl Source for Quiet {
        fn fill(
            &mut self,
            _: Duration,
            _: &mut dyn FnMut(&Record<'_>),
        ) -> anyhow::Result<ReadOutcome> {
            Ok(ReadOutcome::Idle)
        }
    }

    #[test]
    fn a_reader_beats_whenever_it_asks_for_more() {
        let health = Health::new();
        let mut source =
            HeartbeatSource { source: Box::new(Quiet), pulse: health.pulse("the reader") };
        let before = source.pulse.latest();
        while source.pulse.latest() == before {
            source.fill(Duration::ZERO, &mut |_| {}).unwrap();
        }
        assert_eq!(health.healthy(), Ok(()));
    }

    #[tokio::test]
    async fn it_beats_through_long_work_and_not_when_broken() {
        let (ours, manager) = UnixDatagram::pair().unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 16];
        let service = Service::watched(ours, Duration::from_millis(2));
        let health = Health::new();
        let mut heart = Watchdog::new(&service, health.clone());
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
