//! Checks the HTTP server's ports and web configuration, and whether a Prometheus scrapes it.

use std::{fs, io::ErrorKind};

use super::{
    Finding,
    running_exporter::{RunningExporter, is_ours},
};
use crate::{
    config::Config,
    http::WebConfigWatcher,
    system::{clock, listen::bind, socket_owner::listening_on},
    web::ListenAddress,
};

/// Maximum age of the last scrape, seconds: after that, Prometheus marks series as stale.
const STALE: f64 = 300.0;

/// Checks the web configuration: TLS and passwords.
pub(super) fn web_config(config: &Config) -> Finding {
    let file = &config.web.config_file;
    if file.as_os_str().is_empty() {
        return Finding::skipped("web_config", "none: plain HTTP, no password");
    }
    match WebConfigWatcher::open(file) {
        Ok(_) => Finding::ok("web_config", format!("{} is valid", file.display())),
        Err(error) => Finding::failed(
            "web_config",
            error.to_string(),
            "fix the file; `promtool check web-config FILE` checks the same format",
        ),
    }
}

pub(super) fn ports(config: &Config, exporter: Option<&RunningExporter>) -> Vec<Finding> {
    if config.web.systemd_socket {
        return vec![Finding::skipped("port", "systemd opens the sockets")];
    }
    config.web.listen_addresses.iter().map(|address| port(address, exporter)).collect()
}

fn port(address: &ListenAddress, exporter: Option<&RunningExporter>) -> Finding {
    let Err(error) = bind(&address.host, address.port) else {
        let free = format!("{address} is free");
        return Finding::ok("port", free + privileged_remark(address.port));
    };
    let failed = |why: String, fix: &str| {
        let what = format!("cannot listen on {address}: {error}{why}");
        let fix = format!("{fix}, or choose another address with --web.listen-address");
        Finding::failed("port", what, fix)
    };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let owners = listening_on(address.port);
            let answers = exporter.is_some_and(|exporter| exporter.address.port() == address.port);
            if answers || owners.iter().any(|(_, name)| is_ours(name)) {
                return Finding::ok("port", format!("{address} is served by a running exporter"));
            }
            let owner = owners
                .first()
                .map(|(pid, name)| format!(": used by {} (pid {pid})", name.escape_default()));
            failed(owner.unwrap_or_default(), "stop that program")
        }
        ErrorKind::AddrNotAvailable => {
            failed(String::new(), "add the address to this host (ip addr add)")
        }
        ErrorKind::PermissionDenied => {
            failed(String::new(), "grant the program the capability CAP_NET_BIND_SERVICE")
        }
        _ => {
            failed(String::new(), "check the host name and that this host supports its IP version")
        }
    }
}

/// A remark for a port that needs a capability, which the service's user does not have.
fn privileged_remark(port: u16) -> &'static str {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|first| first.trim().parse::<u16>().ok()).unwrap_or(1024);
    if port != 0 && port < first {
        "; a service that does not start as root needs CAP_NET_BIND_SERVICE for it"
    } else {
        ""
    }
}

pub(super) fn prometheus(exporter: Option<&RunningExporter>) -> Finding {
    let Some(exporter) = exporter else {
        return Finding::skipped("prometheus", "no exporter is running");
    };
    let Some(metrics) = exporter.metrics() else {
        return Finding::skipped("prometheus", "the running exporter's metrics cannot be read");
    };
    let last = metrics.value("nflog_exporter_last_scrape_timestamp_seconds");
    match last.map(|last| clock::unix_seconds() - last) {
        Some(age) if age < STALE => {
            Finding::ok("prometheus", format!("the last scrape was {:.0} s ago", age.max(0.0)))
        }
        // Scrapes that stopped are a failure; without any, Prometheus may not be in use.
        Some(age) => Finding::failed(
            "prometheus",
            format!("the last scrape was {age:.0} s ago"),
            add_target(exporter),
        ),
        None => Finding::hint(
            "prometheus",
            "no Prometheus scraped this exporter since its start",
            add_target(exporter),
        ),
    }
}

/// The fix for an exporter that is not scraped.
fn add_target(exporter: &RunningExporter) -> String {
    format!(
        "add the target {} to a scrape_config, and allow the port in the firewall; Prometheus shows errors on \
         /targets",
        exporter.address
    )
}
