//! The HTTP server: routing, content negotiation, TLS, authentication, and limits for clients.
//!
//! It reports which pages of metrics were delivered, because a new series shows zero until a page with the zero
//! was delivered; see the module `delivery`. ARCHITECTURE.md lists the attacks that the limits answer.

mod access;
mod assets;
mod auth;
mod compression;
mod connection;
mod delivery;
mod drilldown;
mod metrics;
mod negotiate;
mod rejections;
mod render_queue;
mod response;
mod routes;
mod serve;
mod server;
mod shared_metrics;
mod slot_pool;
#[cfg(test)]
mod tests;
mod tracked_stream;
mod web_config;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

pub use crate::exposition::Format;
use crate::{
    system::Health,
    web::{BadQuery, DrilldownPages, LiveResource, PageInfo},
};
pub use metrics::ServerMetrics;
pub use rejections::{Rejection, Rejections};
pub use serve::serve;
pub use web_config::{WebConfigError, WebConfigWatcher};

/// Renders the metrics.
pub trait MetricsPage: Send + Sync {
    /// Renders the page. Called on a thread that may block for a moment.
    fn render(&self, format: Format) -> Rendered;

    /// A page of this generation was delivered whole. Called on an async thread, so it must not block.
    fn delivered(&self, generation: u64, client: Client);
}

/// Renders a live resource for a query, and for the reason why the client may not read rows of the drill-down. Called on
/// a thread that may block for a moment.
pub type RenderLive =
    dyn Fn(LiveResource, &str, Option<&'static str>) -> Result<String, BadQuery> + Send + Sync;

/// The kind of client that requests metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A client that sends the header `X-Prometheus-Scrape-Timeout-Seconds`, as Prometheus and software
    /// built from its code do. The number is a hash of its address and `User-Agent`, and distinguishes servers.
    Prometheus(u64),
    /// Any other client, such as a browser.
    Other,
}

/// A rendered page of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text, in the requested format.
    pub body: String,
    /// The snapshot that it shows, for [`MetricsPage::delivered`].
    pub generation: u64,
}

/// A request to reload the configuration. The reply has the reason if the reload failed.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// The content that a server serves, and its settings.
pub struct Site {
    /// Path of the metrics, and version.
    pub page: PageInfo,
    /// Whether `POST /-/reload` is enabled.
    pub enable_reload: bool,
    /// The metrics.
    pub metrics: Arc<dyn MetricsPage>,
    /// The live resources of the page.
    pub live: Arc<RenderLive>,
    /// The sources and packets of the mirror's database.
    pub drilldown: DrilldownPages,
    /// The state that `/-/healthy` and `/-/ready` show.
    pub health: Health,
    /// Receives the requests of `/-/reload`.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// TLS, users and headers.
    pub web_config: Arc<WebConfigWatcher>,
    /// Counts rejections.
    pub rejections: Arc<Rejections>,
    /// The limits for clients.
    pub limits: Limits,
}

/// Limits for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum open connections. For a further one, the connection that has been idle for longest is
    /// closed.
    pub connections: usize,
    /// Maximum pages of metrics rendered at a time, and maximum live resources.
    pub renders: usize,
    /// Maximum live resources that wait to be rendered. Further requests get status 503.
    pub waiting_renders: usize,
    /// Maximum queries for rows of the mirror's database at a time. Further requests get status 503.
    pub drilldowns: usize,
    /// Maximum bytes of responses in memory. For a further one, the connections of the oldest are
    /// closed. A single response may be larger.
    pub response_bytes: usize,
    /// Maximum time for a TLS handshake, for the head of a request, and between requests.
    pub header_timeout: Duration,
    /// Maximum time for which a client reads nothing of its response.
    pub stall_timeout: Duration,
    /// Minimum average rate at which a client reads, in bytes per second; the stall timeout is added.
    pub min_rate: u64,
    /// Maximum time to finish requests after the shutdown has begun.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            renders: 1,
            waiting_renders: 128,
            drilldowns: 2,
            response_bytes: 16 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            min_rate: 32 * 1024,
            drain_timeout: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Maximum time to read a response of a length.
    fn response_timeout(&self, length: usize) -> Duration {
        self.stall_timeout + Duration::from_secs(length as u64 / self.min_rate)
    }
}
