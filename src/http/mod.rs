//! The HTTP server: which requests it answers, and how long and how much a client may ask of it.
//!
//! A page of metrics is told when it was delivered, because the aggregate lets a new series leave
//! zero only when somebody has seen the zero. So a page is watched down to the socket: see
//! the module `receipt`.

mod admit;
mod body;
mod gzip;
mod line;
mod metrics;
mod negotiate;
mod page;
mod places;
mod receipt;
mod refusals;
mod renders;
mod routes;
mod serve;
#[cfg(test)]
mod tests;
mod web_config;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

pub use crate::exposition::Format;
use crate::{system::Health, web::LatestPage};
pub use metrics::ServerMetrics;
pub use refusals::{Refusal, Refusals};
pub use serve::serve;
pub use web_config::{WebConfigError, WebConfigWatcher};

/// Where the metrics come from.
pub trait MetricsPage: Send + Sync {
    /// Renders the page; called on a thread that may block for a moment.
    fn render(&self, format: Format) -> Rendered;

    /// A page of this generation went out as a whole; called on a thread that must not wait long.
    fn delivered(&self, generation: u64, client: Client);
}

/// Who fetched a page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A scraper that says so: Prometheus, and what is made of its code, sends the header
    /// `X-Prometheus-Scrape-Timeout-Seconds` with every scrape.
    Prometheus,
    /// Anything else: another kind of scraper, or somebody who looks.
    Other,
}

/// A rendered page of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text, in the format that was asked for.
    pub body: String,
    /// The snapshot it shows; given back by [`MetricsPage::delivered`].
    pub generation: u64,
}

/// Asks for a reload of the configuration; the answer carries the reason when it failed.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What is served.
pub struct Site {
    /// Path of the metrics, from its `/` on.
    pub telemetry_path: String,
    /// Version shown on the page.
    pub version: &'static str,
    /// Whether `POST /-/reload` is on.
    pub enable_reload: bool,
    /// Where the metrics come from.
    pub metrics: Arc<dyn MetricsPage>,
    /// Where the figures of the page come from.
    pub latest: Arc<dyn LatestPage>,
    /// What `/-/healthy` and `/-/ready` tell.
    pub health: Health,
    /// Takes the requests of `/-/reload`.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Who may ask, and over what line.
    pub guard: Arc<WebConfigWatcher>,
    /// Counts those who are turned away.
    pub refusals: Arc<Refusals>,
    /// What clients may use.
    pub limits: Limits,
}

/// What clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most open connections; for one more, the one that has been of no use for longest is closed.
    pub connections: usize,
    /// Most pages of metrics rendered at a time, and most others; more wait.
    pub renders: usize,
    /// Most others that wait; more are told to come again.
    pub waiting_renders: usize,
    /// Most bytes of answers that wait in memory for their clients; for more, the oldest are given
    /// up and their connections closed. One alone may be larger.
    pub answers: usize,
    /// How long a client may take for a handshake, for the head of a request, and keep a connection
    /// idle.
    pub header_time: Duration,
    /// How long a client may take nothing of what it asked for.
    pub stall_time: Duration,
    /// Least that it takes of a longer answer, bytes in a second, besides the stall time.
    pub least_rate: u64,
    /// How long requests may still take after the shutdown has begun.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            renders: 1,
            waiting_renders: 128,
            answers: 16 * 1024 * 1024,
            header_time: Duration::from_secs(10),
            stall_time: Duration::from_secs(30),
            least_rate: 32 * 1024,
            drain_time: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// How long a client may take for an answer of a length.
    fn time(&self, length: usize) -> Duration {
        self.stall_time + Duration::from_secs(length as u64 / self.least_rate)
    }
}
