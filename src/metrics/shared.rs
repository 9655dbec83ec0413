//! The aggregate behind one lock, shared by the reader and the scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Aggregate;

/// The aggregate, shared by the reader and the scrapes under one lock.
///
/// The reader holds the lock once per batch, a scrape while it copies the series. It is a plain mutex because
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
}
