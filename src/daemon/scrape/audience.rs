//! Whose fetches of the metrics count as scrapes.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{exposition::MetricWriter, http::Client};

/// How long after its last scrape a Prometheus is taken to come again: its longest usual interval,
/// and a few scrapes that failed.
const FAITHFUL: Duration = Duration::from_secs(300);

/// Whose fetches count as scrapes, and let a series leave zero.
///
/// Where a Prometheus scrapes, only its scrapes do: else somebody who looks at the page would use up
/// the zero that Prometheus has to see. Where none does, every fetch counts.
#[derive(Debug, Default)]
pub(super) struct Audience {
    prometheus: Mutex<Option<(Instant, SystemTime)>>,
}

impl Audience {
    /// When a Prometheus last scraped, seconds since 1970-01-01 UTC.
    pub(super) fn last_scrape(&self) -> Option<f64> {
        let last = *self.lock();
        Some(last?.1.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }

    pub(super) fn counts(&self, client: Client, now: Instant) -> bool {
        match client {
            Client::Prometheus => {
                *self.lock() = Some((now, SystemTime::now()));
                true
            }
            Client::Other => !self.had_prometheus(now),
        }
    }

    /// Whether a Prometheus scrapes.
    pub(super) fn has_prometheus(&self) -> bool {
        self.had_prometheus(Instant::now())
    }

    fn had_prometheus(&self, now: Instant) -> bool {
        self.lock().is_some_and(|(last, _)| now.duration_since(last) <= FAITHFUL)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, SystemTime)>> {
        self.prometheus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a Prometheus last scraped, as a metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastScrape(pub(super) Option<f64>);

impl Collector for LastScrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        MetricWriter::new(encoder).gauge(
            "nflog_exporter_last_scrape_timestamp_seconds",
            "When a Prometheus last scraped this exporter.",
            self.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prometheus_counts_where_there_is_one() {
        let audience = Audience::default();
        let start = Instant::now();
        assert!(audience.counts(Client::Other, start));
        assert!(!audience.had_prometheus(start));
        assert!(audience.counts(Client::Prometheus, start));
        assert!(audience.had_prometheus(start + FAITHFUL));
        assert!(!audience.counts(Client::Other, start + FAITHFUL));
        assert!(audience.counts(Client::Prometheus, start + FAITHFUL));
        assert!(!audience.counts(Client::Other, start + FAITHFUL + FAITHFUL));
        assert!(audience.counts(Client::Other, start + FAITHFUL * 3));
    }
}
