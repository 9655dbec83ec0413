//! The queue of password checks. Checks run one at a time, because each needs a processor for up to seconds.
//! No client can fill the queue.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::system::{host_network, lock::lock};

/// Maximum checks in the queue, with the running one.
const MAX_QUEUED: usize = 32;

/// Maximum checks in the queue from one network.
const MAX_PER_NETWORK: usize = 2;

/// Maximum time in the queue: half of Prometheus's default scrape timeout.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The queue, which outlives reloads of the configuration.
#[derive(Clone, Debug)]
pub(super) struct PasswordQueue {
    running: Arc<Semaphore>,
    /// The network of each check in the queue.
    queued: Arc<Mutex<Vec<IpAddr>>>,
    max_wait: Duration,
}

impl Default for PasswordQueue {
    fn default() -> Self {
        Self::new(MAX_WAIT)
    }
}

/// A check in the queue, which may run when it has the permit; leaves the queue when dropped.
#[derive(Debug)]
pub(super) struct QueuedCheck {
    queue: PasswordQueue,
    network: IpAddr,
    running: Option<OwnedSemaphorePermit>,
}

impl PasswordQueue {
    pub(super) fn new(max_wait: Duration) -> Self {
        Self { running: Arc::new(Semaphore::new(1)), queued: Arc::default(), max_wait }
    }

    /// Waits until a password from this address can be checked; `None` if the queue is full for its network
    /// or for all, or the wait is too long.
    pub(super) async fn permit(&self, peer: IpAddr) -> Option<QueuedCheck> {
        let mut check = self.join(host_network(peer))?;
        let permit = timeout(self.max_wait, self.running.clone().acquire_owned()).await.ok()?;
        // The semaphore is never closed.
        check.running = Some(permit.ok()?);
        Some(check)
    }

    fn join(&self, network: IpAddr) -> Option<QueuedCheck> {
        let mut queued = self.queued();
        let own = queued.iter().filter(|other| **other == network).count();
        if own >= MAX_PER_NETWORK || queued.len() >= MAX_QUEUED {
            return None;
        }
        queued.push(network);
        Some(QueuedCheck { queue: self.clone(), network, running: None })
    }

    fn queued(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        lock(&self.queued)
    }
}

impl Drop for QueuedCheck {
    fn drop(&mut self) {
        let mut queued = self.queue.queued();
        if let Some(position) = queued.iter().position(|network| *network == self.network) {
            queued.swap_remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_fills_the_queue() {
        let queue = PasswordQueue::default();
        let join = |address: &str| queue.join(host_network(address.parse().unwrap()));
        let mut entries = Vec::new();
        for (address, is_queued) in [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("::ffff:192.0.2.2", true),
            ("192.0.2.2", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::3", true),
        ] {
            let entry = join(address);
            assert_eq!(entry.is_some(), is_queued, "{address}");
            entries.extend(entry);
        }
        drop(entries);
        assert!(queue.queued().is_empty());
        let full: Vec<_> = (0..100).filter_map(|last| join(&format!("192.0.2.{last}"))).collect();
        assert_eq!(full.len(), MAX_QUEUED);
    }

    #[tokio::test]
    async fn the_wait_for_a_permit_is_bounded() {
        let queue = PasswordQueue::new(Duration::from_millis(1));
        let [first, second] = ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap());
        let permit = queue.permit(first).await.unwrap();
        assert!(queue.permit(second).await.is_none());
        drop(permit);
        assert!(queue.permit(second).await.is_some());
        assert!(queue.queued().is_empty());
    }
}
