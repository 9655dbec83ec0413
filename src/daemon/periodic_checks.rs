//! Periodic checks: for changed files (GeoIP databases, networks and lists, the web configuration) and for unusual conditions.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    conditions::{self, Conditions},
    geoip::GeoIp,
    http::WebConfigWatcher,
    networks::Networks,
};

/// Interval of checks for replaced GeoIP files.
const GEOIP_INTERVAL: Duration = Duration::from_secs(2);

/// Interval of checks for replaced files of networks and lists.
const NETWORKS_INTERVAL: Duration = Duration::from_secs(2);

/// Interval of checks for changed files of the web configuration.
const WEB_CONFIG_INTERVAL: Duration = Duration::from_secs(1);

/// All periodic checks.
pub(super) struct PeriodicChecks {
    geoip: PeriodicCheck,
    networks: PeriodicCheck,
    web_config: PeriodicCheck,
    conditions: PeriodicCheck,
}

impl PeriodicChecks {
    pub(super) fn new(
        geoip: GeoIp,
        networks: Networks,
        web_config: Arc<WebConfigWatcher>,
        conditions: Option<Conditions>,
    ) -> Self {
        let check_conditions = move || conditions.iter().for_each(Conditions::check);
        Self {
            geoip: PeriodicCheck::new(GEOIP_INTERVAL, move || geoip.check()),
            networks: PeriodicCheck::new(NETWORKS_INTERVAL, move || networks.check()),
            web_config: PeriodicCheck::new(WEB_CONFIG_INTERVAL, move || web_config.check()),
            conditions: PeriodicCheck::new(conditions::INTERVAL, check_conditions),
        }
    }

    /// Waits for the next tick of a check, and starts the check unless it is running. Safe to cancel.
    pub(super) async fn tick(&mut self) {
        tokio::select! {
            () = self.geoip.tick() => {}
            () = self.networks.tick() => {}
            () = self.web_config.tick() => {}
            () = self.conditions.tick() => {}
        }
    }
}

/// Runs a check on a blocking thread at an interval. Checks do not overlap, however slow a file system is.
struct PeriodicCheck {
    ticks: Interval,
    check: Arc<dyn Fn() + Send + Sync>,
    running: Option<JoinHandle<()>>,
}

impl PeriodicCheck {
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
        let mut periodic_check = PeriodicCheck::new(Duration::from_millis(1), move || {
            started.send(()).unwrap();
            let panics = ended.lock().unwrap().recv().unwrap();
            // The lock is released before, so it is not poisoned.
            assert!(!panics, "requested by the test");
        });
        periodic_check.tick().await;
        starts.recv().unwrap();
        for _ in 0..3 {
            periodic_check.tick().await;
        }
        assert!(starts.try_recv().is_err(), "a second check began");
        for panics in [true, false] {
            end.send(panics).unwrap();
            let running = periodic_check.running.as_mut().unwrap();
            assert_eq!(running.await.is_err(), panics);
            periodic_check.running = None;
            periodic_check.tick().await;
            starts.recv().unwrap();
        }
        end.send(false).unwrap();
    }
}
