//! The spool shared by spooler and delivery, with the queue's account kept consistent.

use std::sync::{Arc, Mutex};

use super::{account::DropReason, queue::Queue, spool::Spool};
use crate::system::lock::lock;

/// The spool and its lock. A scrape never takes this lock, which may be held during disk I/O.
#[derive(Clone, Debug)]
pub(super) struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    queue: Queue,
}

impl SharedSpool {
    /// Shares a spool whose rows the queue's account counts.
    pub(super) fn new(spool: Spool, queue: Queue) -> Self {
        let shared = Self { spool: Arc::new(Mutex::new(spool)), queue };
        shared.with(|_| ());
        shared
    }

    /// Runs `work` on the spool. `work` books its own changes before the lock is released, so that no thread
    /// books rows that another has not booked yet; rows of earlier runs are booked here.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> T {
        // After a panic the state in memory may be incomplete; the checksums on disk are authoritative.
        let mut spool = lock(&self.spool);
        let result = work(&mut spool);
        let recovered = spool.take_recovered();
        if recovered > 0 {
            self.queue.book(|account| account.recover(recovered));
            tracing::info!(rows = recovered, "mirror: rows of an earlier run wait in the spool");
        }
        let discarded = spool.take_discarded();
        if discarded > 0 {
            self.queue.book(|account| {
                account.recover(discarded);
                account.lose(discarded, DropReason::OtherTarget);
            });
        }
        let others = spool.others().iter().map(|other| other.rows).sum();
        self.queue.set_spool(spool.size(), spool.oldest(), others);
        result
    }
}
