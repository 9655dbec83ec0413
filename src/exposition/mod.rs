//! Snapshot to metrics text, pure: no clock, no file, no socket, so the same scrape is always the
//! same bytes.

mod collector;
mod page;
mod plain;
mod scrape;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::{encoding::text, registry::Registry};

pub use plain::{pending_comment, to_plain};
pub use scrape::{
    Build, CountryRow, DatabaseStatus, GroupStatus, MirrorStatus, ReloadStatus, Scrape, Vitals,
};

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

/// Renders a scrape as `OpenMetrics` 1.0 text, `# EOF` included; [`to_plain`] makes 0.0.4 of it.
///
/// Takes the scrape, because a registry owns its collectors; nothing is copied.
///
/// # Errors
/// None that a scrape can cause: writing to a string does not fail.
pub fn render(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(expected_length(&scrape));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// About how many bytes the text takes, so that it seldom grows while it is written.
fn expected_length(scrape: &Scrape) -> usize {
    const FIXED: usize = 8 * 1024;
    /// A packets and a bytes sample of four labels.
    const SERIES: usize = 2 * 96;
    let series: usize = scrape.snapshot.families.iter().map(|family| family.series.len()).sum();
    FIXED + series * SERIES + scrape.countries.len() * 128
}
