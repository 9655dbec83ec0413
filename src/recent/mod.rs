//! The newest packets one by one, and counts of the last ten minutes by all labels that the page shows.
//!
//! They are separate from the families: families have the labels and budgets that the operator
//! configures for Prometheus. The data here is small, always present, and forgets old packets.

mod cell;
mod cells;
mod facets;
mod open_slice;
mod prefixes;
mod ring;
mod slice;
mod summary;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

pub use cell::{Cell, Filter};
pub use facets::{FacetRow, Facets, facets};
pub use open_slice::{Limits, merge};
pub use ring::{Observation, Observations, RING_CAPACITY};
pub use slice::{Count, FoldedValues, Slice};
pub use window::{LIVE_SLICE, SLICES, Span, WindowMode};

use crate::{
    event::{Event, UsedNames},
    metrics::LOOKUPS,
    system::lock::{lock, lock_soon},
};
use open_slice::Lookup;
use prefixes::KeptPrefixes;
use ring::Ring;
use window::Window;

/// The newest packets and the latest counts, with one writer.
#[derive(Debug)]
pub struct Recent {
    ring: Ring,
    window: Window,
    /// Empty memory for the packets of a batch.
    lookups: Vec<Lookup>,
}

impl Recent {
    /// Creates an empty window and ring.
    #[must_use]
    pub fn new(mode: WindowMode) -> Self {
        Self { ring: Ring::default(), window: Window::new(mode), lookups: Vec::new() }
    }

    /// Adds a batch that was received at `now`, by the clock of the route.
    pub fn push(&mut self, events: &[Event], now: Duration) {
        self.window.advance(now);
        for events in events.chunks(LOOKUPS) {
            self.lookups.clear();
            for event in events {
                let cell = Cell::of(event);
                self.ring.push(Observation { time: event.time, remote: event.remote(), cell });
                self.lookups.push(Lookup::new(cell, event.headers.length));
            }
            self.window.count(&mut self.lookups);
        }
        self.window.count_second(events, now);
    }

    /// Marks every prefix that is used here. Of those that no other part uses, only the newest are kept, at most a
    /// quarter of the table; the others become `other` here. Only [`Self::push`] adds a prefix.
    pub fn keep_names(&mut self, used: &mut UsedNames) {
        let mut kept = KeptPrefixes::new(used);
        self.window.keep(&mut kept);
        self.ring.keep(&mut kept);
    }

    /// The time that the window covers.
    #[must_use]
    pub fn mode(&self) -> WindowMode {
        self.window.mode()
    }

    /// The newest packets: at least [`RING_CAPACITY`] once that many were received.
    #[must_use]
    pub fn observations(&self) -> Observations {
        self.ring.observations()
    }

    /// The slices of live traffic after a number whose time is over at `now`, with their numbers, in order; at most those
    /// of the last ten minutes. The slice with number `n` begins `n` times [`LIVE_SLICE`] after the start of the clock.
    #[must_use]
    pub fn finished(&self, after: Option<u64>, now: Duration) -> Vec<(u64, Arc<Slice>)> {
        self.window.finished(after, now)
    }

    /// The slice of `now`, if it has packets.
    #[must_use]
    pub fn running(&self, now: Duration) -> Option<Arc<Slice>> {
        self.window.running(now)
    }

    /// The packets and bytes of the last five whole seconds.
    #[must_use]
    pub fn rate(&self, now: Duration) -> Count {
        self.window.rate(now)
    }

    /// The counts of the window that ends at `now`.
    #[must_use]
    pub fn span(&self, now: Duration) -> Span {
        self.window.span(now)
    }
}

/// The data as the reader and the page share it.
///
/// The reader takes the lock once for each batch. A page holds it while it copies the open chunk and
/// slice, for at most some hundred microseconds.
#[derive(Clone, Debug)]
pub struct SharedRecent(Arc<Mutex<Recent>>);

impl SharedRecent {
    /// Creates an empty window and ring.
    #[must_use]
    pub fn new(mode: WindowMode) -> Self {
        Self(Arc::new(Mutex::new(Recent::new(mode))))
    }

    /// Locks the data.
    pub fn lock(&self) -> MutexGuard<'_, Recent> {
        // A thread that panics under the lock ends the program through the reader's result.
        lock(&self.0)
    }

    /// Locks the data as a reading thread, which other reading threads hold for microseconds.
    pub fn lock_soon(&self) -> MutexGuard<'_, Recent> {
        lock_soon(&self.0)
    }
}

#[cfg(test)]
mod tests;
