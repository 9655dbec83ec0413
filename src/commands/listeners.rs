//! The HTTP server's listening sockets, from the section `[web]`.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Context as _, anyhow};

use crate::{
    config::Config,
    http::WebConfigWatcher,
    system::{
        descriptors,
        listen::{bind, passed_sockets},
    },
    web::{ListenAddress, WebServerConfig},
};

/// Descriptors for the server's connections and everything else; the usual soft limit.
const DESCRIPTORS: u64 = 1024;

/// Opens a socket for every address of the configuration, or takes those that systemd passed. The sources need up to
/// `descriptors_of_sources` further descriptors.
pub(super) fn open(
    web: &WebServerConfig,
    descriptors_of_sources: u64,
) -> anyhow::Result<Vec<TcpListener>> {
    let needed = DESCRIPTORS + descriptors_of_sources;
    let limit = descriptors::raise_limit(needed);
    if limit < needed {
        tracing::warn!(
            descriptors = limit,
            needed,
            "low file-descriptor limit: fewer connections and log files; raise LimitNOFILE= or `ulimit -n`"
        );
    }
    if web.systemd_socket {
        return passed_sockets().context("--web.systemd-socket");
    }
    web.listen_addresses.iter().map(bind_address).collect()
}

fn bind_address(address: &ListenAddress) -> anyhow::Result<TcpListener> {
    bind(&address.host, address.port).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program uses it: stop that program, or set another",
            ErrorKind::PermissionDenied => {
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or set another"
            }
            ErrorKind::AddrNotAvailable => "this host does not have the address: set another",
            _ => "set another",
        };
        anyhow!("cannot listen on {address}: {error}; {advice} with --web.listen-address")
    })
}

/// The local addresses of listeners, with the ports that the kernel chose for port 0.
pub(super) fn addresses(listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
    addresses.context("cannot determine the address of a listening socket")
}

/// Logs the URLs of the page and of the metrics.
pub(super) fn log_urls(config: &Config, web_config: &WebConfigWatcher, addresses: &[SocketAddr]) {
    let scheme = if web_config.is_tls() { "https" } else { "http" };
    for address in addresses {
        let metrics = format!("{scheme}://{address}{}", config.web.telemetry_path);
        tracing::info!(page = %format!("{scheme}://{address}/"), metrics, "serving");
    }
}
