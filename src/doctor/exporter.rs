//! The exporter that runs, if one does: where it is, and what it says of itself.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use super::Finding;
use crate::{
    config::{Config, ListenAddress},
    source::nflog::holder,
    system::socket_owner::{listening_on, ports_of},
};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer: no page of metrics is longer.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// What each group has got: the label that names the groups that are read.
pub(super) const RECEIVED: &str = "nflog_exporter_received_packets_total";

/// An exporter that serves one of the configuration's addresses.
pub(super) struct Exporter {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// Its processes; none where they cannot be seen, as in a container of their own.
    pub(super) pids: Vec<u32>,
    pub(super) voice: Voice,
}

/// What an exporter says of itself.
pub(super) enum Voice {
    Metrics(Metrics),
    /// Nothing to us; why.
    Closed(String),
}

/// A page of metrics in the text format.
pub(super) struct Metrics(String);

/// How an address answered.
enum Heard {
    Body(String),
    /// Another status than 200.
    Status(u16),
    /// Somebody listens, and does not speak plain HTTP.
    Other,
    Nobody,
}

impl Exporter {
    /// The one that runs with this configuration, by preference one that answers.
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
        let heard = get(address, path);
        if matches!(heard, Heard::Nobody) {
            return None;
        }
        let listening = listening_on(address.port());
        let cannot_see = listening.is_empty();
        let pids: Vec<u32> =
            listening.into_iter().filter(|(_, name)| is_ours(name)).map(|(pid, _)| pid).collect();
        let is_guarded = !config.web.config_file.as_os_str().is_empty();
        let voice = match heard {
            Heard::Body(text) if text.contains("\nnflog_exporter_build_info{") => {
                Voice::Metrics(Metrics(text))
            }
            // Who it is, its process tells; or that it does what this configuration asks for.
            _ if pids.is_empty() && !(cannot_see && is_guarded) => return None,
            Heard::Status(401) => Voice::Closed("it asks for a password".into()),
            Heard::Status(status) => {
                Voice::Closed(format!("it answers {path} with the status {status}"))
            }
            Heard::Other => Voice::Closed("it does not speak plain HTTP: it asks for TLS".into()),
            Heard::Body(_) | Heard::Nobody => {
                Voice::Closed(format!("what it answers {path} with is no page of its metrics"))
            }
        };
        Some(Self { address, path: path.into(), pids, voice })
    }

    /// What it said of itself when it was found.
    pub(super) fn metrics(&self) -> Option<&Metrics> {
        match &self.voice {
            Voice::Metrics(metrics) => Some(metrics),
            Voice::Closed(_) => None,
        }
    }

    /// What it says now.
    pub(super) fn ask(&self) -> Option<Metrics> {
        match get(self.address, &self.path) {
            Heard::Body(text) => Some(Metrics(text)),
            _ => None,
        }
    }

    /// Whether it is this process, as far as can be seen.
    pub(super) fn may_be(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }
}

impl fmt::Display for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one runs")?;
        if let Some(pid) = self.pids.first() {
            write!(f, " (pid {pid})")?;
        }
        match &self.voice {
            Voice::Metrics(_) => write!(f, " and answers at {}", self.address),
            Voice::Closed(why) => write!(f, " at {}: {why}", self.address),
        }
    }
}

impl Metrics {
    /// The value of a metric without labels.
    pub(super) fn value(&self, metric: &str) -> Option<f64> {
        self.samples(metric).find(|(labels, _)| labels.is_empty())?.1.parse().ok()
    }

    /// A count of one group; `None` where it does not read that.
    pub(super) fn of_group(&self, metric: &str, group: u16) -> Option<u64> {
        let wanted = format!("{{group=\"{group}\"}}");
        self.samples(metric).find(|(labels, _)| *labels == wanted)?.1.parse().ok()
    }

    /// A count of all these groups.
    pub(super) fn of_groups(&self, metric: &str, groups: &[u16]) -> u64 {
        groups.iter().filter_map(|group| self.of_group(metric, *group)).sum()
    }

    /// Labels in their braces and value of each sample of a metric.
    fn samples(&self, metric: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(metric).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit_once(' ')
        })
    }
}

/// Whether a process's name, 15 bytes at most, is that of this program.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("nflog_exporter")
}

/// Tells of the one that runs.
pub(super) fn exporter(config: &Config, exporter: Option<&Exporter>) -> Finding {
    let Some(exporter) = exporter else {
        return Finding::unknown("exporter", "none runs: what follows is what it would find");
    };
    let unread = |group: &&u16| {
        exporter.metrics().is_some_and(|metrics| metrics.of_group(RECEIVED, **group).is_none())
    };
    if let Some(group) = config.nflog.groups.iter().find(unread) {
        return Finding::failed(
            "exporter",
            format!("{exporter}, but does not read group {group}"),
            "give the doctor the configuration that the exporter has (--config.file), or restart the \
             exporter with this one",
        );
    }
    Finding::ok("exporter", exporter.to_string())
}

/// Where the exporter of this configuration is to be asked.
fn addresses(config: &Config) -> Vec<SocketAddr> {
    let web = &config.web;
    if web.systemd_socket || web.listen_addresses.iter().any(|address| address.port == 0) {
        // The port is known only to the socket unit or the system, and to who holds the group.
        let holders = config.nflog.groups.iter().filter_map(|group| holder(*group).ok()??.program);
        let ports = holders.filter(|(_, name)| is_ours(name)).flat_map(|(pid, _)| ports_of(pid));
        let loopback =
            |port| [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        return ports.flat_map(loopback).collect();
    }
    web.listen_addresses.iter().flat_map(to_ask).collect()
}

/// Where to ask: at loopback for one that listens everywhere.
fn to_ask(address: &ListenAddress) -> Vec<SocketAddr> {
    let host = match address.host.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    (host, address.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

/// A plain GET.
fn get(address: SocketAddr, path: &str) -> Heard {
    let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return Heard::Nobody };
    answer(stream, path).unwrap_or(Heard::Other)
}

fn answer(mut stream: TcpStream, path: &str) -> Option<Heard> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // In this version the end of the body is the end of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
    Some(if status == 200 { Heard::Body(body.to_owned()) } else { Heard::Status(status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_apart_by_group() {
        let metrics = Metrics(
            "# TYPE a counter\na{group=\"1\"} 5\na{group=\"11\"} 7\nab{group=\"1\"} 9\nup 1\nup_to 2\n"
                .into(),
        );
        assert_eq!(metrics.of_group("a", 1), Some(5));
        assert_eq!(metrics.of_group("a", 2), None);
        assert_eq!(metrics.of_groups("a", &[1, 2, 11]), 12);
        assert_eq!(metrics.value("up"), Some(1.0));
        assert_eq!(metrics.value("a"), None);
    }
}
