//! Periodic checks for changed files: GeoIP databases, networks and lists, and the web configuration.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{geoip::GeoIp, http::WebConfigWatcher, networks::Networks};

/// Interval of checks for replaced GeoIP files.
const GEOIP_INTERVAL: Duration = Duration::from_secs(2);

/// Interval of checks for replaced files of networks and lists.
const NETWORKS_INTERVAL: Duration = Duration::from_secs(2);

/// Interval of checks for changed files of the web configuration.
const WEB_CONFIG_INTERVAL: Duration = Duration::from_secs(1);

/// The checks of all polled files.
pub(super) struct FileChecks {
    geoip: FileCheck,
    networks: FileCheck,
    web_config: FileCheck,
}

impl FileChecks {
    pub(super) fn new(geoip: GeoIp, networks: Networks, web_config: Arc<WebConfigWatcher>) -> Self {
        Self {
            geoip: FileCheck::new(GEOIP_INTERVAL, move || geoip.check()),
            networks: FileCheck::new(NETWORKS_INTERVAL, move || networks.check()),
            web_config: FileCheck::new(WEB_CONFIG_INTERVAL, move || web_config.check()),
        }
    }

    /// Waits for the next tick of a check, and starts the check unless it is running. Safe to cancel.
    pub(super) async fn tick(&mut self) {
        tokio::select! {
            () = self.geoip.tick() => {}
            () = self.networks.tick() => {}
            () = self.web_config.tick() => {}
        }
    }
}

/// Runs a check on a blocking thread at an interval. Checks do not overlap, however slow the file system is.
struct FileCheck {
    ticks: Interval,
    check: Arc<dyn Fn() + Send + Sync>,
    running: Option<JoinHandle<()>>,
}

impl FileCheck {
    fn new(period: Duration, check: impl Fn() + Send + Sync + 'static) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, check: Arc::new(check), running: None }
    }

    async fn tick(&mut self) {
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
    async fn checks_do_not_overlap_and_continue_after_a_panic() {
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
