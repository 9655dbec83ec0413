//! The spool as the spooler and the delivery share it, and the queue's account kept in step with it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{account::Dropped, queue::Queue, spool::Spool};

/// The spool behind its lock. A scrape never takes it: it may be held while the disk works.
#[derive(Clone, Debug)]
pub(super) struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    queue: Queue,
}

impl SharedSpool {
    /// Shares a spool whose rows are booked in the queue's account.
    pub(super) fn new(spool: Spool, queue: Queue) -> Self {
        let shared = Self { spool: Arc::new(Mutex::new(spool)), queue };
        shared.with(|_| ());
        shared
    }

    /// Works on the spool. What changes in it is booked by `work` itself, before the lock goes, so
    /// that no thread books rows that another has not booked yet; rows of an earlier run are booked
    /// here.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> T {
        // What a panic left half done in memory, the checksums on disk still tell.
        let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
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
                account.lose(discarded, Dropped::OtherTarget);
            });
        }
        let others = spool.others().iter().map(|other| other.rows).sum();
        self.queue.tell_spool(spool.size(), spool.oldest(), others);
        result
    }
}
