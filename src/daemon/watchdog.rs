//! The heartbeat of the reader, and the watchdog messages to the service manager.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::{
    source::{ReadOutcome, Record, Source},
    system::{Health, Heartbeat, service_manager::Service},
};

/// A source that records a heartbeat at each read.
pub(super) struct HeartbeatSource {
    pub(super) source: Box<dyn Source>,
    pub(super) heartbeat: Heartbeat,
}

impl Source for HeartbeatSource {
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        self.heartbeat.record();
        self.source.fill(patience, take)
    }

    fn can_defer(&self) -> bool {
        self.source.can_defer()
    }

    fn handing_over(&mut self) {
        self.source.handing_over();
    }

    fn handed_over(&mut self) {
        self.source.handed_over();
    }

    fn close(&mut self) {
        self.source.close();
    }
}

/// Sends watchdog messages at the manager's interval, while the program is healthy.
pub(super) struct Watchdog<'a> {
    service: &'a Service,
    health: Health,
    interval: Interval,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(service: &'a Service, health: Health) -> Self {
        let mut interval = tokio::time::interval(service.watchdog_interval());
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { service, health, interval }
    }

    /// Waits for the next tick, and sends a message.
    pub(super) async fn tick(&mut self) {
        self.interval.tick().await;
        if self.health.healthy().is_ok() {
            self.service.alive();
        }
    }

    /// Waits for `work`, and continues to send messages: a restart by the service manager would lose the counts.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = self.tick() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A source without packets.
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
    fn each_read_records_a_heartbeat() {
        let health = Health::new();
        let mut source =
            HeartbeatSource { source: Box::new(Quiet), heartbeat: health.heartbeat("the reader") };
        let before = source.heartbeat.latest();
        while source.heartbeat.latest() == before {
            source.fill(Duration::ZERO, &mut |_| {}).unwrap();
        }
        assert_eq!(health.healthy(), Ok(()));
    }

    #[tokio::test]
    async fn it_sends_messages_during_long_work_and_not_when_unhealthy() {
        let (ours, manager) = UnixDatagram::pair().unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 16];
        let service = Service::watched(ours, Duration::from_millis(2));
        let health = Health::new();
        let mut watchdog = Watchdog::new(&service, health.clone());
        let three_messages = async {
            for _ in 0..3 {
                while manager.recv(&mut buffer).is_err() {
                    tokio::task::yield_now().await;
                }
                assert!(buffer.starts_with(b"WATCHDOG=1"));
            }
            "done"
        };
        assert_eq!(watchdog.during(three_messages).await, "done");

        while manager.recv(&mut buffer).is_ok() {}
        health.fail("gone");
        watchdog.tick().await;
        watchdog.tick().await;
        assert!(manager.recv(&mut buffer).is_err());
    }
}
