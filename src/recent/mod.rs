//! The latest minutes, for whoever looks: the newest packets one by one, and counts of the last ten
//! minutes by everything the page shows.
//!
//! Apart from the families: these are kept for Prometheus, under budgets that look a whole block ahead,
//! and by labels that the operator chooses. What is here is small, forgets, and is always there.

mod cell;
mod facets;
mod markers;
mod prefixes;
mod ring;
mod services;
mod slice;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use cell::{Cell, Filter};
pub use facets::{Facets, Row, facets};
pub use markers::{Marker, MarkerQuery, Markers};
pub use ring::{HELD, Observation, Observations};
pub use services::service;
pub use slice::{Count, Slice};
pub use window::{Pace, SLICES, Span};

use crate::event::{Event, UsedNames};
use prefixes::KeptPrefixes;
use ring::Ring;
use window::Window;

/// What is kept of the latest minutes. One writer, behind one lock.
#[derive(Debug)]
pub struct Recent {
    ring: Ring,
    window: Window,
}

impl Recent {
    /// Starts empty.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { ring: Ring::default(), window: Window::new(pace) }
    }

    /// Takes a batch that came at `now`, by the clock of the route.
    pub fn push(&mut self, events: &[Event], now: Duration) {
        for event in events {
            let cell = Cell::of(event);
            self.ring.push(Observation { time: event.time, remote: event.remote(), cell });
            self.window.count(&cell, event.headers.length, now);
        }
    }

    /// Marks every prefix that something here refers to. Of those that nothing else refers to, only the newest are
    /// kept, a quarter of the table; the others become `other` here. Only [`Self::push`] adds one.
    pub fn keep_names(&mut self, used: &mut UsedNames) {
        let mut kept = KeptPrefixes::new(used);
        self.window.keep(&mut kept);
        self.ring.keep(&mut kept);
    }

    /// How its time goes along.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.window.pace()
    }

    /// The newest packets, at most [`HELD`].
    #[must_use]
    pub fn observations(&self) -> Observations {
        self.ring.observations()
    }

    /// The counts of the window that ends at `now`.
    #[must_use]
    pub fn span(&self, now: Duration) -> Span {
        self.window.span(now)
    }
}

/// The latest minutes as the reader and the pages share them.
///
/// A lock of its own: the reader takes it once a batch, a page for as long as it takes to copy what
/// is not sealed yet, some hundred microseconds at most.
#[derive(Clone, Debug)]
pub struct SharedRecent(Arc<Mutex<Recent>>);

impl SharedRecent {
    /// Shares the latest minutes.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self(Arc::new(Mutex::new(Recent::new(pace))))
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, Recent> {
        // A thread that panicked under the lock ends the program through the reader's result.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
