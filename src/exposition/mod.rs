//! The text formats of Prometheus: `OpenMetrics` 1.0, written by collectors, and 0.0.4, converted from it.
//!
//! This module defines no metrics. Each part of the crate implements [`Collector`] for its own snapshot, with
//! [`MetricWriter`]. The output depends only on the collectors.

mod plain;
mod writer;

use std::fmt;

use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

pub use plain::to_plain;
pub use writer::MetricWriter;

/// A text format that Prometheus can scrape.
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

/// Renders collectors in order as `OpenMetrics` 1.0 text, including `# EOF`. `capacity` is the expected length in
/// bytes.
///
/// Collectors are passed by value because the registry owns them; their data is not copied.
///
/// # Errors
/// Only errors of the collectors: writing to a string does not fail.
pub fn render(collectors: Vec<Box<dyn Collector>>, capacity: usize) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(capacity);
    let mut registry = Registry::default();
    for collector in collectors {
        registry.register_collector(collector);
    }
    text::encode(&mut text, &registry)?;
    Ok(text)
}
