//! Who is on the other side of the HTTP server: its ports, its keys, its Prometheus.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Finding,
    exporter::{Exporter, is_ours},
};
use crate::{
    config::{Config, ListenAddress},
    http::WebConfigWatcher,
    system::socket_owner::listening_on,
};

/// After how long a Prometheus that scraped counts as gone: as long as it keeps a series alive.
const LATELY: f64 = 300.0;

/// TLS and passwords.
pub(super) fn web_config(config: &Config) -> Finding {
    let file = &config.web.config_file;
    if file.as_os_str().is_empty() {
        return Finding::skipped("web_config", "none: plain HTTP, no password");
    }
    match WebConfigWatcher::open(file) {
        Ok(_) => Finding::ok("web_config", format!("{} can be followed", file.display())),
        Err(error) => Finding::failed(
            "web_config",
            error.to_string(),
            "correct it; `promtool check web-config FILE` knows the format too",
        ),
    }
}

pub(super) fn ports(config: &Config, exporter: Option<&Exporter>) -> Vec<Finding> {
    if config.web.systemd_socket {
        return vec![Finding::skipped("port", "systemd has the sockets")];
    }
    config.web.listen_addresses.iter().map(|address| port(address, exporter)).collect()
}

fn port(address: &ListenAddress, exporter: Option<&Exporter>) -> Finding {
    let Err(error) = bind(address) else {
        let free = format!("{address} is free");
        return Finding::ok("port", free + privileged(address.port));
    };
    let failed = |why: String, fix: &str| {
        let what = format!("{address} cannot be listened on: {error}{why}");
        Finding::failed("port", what, format!("{fix}, or choose another with --web.listen-address"))
    };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let owners = listening_on(address.port);
            let answers = exporter.is_some_and(|exporter| exporter.address.port() == address.port);
            if answers || owners.iter().any(|(_, name)| is_ours(name)) {
                return Finding::ok(
                    "port",
                    format!("{address} is served by an exporter that runs"),
                );
            }
            let owner = owners
                .first()
                .map(|(pid, name)| format!(": {} (pid {pid}) has it", name.escape_default()));
            failed(owner.unwrap_or_default(), "stop the program that has it")
        }
        ErrorKind::AddrNotAvailable => {
            failed(String::new(), "give this host the address (ip addr add)")
        }
        ErrorKind::PermissionDenied => {
            failed(String::new(), "give the program the capability CAP_NET_BIND_SERVICE")
        }
        _ => failed(String::new(), "see that the host's name and IP version are there"),
    }
}

/// Listens for a moment, as the exporter does: on both IP versions by one socket, unless this host
/// has no IPv6.
fn bind(address: &ListenAddress) -> io::Result<TcpListener> {
    if address.host.is_empty() {
        return TcpListener::bind((Ipv6Addr::UNSPECIFIED, address.port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port)));
    }
    TcpListener::bind((address.host.as_str(), address.port))
}

/// What is to be said of a port that only some may listen on: the service's user is none of them.
fn privileged(port: u16) -> &'static str {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|first| first.trim().parse::<u16>().ok()).unwrap_or(1024);
    if port != 0 && port < first {
        "; a service that does not start as root needs CAP_NET_BIND_SERVICE for it"
    } else {
        ""
    }
}

pub(super) fn prometheus(exporter: Option<&Exporter>) -> Finding {
    let Some(exporter) = exporter else {
        return Finding::skipped("prometheus", "no exporter runs here");
    };
    let Some(metrics) = exporter.metrics() else {
        return Finding::skipped("prometheus", "the exporter that runs cannot be asked");
    };
    let last = metrics.value("nflog_exporter_last_scrape_timestamp_seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    match last.map(|last| now - last) {
        Some(age) if age < LATELY => {
            Finding::ok("prometheus", format!("it scraped {:.0} s ago", age.max(0.0)))
        }
        // A Prometheus that came and stopped is a failure; one that never came may not be wanted.
        Some(age) => Finding::failed(
            "prometheus",
            format!("the last scrape was {age:.0} s ago"),
            add_target(exporter),
        ),
        None => Finding::hint(
            "prometheus",
            "none has scraped this exporter since its start",
            add_target(exporter),
        ),
    }
}

/// How to make a Prometheus scrape this exporter.
fn add_target(exporter: &Exporter) -> String {
    format!(
        "add the target {} to a scrape_config, and let the port pass; Prometheus shows on /targets \
         what is missing",
        exporter.address
    )
}
