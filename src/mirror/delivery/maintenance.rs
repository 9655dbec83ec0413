//! Runs a store's maintenance when it is due: partitions and retention.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Delivery;
use crate::mirror::{
    clock_guard::Clocks,
    deadline::{ANSWER, MAINTENANCE, within},
    store::{Maintenance, MaintenanceReport, Store, StoreError},
};

/// Pause before unfinished maintenance continues: rows go first.
const MAINTENANCE_PAUSE: Duration = Duration::from_millis(100);

impl Delivery {
    /// Creates future partitions and drops expired ones, by the server's clock. Warnings do not stop rows.
    pub(super) async fn run_maintenance<S: Store>(
        &mut self,
        store: &mut S,
    ) -> Result<(), StoreError> {
        // Set before the attempt, so that a failure is not retried at each new connection.
        self.maintenance_due = Instant::now() + self.rules.maintenance_interval;
        let done = match self.maintain(store).await {
            Ok(done) => done,
            Err(error) => {
                self.maintenance_log.report(&format!("{}: {error}", self.failover.server()));
                return Err(error);
            }
        };
        if !done.dropped.is_empty() {
            tracing::info!(partitions = %done.dropped.join(" "), "mirror: dropped expired partitions");
        }
        if done.unfinished {
            self.maintenance_due = Instant::now() + MAINTENANCE_PAUSE;
        }
        if done.warnings.is_empty() {
            self.queue.record_maintenance();
            self.maintenance_log.resolve("mirror: retention and partitions work again");
        } else {
            self.maintenance_log.report(&done.warnings.join("; "));
        }
        Ok(())
    }

    async fn maintain<S: Store>(&mut self, store: &mut S) -> Result<MaintenanceReport, StoreError> {
        let server = within(ANSWER, "an answer", store.clock()).await?.now;
        let mut maintenance = self.maintenance;
        let mut held = None;
        if maintenance != Maintenance::default() {
            let newest_row = within(ANSWER, "an answer", store.newest_row(server)).await?;
            let (monotonic, local) = (Instant::now().into_std(), SystemTime::now());
            let clocks = Clocks { monotonic, local, server, newest_row };
            held = self.clock_guard.check(clocks).err();
        }
        self.queue.set_retention_held(held.is_some());
        if held.is_some() {
            maintenance = Maintenance::default();
        }
        let mut done =
            within(MAINTENANCE, "retention", store.maintain(&maintenance, server)).await?;
        done.warnings.extend(held);
        Ok(done)
    }
}
