//! The interface of a consumer that takes every event of a route.

use std::fmt;

use crate::event::Event;

/// A consumer of events, such as a report.
pub trait EventSink: fmt::Debug + Send {
    /// Takes a batch of events; it may be empty.
    fn take(&mut self, batch: &[Event]);
}
