//! The state that all connections share, sized by the limits.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;

use super::{Site, render_queue::RenderQueue, shared_metrics::SharedMetrics, slot_pool::SlotPool};

/// Sockets beyond the limit on connections, for evicted connections that are not closed yet.
const CLOSING_SOCKETS: usize = 16;

/// Signatures of TLS handshakes at a time.
const CONCURRENT_SIGNATURES: usize = 1;

/// Descriptors reserved for everything except connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Minimum connections under a low limit on descriptors.
const MIN_CONNECTIONS: usize = 8;

/// The state that all connections share.
pub(super) struct ServerState {
    pub(super) site: Arc<Site>,
    /// Renders live resources.
    pub(super) renders: RenderQueue,
    /// Limits the queries of the drill-down.
    pub(super) drilldowns: Arc<Semaphore>,
    pub(super) metrics: Arc<SharedMetrics>,
    /// Responses in memory, by bytes, until the client has read them.
    pub(super) responses: Arc<SlotPool>,
    pub(super) connections: Arc<SlotPool>,
    /// Limits the signatures of TLS handshakes.
    pub(super) signing: Arc<Semaphore>,
    /// Limits sockets, those of evicted connections included.
    pub(super) sockets: Arc<Semaphore>,
}

impl ServerState {
    pub(super) fn new(site: Arc<Site>) -> Arc<Self> {
        let limits = site.limits;
        let connections = limits.connections.min(max_connections());
        let responses = SlotPool::new(limits.response_bytes);
        Arc::new(Self {
            drilldowns: Arc::new(Semaphore::new(limits.drilldowns)),
            renders: RenderQueue::new(limits.renders, limits.waiting_renders),
            metrics: SharedMetrics::new(site.metrics.clone(), responses.clone(), limits.renders),
            responses,
            connections: SlotPool::new(connections),
            sockets: Arc::new(Semaphore::new(connections + CLOSING_SOCKETS)),
            signing: Arc::new(Semaphore::new(CONCURRENT_SIGNATURES)),
            site,
        })
    }
}

/// Maximum connections under the limit on descriptors.
fn max_connections() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let rest = usize::try_from(limit.saturating_sub(RESERVED_DESCRIPTORS)).unwrap_or(usize::MAX);
    rest.max(MIN_CONNECTIONS)
}
