//! The text formats of Prometheus: `OpenMetrics` 1.0, written by collectors, and 0.0.4, derived from it.
//!
//! Pure, and without a metric of its own: each part implements [`Collector`] over its own snapshot, with
//! [`MetricWriter`]. The same collectors always give the same bytes.

mod plain;
mod writer;

use std::fmt;

use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

pub use plain::to_plain;
pub use writer::MetricWriter;

/// A text format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The older text format, version 0.0.4.
    Plain,
}

impl Format {
    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Renders collectors, in their order, as `OpenMetrics` 1.0 text, `# EOF` included. About `capacity` bytes are
/// reserved for it.
///
/// Takes the collectors, because a registry owns them; nothing is copied.
///
/// # Errors
/// None that a collector of this crate causes: writing to a string does not fail.
pub fn render(collectors: Vec<Box<dyn Collector>>, capacity: usize) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(capacity);
    let mut registry = Registry::default();
    for collector in collectors {
        registry.register_collector(collector);
    }
    text::encode(&mut text, &registry)?;
    Ok(text)
}
