//! The running exporter: its parts joined, reload, watchdog, and an orderly shutdown. Everything is injected.

mod file_check;
mod lifecycle;
mod reader;
mod reload;
mod scrape;
mod watchdog;

use std::{future::Future, net::TcpListener, sync::Arc};

use tokio::signal::unix::Signal;

pub use reload::{ReloadStatus, Reloader, SharedStatus};
pub use scrape::ScrapePage;

use self::lifecycle::Daemon;
use crate::{
    config::Config,
    geoip::GeoIp,
    http::WebConfigWatcher,
    mirror::Mirror,
    pipeline::Route,
    source::{Source, nflog::GroupMeter},
    system::{privileges::Confinement, service_manager::Service},
};

/// The parts of a running exporter.
pub struct Parts {
    /// The configuration that the parts were made from.
    pub config: Config,
    /// The source of packets, already bound.
    pub source: Box<dyn Source>,
    /// The meters of its NFLOG groups; empty for captures.
    pub meters: Vec<Arc<GroupMeter>>,
    /// The route from the source's records to the counters.
    pub route: Route,
    /// The mirror that the route offers its batches to, if there is one.
    pub mirror: Option<Mirror>,
    /// The `GeoIP` databases.
    pub geoip: GeoIp,
    /// The listening sockets, already bound.
    pub listeners: Vec<TcpListener>,
    /// The web configuration: TLS and users.
    pub guard: WebConfigWatcher,
    /// Loads the configuration again.
    pub reloader: Reloader,
    /// How the process is confined; `None` if it was not asked for.
    pub confinement: Option<Confinement>,
    /// The service manager.
    pub service: Service,
    /// Dropped at shutdown, before the remaining packets are read: the firewall rules.
    pub logging: Box<dyn Send>,
}

/// Runs until `shutdown` completes or the source fails; then reads the packets that the kernel still holds and
/// lets requests finish. Each of the `hangups` reloads the configuration. After the end of a capture the counts
/// are still served.
///
/// # Errors
/// The source or the HTTP server failed.
pub async fn run(
    parts: Parts,
    (hangups, shutdown): (Signal, impl Future<Output = ()>),
) -> anyhow::Result<()> {
    let mut daemon = Daemon::start(parts)?;
    daemon.serve(hangups, shutdown).await?;
    daemon.stop().await
}
