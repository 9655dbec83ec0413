//! Periodic checks whether files have changed.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};

/// Runs a check on a blocking thread at an interval. Checks do not overlap, however slow the file system is.
pub(super) struct FileCheck {
    ticks: Interval,
    check: Arc<dyn Fn() + Send + Sync>,
    running: Option<JoinHandle<()>>,
}

impl FileCheck {
    pub(super) fn new(period: Duration, check: impl Fn() + Send + Sync + 'static) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, check: Arc::new(check), running: None }
    }

    /// Waits for the next tick, and starts a check unless one is running. Safe to cancel.
    pub(super) async fn tick(&mut self) {
        self.ticks.tick().await;
        if self.running.as_ref().is_none_or(JoinHandle::is_finished) {
            let check = self.check.clone();
            self.running = Some(tokio::task::spawn_blocking(move || check()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn checks_do_not_overlap_and_go_on_after_a_panic() {
        let (started, starts) = mpsc::channel();
        let (end, ended) = mpsc::channel::<bool>();
        let ended = std::sync::Mutex::new(ended);
        let mut file_check = FileCheck::new(Duration::from_millis(1), move || {
            started.send(()).unwrap();
            let panics = ended.lock().unwrap().recv().unwrap();
            // The lock is released before, so it is not poisoned.
            assert!(!panics, "requested by the test");
        });
        file_check.tick().await;
        starts.recv().unwrap();
        for _ in 0..3 {
            file_check.tick().await;
        }
        assert!(starts.try_recv().is_err(), "a second check began");
        for panics in [true, false] {
            end.send(panics).unwrap();
            let running = file_check.running.as_mut().unwrap();
            assert_eq!(running.await.is_err(), panics);
            file_check.running = None;
            file_check.tick().await;
            starts.recv().unwrap();
        }
        end.send(false).unwrap();
    }
}
