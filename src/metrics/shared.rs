//! The aggregate behind one lock, shared by the readers and the scrapes.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Aggregate;
use crate::system::lock::{lock, lock_soon, try_lock};

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
        lock(&self.0)
    }

    /// Acquires the lock as a reading thread, which other reading threads hold for microseconds.
    pub fn lock_soon(&self) -> MutexGuard<'_, Aggregate> {
        lock_soon(&self.0)
    }

    /// Acquires the lock unless another thread holds it.
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Aggregate>> {
        try_lock(&self.0)
    }
}
