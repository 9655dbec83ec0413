//! The aggregate behind one lock, shared by the readers and the scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::Aggregate;

/// The aggregate, shared by the readers and the scrapes under one lock.
///
/// A reader holds the lock once per batch, a scrape while it copies the series. It is a plain mutex because
/// both hold it for microseconds and neither awaits under it.
#[derive(Clone, Debug)]
pub struct SharedAggregate(Arc<Mutex<Aggregate>>);

impl SharedAggregate {
    /// Shares an aggregate.
    #[must_use]
    pub fn new(aggregate: Aggregate) -> Self {
        Self(Arc::new(Mutex::new(aggregate)))
    }

    /// Acquires the lock.
    pub fn lock(&self) -> MutexGuard<'_, Aggregate> {
        // A thread that panics under the lock ends the program through the reader's result. Until then,
        // scrapes can still read the counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires the lock unless another thread holds it.
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Aggregate>> {
        match self.0.try_lock() {
            Ok(aggregate) => Some(aggregate),
            // As above.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
