//! Finds the running exporter that serves one of the configured addresses.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
};

use super::{
    Finding,
    response::{Metrics, Response},
};
use crate::{
    config::Config,
    source::nflog::holder,
    system::socket_owner::{listening_on, ports_of},
    web::ListenAddress,
};

/// An exporter that serves one of the configuration's addresses.
pub(super) struct RunningExporter {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// Its processes; empty if they are invisible, for example in another PID namespace.
    pub(super) pids: Vec<u32>,
    /// Its metrics when it was found, or why they cannot be read.
    pub(super) scraped: Result<Metrics, String>,
    /// Whether it accepted a connection and did not respond.
    is_unresponsive: bool,
}

impl RunningExporter {
    /// The exporter that runs with this configuration; if there are several, one whose metrics can be read.
    pub(super) fn find(config: &Config) -> Option<Self> {
        let path = &config.web.telemetry_path;
        let mut found: Vec<Self> = addresses(config)
            .into_iter()
            .filter_map(|address| Self::at(address, path, config))
            .collect();
        let answers = |exporter: &Self| exporter.metrics().is_some();
        let best = found.iter().position(answers).unwrap_or(0);
        (best < found.len()).then(|| found.swap_remove(best))
    }

    fn at(address: SocketAddr, path: &str, config: &Config) -> Option<Self> {
        let response = Response::get(address, path);
        let is_unresponsive = matches!(response, Response::TimedOut);
        let scraped = match response {
            Response::NoListener => return None,
            Response::TimedOut => Err("it does not respond".into()),
            Response::Body(body) => Metrics::from_body(body)
                .map_err(|_| format!("its response to {path} is not a page of its metrics")),
            Response::Status(401) => Err("it requires a password".into()),
            Response::Status(status) => Err(format!("it answers {path} with the status {status}")),
            Response::NotHttp => Err("it does not speak plain HTTP: it requires TLS".into()),
        };
        let listening = listening_on(address.port());
        let is_invisible = listening.is_empty();
        let pids: Vec<u32> =
            listening.into_iter().filter(|(_, name)| is_ours(name)).map(|(pid, _)| pid).collect();
        let is_protected = !config.web.config_file.as_os_str().is_empty();
        // Without metrics, the process name identifies it, or that it rejects requests as configured.
        if scraped.is_err() && pids.is_empty() && !(is_invisible && is_protected) {
            return None;
        }
        Some(Self { address, path: path.into(), pids, scraped, is_unresponsive })
    }

    /// Its metrics when it was found; `None` if they cannot be read.
    pub(super) fn metrics(&self) -> Option<&Metrics> {
        self.scraped.as_ref().ok()
    }

    /// Its current metrics; `None` if they can no longer be read.
    pub(super) fn scrape(&self) -> Option<Metrics> {
        match Response::get(self.address, &self.path) {
            Response::Body(body) => Metrics::from_body(body).ok(),
            _ => None,
        }
    }

    /// Whether it reads a group, according to its metrics.
    pub(super) fn reads(&self, group: u16) -> bool {
        self.metrics().is_some_and(|metrics| metrics.has_group(group))
    }

    /// Whether it may be this process; always true if its processes are invisible.
    pub(super) fn may_be(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }
}

impl fmt::Display for RunningExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("running")?;
        if let Some(pid) = self.pids.first() {
            write!(f, " (pid {pid})")?;
        }
        match &self.scraped {
            Ok(_) => write!(f, ", answers at {}", self.address),
            Err(why) => write!(f, " at {}: {why}", self.address),
        }
    }
}

/// Whether a process name, of at most 15 bytes, is that of this program.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("nflog_exporter")
}

/// Checks whether an exporter runs, and reads every group of the configuration.
pub(super) fn check(config: &Config, exporter: Option<&RunningExporter>) -> Finding {
    let Some(exporter) = exporter else {
        return Finding::unknown(
            "exporter",
            "no exporter is running: the checks below show what it would find",
        );
    };
    if exporter.is_unresponsive {
        return Finding::failed(
            "exporter",
            exporter.to_string(),
            "restart it; it may be stopped (SIGSTOP, a debugger), or the host may be overloaded",
        );
    }
    let is_unread = |group: &&u16| exporter.metrics().is_some() && !exporter.reads(**group);
    if let Some(group) = config.nflog.groups.iter().find(is_unread) {
        return Finding::failed(
            "exporter",
            format!("{exporter}, but does not read group {group}"),
            "run the doctor with the exporter's configuration (--config.file), or restart the exporter \
             with this one",
        );
    }
    Finding::ok("exporter", exporter.to_string())
}

/// The addresses at which the exporter of this configuration may listen.
fn addresses(config: &Config) -> Vec<SocketAddr> {
    let web = &config.web;
    if web.systemd_socket || web.listen_addresses.iter().any(|address| address.port == 0) {
        // The configuration does not have the port; the process that holds the group does.
        let holders = config.nflog.groups.iter().filter_map(|group| holder(*group).ok()??.program);
        let ports = holders.filter(|(_, name)| is_ours(name)).flat_map(|(pid, _)| ports_of(pid));
        let loopback =
            |port| [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        return ports.flat_map(loopback).collect();
    }
    web.listen_addresses.iter().flat_map(client_addresses).collect()
}

/// The addresses to connect to for a listen address: loopback for an unspecified one.
fn client_addresses(address: &ListenAddress) -> Vec<SocketAddr> {
    let host = match address.host.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    (host, address.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}
