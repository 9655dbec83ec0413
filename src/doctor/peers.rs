//! Who is on the other side of the HTTP server: its ports, the exporter that runs, its Prometheus.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Finding, host::is_ours};
use crate::{
    config::{Config, ListenAddress},
    http::Guard,
    process::listening_on,
};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer: no page of metrics is longer.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// After how long a Prometheus that scraped counts as gone: as long as it keeps a series alive.
const LATELY: f64 = 300.0;

/// An exporter that runs with this configuration, as its metrics tell.
pub(super) struct Running {
    address: SocketAddr,
    path: String,
    metrics: String,
}

impl Running {
    /// The same, asked again.
    pub(super) fn again(&self) -> Option<Self> {
        Self::ask(self.address, &self.path)
    }

    fn ask(address: SocketAddr, path: &str) -> Option<Self> {
        let metrics = get(address, path)?;
        let ours = metrics.contains("\nnflog_exporter_build_info{");
        ours.then(|| Self { address, path: path.into(), metrics })
    }

    /// The sum of a counter over its labels.
    pub(super) fn sum(&self, metric: &str) -> u64 {
        self.values(metric).filter_map(|value| value.parse::<u64>().ok()).sum()
    }

    fn values(&self, metric: &str) -> impl Iterator<Item = &str> {
        let of_metric = move |line: &&str| {
            line.strip_prefix(metric).is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        self.metrics.lines().filter(of_metric).filter_map(|line| line.rsplit(' ').next())
    }
}

/// The exporter that answers at one of the configuration's addresses.
pub(super) fn running(config: &Config) -> Option<Running> {
    let path = &config.web.telemetry_path;
    config.web.listen_addresses.iter().find_map(|address| Running::ask(to_ask(address)?, path))
}

/// The address to ask at: loopback for one that listens everywhere.
fn to_ask(address: &ListenAddress) -> Option<SocketAddr> {
    let host = match address.host.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    (host, address.port).to_socket_addrs().ok()?.next()
}

/// The body of a plain GET that went well.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // In this version the end of the body is the end of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1)? == "200").then(|| body.to_owned())
}

/// TLS and passwords.
pub(super) fn web_config(config: &Config) -> Finding {
    let file = &config.web.config_file;
    if file.as_os_str().is_empty() {
        return Finding::skipped("web_config", "none: plain HTTP, no password");
    }
    match Guard::open(file) {
        Ok(_) => Finding::ok("web_config", format!("{} can be followed", file.display())),
        Err(error) => Finding::failed(
            "web_config",
            error.to_string(),
            "correct it; `promtool check web-config FILE` knows the format too",
        ),
    }
}

pub(super) fn ports(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    if config.web.systemd_socket {
        return vec![Finding::skipped("port", "systemd has the sockets")];
    }
    config.web.listen_addresses.iter().map(|address| port(address, running)).collect()
}

fn port(address: &ListenAddress, running: Option<&Running>) -> Finding {
    let host = if address.host.is_empty() { "::" } else { &address.host };
    let Err(error) = TcpListener::bind((host, address.port)) else {
        return Finding::ok("port", format!("{address} is free"));
    };
    let owner = listening_on(address.port);
    let ours = owner.as_ref().is_some_and(|(_, name)| is_ours(name));
    if error.kind() == ErrorKind::AddrInUse && (ours || running.is_some()) {
        return Finding::ok("port", format!("{address} is served by an exporter that runs"));
    }
    let holder = match owner {
        Some((pid, name)) if error.kind() == ErrorKind::AddrInUse => {
            format!(": {} (pid {pid}) has it", name.escape_default())
        }
        _ => String::new(),
    };
    Finding::failed(
        "port",
        format!("{address} cannot be listened on: {error}{holder}"),
        "stop the program that has it, or choose another with --web.listen-address",
    )
}

pub(super) fn prometheus(config: &Config, running: Option<&Running>) -> Finding {
    let Some(running) = running else {
        let why = if config.web.config_file.as_os_str().is_empty() {
            "no exporter runs here"
        } else {
            "no exporter answers here without TLS or a password"
        };
        return Finding::skipped("prometheus", why);
    };
    let last = running.values("nflog_exporter_last_scrape_timestamp_seconds").next();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let age = last.and_then(|last| last.parse::<f64>().ok()).map(|last| now - last);
    match age {
        Some(age) if age < LATELY => {
            Finding::ok("prometheus", format!("it scraped {:.0} s ago", age.max(0.0)))
        }
        age => Finding::failed(
            "prometheus",
            match age {
                Some(age) => format!("the last scrape was {age:.0} s ago"),
                None => "none has scraped this exporter since its start".into(),
            },
            format!(
                "add the target {} to a scrape_config, and let the port pass; Prometheus shows on \
                 /targets what it lacks",
                running.address
            ),
        ),
    }
}
