//! One HTTP request to an address at which an exporter may listen, and the metrics in the response.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Timeout of connecting, of each read and of each write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of a response, bytes; larger than any page of metrics.
const MAX_RESPONSE: u64 = 256 * 1024 * 1024;

/// Packets received, by group; every group that an exporter reads has a sample.
pub(super) const RECEIVED: &str = "nflog_exporter_received_packets_total";

/// The response to a GET request.
pub(super) enum Response {
    /// Status 200, with this body.
    Body(String),
    /// Another status.
    Status(u16),
    /// A listener that does not speak plain HTTP.
    NotHttp,
    /// A listener that does not respond in time.
    TimedOut,
    /// No listener.
    NoListener,
}

/// A page of metrics in the text format.
pub(super) struct Metrics(String);

impl Response {
    /// Sends a plain GET request and reads the response.
    pub(super) fn get(address: SocketAddr, path: &str) -> Self {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(mut stream) => match read_bytes(&mut stream, path) {
                Ok(bytes) => parse(bytes).unwrap_or(Self::NotHttp),
                // A timeout of a socket is the one or the other, depending on the system.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    Self::TimedOut
                }
                Err(_) => Self::NotHttp,
            },
            Err(_) => Self::NoListener,
        }
    }
}

impl Metrics {
    /// The page of metrics in a response body.
    ///
    /// # Errors
    /// The body, if this program did not write it.
    pub(super) fn from_body(body: String) -> Result<Self, String> {
        if body.contains("\nnflog_exporter_build_info{") { Ok(Self(body)) } else { Err(body) }
    }

    /// The value of a metric without labels.
    pub(super) fn value(&self, metric: &str) -> Option<f64> {
        self.samples(metric).find(|(labels, _)| labels.is_empty())?.1.parse().ok()
    }

    /// The value of a counter for one group; `None` if the exporter does not read the group.
    pub(super) fn of_group(&self, metric: &str, group: u16) -> Option<u64> {
        self.of_label(metric, "group", &group.to_string())
    }

    /// The value of a counter with one label.
    pub(super) fn of_label(&self, metric: &str, label: &str, value: &str) -> Option<u64> {
        let wanted = format!("{{{label}=\"{value}\"}}");
        self.samples(metric).find(|(labels, _)| *labels == wanted)?.1.parse().ok()
    }

    /// The sum of a counter over groups.
    pub(super) fn of_groups(&self, metric: &str, groups: &[u16]) -> u64 {
        groups.iter().filter_map(|group| self.of_group(metric, *group)).sum()
    }

    /// Whether the exporter reads a group.
    pub(super) fn has_group(&self, group: u16) -> bool {
        self.of_group(RECEIVED, group).is_some()
    }

    /// The samples of a metric: labels with their braces, and value.
    fn samples(&self, metric: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(metric).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit_once(' ')
        })
    }
}

fn read_bytes(stream: &mut TcpStream, path: &str) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In HTTP/1.0 the end of the connection ends the body.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(MAX_RESPONSE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: Vec<u8>) -> Option<Response> {
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
    Some(if status == 200 { Response::Body(body.to_owned()) } else { Response::Status(status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_separate_by_group() {
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

    #[test]
    fn pages_of_other_programs_are_rejected() {
        assert!(Metrics::from_body("# HELP\nnflog_exporter_build_info{} 1\n".into()).is_ok());
        assert!(Metrics::from_body("# HELP\nnode_exporter_build_info{} 1\n".into()).is_err());
    }
}
