//! The running exporter: start, main loop, reload, watchdog and shutdown. The caller opens all parts.

mod lifecycle;
mod periodic_checks;
mod reader;
mod reload;
mod scrape;
mod site;
mod watchdog;

use std::{future::Future, net::TcpListener, sync::Arc};

pub use reload::{ReloadStatus, Reloader, SharedStatus};
pub use scrape::ScrapePage;

use self::lifecycle::Daemon;
use crate::{
    config::Config,
    geoip::GeoIp,
    history::{HistoryThread, SharedHistory},
    http::WebConfigWatcher,
    mirror::Mirror,
    networks::Networks,
    output::RunningOutputs,
    pipeline::Route,
    source::{
        Source,
        kernel_log::{LineMeter, Positions},
        nflog::GroupMeter,
    },
    system::{privileges::Confinement, service_manager::Service, signals::RequestSignals},
};

/// The parts of a running exporter.
pub struct Parts {
    /// The configuration that the parts were made from.
    pub config: Config,
    /// The source of packets, already bound.
    pub source: Box<dyn Source>,
    /// The meters of its NFLOG groups.
    pub meters: Vec<Arc<GroupMeter>>,
    /// The meter of its lines of the kernel log; `None` without such a source.
    pub lines: Option<Arc<LineMeter>>,
    /// The positions in its followed log files; `None` without such files.
    pub positions: Option<Arc<Positions>>,
    /// Whether the source reads files that end, and not packets as they are logged.
    pub is_recorded: bool,
    /// The route from the source's records to the counters.
    pub route: Route,
    /// Sources and routes of further reading threads, to the same counters.
    pub further: Vec<(Box<dyn Source>, Route)>,
    /// The mirror that the route offers its batches to, if there is one.
    pub mirror: Option<Mirror>,
    /// The outputs that the route offers its batches to, if there are any.
    pub outputs: Option<RunningOutputs>,
    /// The counts of the last 30 days, and the thread that stores them; `None` for recorded packets.
    pub history: Option<(SharedHistory, HistoryThread)>,
    /// The `GeoIP` databases.
    pub geoip: GeoIp,
    /// The operator's networks and lists.
    pub networks: Networks,
    /// The listening sockets, already bound.
    pub listeners: Vec<TcpListener>,
    /// The web configuration: TLS and users.
    pub web_config: WebConfigWatcher,
    /// Reloads the configuration.
    pub reloader: Reloader,
    /// How the process is confined; `None` without a sandbox.
    pub confinement: Option<Confinement>,
    /// The service manager.
    pub service: Service,
    /// The installed firewall rules. Dropped at shutdown, before the remaining packets are read.
    pub rules: Box<dyn Send>,
}

/// Runs until `shutdown` completes or the source fails, then reads the packets that the kernel still holds and
/// finishes requests. Each hang-up of `requests` reloads the configuration. After the end of a capture, the counts
/// are still served.
///
/// # Errors
/// The source or the HTTP server failed.
pub async fn run(
    parts: Parts,
    (requests, shutdown): (RequestSignals, impl Future<Output = ()>),
) -> anyhow::Result<()> {
    let mut daemon = Daemon::start(parts)?;
    daemon.serve(requests, shutdown).await?;
    daemon.stop().await
}
