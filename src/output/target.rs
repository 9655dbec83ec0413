//! The targets of outputs as URLs.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::deserialize_text;

/// The socket of the journal: `sd_journal_print(3)`.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where an output writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutputTarget {
    /// Not set.
    #[default]
    None,
    /// `stdout:`
    Stdout,
    /// `file:///PATH`
    File(PathBuf),
    /// `unix:///PATH`: a stream.
    Unix(PathBuf),
    /// `unixgram:///PATH`: datagrams.
    Unixgram(PathBuf),
    /// `tcp://HOST:PORT`
    Tcp(String, u16),
    /// `tls://HOST:PORT`
    Tls(String, u16),
    /// `udp://HOST:PORT`
    Udp(String, u16),
    /// `journal:`, or `journal:///PATH` for another socket.
    Journal(PathBuf),
}

/// A text that is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a target; write file:///PATH, stdout:, unix:///PATH, unixgram:///PATH, tcp://HOST:PORT, \
     tls://HOST:PORT, udp://HOST:PORT or journal:"
)]
pub struct OutputTargetError(String);

impl OutputTarget {
    /// The file that the output writes.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// The host and the port that the output connects to.
    #[must_use]
    pub fn address(&self) -> Option<(&str, u16)> {
        match self {
            Self::Tcp(host, port) | Self::Tls(host, port) | Self::Udp(host, port) => {
                Some((host, *port))
            }
            _ => None,
        }
    }

    /// Whether each row is a datagram.
    #[must_use]
    pub fn has_datagrams(&self) -> bool {
        matches!(self, Self::Unixgram(_) | Self::Udp(..) | Self::Journal(_))
    }
}

impl FromStr for OutputTarget {
    type Err = OutputTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| OutputTargetError(text.into()))
    }
}

fn parse(text: &str) -> Option<OutputTarget> {
    let (scheme, rest) = text.split_once(':')?;
    let path = || rest.strip_prefix("//").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let address = || {
        let (host, port) = rest.strip_prefix("//")?.rsplit_once(':')?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        let is_host = !host.is_empty() && host.bytes().all(is_valid);
        let is_plain = bracketed.is_some() || !host.contains(':');
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (is_host && is_plain).then(|| (host.to_owned(), port))
    };
    Some(match (scheme, rest) {
        ("stdout", "") => OutputTarget::Stdout,
        ("journal", "") => OutputTarget::Journal(JOURNAL.into()),
        ("journal", _) => OutputTarget::Journal(path()?),
        ("file", _) => OutputTarget::File(path()?),
        ("unix", _) => OutputTarget::Unix(path()?),
        ("unixgram", _) => OutputTarget::Unixgram(path()?),
        ("tcp", _) => address().map(|(host, port)| OutputTarget::Tcp(host, port))?,
        ("tls", _) => address().map(|(host, port)| OutputTarget::Tls(host, port))?,
        ("udp", _) => address().map(|(host, port)| OutputTarget::Udp(host, port))?,
        _ => return None,
    })
}

impl fmt::Display for OutputTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path) = match self {
            Self::None => return Ok(()),
            Self::Stdout => return formatter.write_str("stdout:"),
            Self::File(path) => ("file", path),
            Self::Unix(path) => ("unix", path),
            Self::Unixgram(path) => ("unixgram", path),
            Self::Journal(path) if path == Path::new(JOURNAL) => {
                return formatter.write_str("journal:");
            }
            Self::Journal(path) => ("journal", path),
            Self::Tcp(host, port) => return write_address(formatter, "tcp", host, *port),
            Self::Tls(host, port) => return write_address(formatter, "tls", host, *port),
            Self::Udp(host, port) => return write_address(formatter, "udp", host, *port),
        };
        write!(formatter, "{scheme}://{}", path.display())
    }
}

fn write_address(
    formatter: &mut fmt::Formatter<'_>,
    scheme: &str,
    host: &str,
    port: u16,
) -> fmt::Result {
    if host.contains(':') {
        return write!(formatter, "{scheme}://[{host}]:{port}");
    }
    write!(formatter, "{scheme}://{host}:{port}")
}

impl Serialize for OutputTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OutputTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_urls() {
        for text in [
            "stdout:",
            "file:///var/log/a b.log",
            "unix:///run/a.sock",
            "unixgram:///dev/log",
            "tcp://192.0.2.1:601",
            "tls://logs.example.net:6514",
            "udp://[2001:db8::1]:514",
            "journal:",
            "journal:///tmp/socket",
        ] {
            assert_eq!(text.parse::<OutputTarget>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "/var/log/a.log",
            "file://a.log",
            "file:a.log",
            "stdout:x",
            "tcp://host",
            "tcp://:514",
            "tcp://host:0",
            "udp://2001:db8::1:514",
            "tcp://ho st:1",
            "http://host:80",
        ] {
            let error = text.parse::<OutputTarget>().unwrap_err().to_string();
            assert!(error.contains("is not a target"), "{text}");
        }
    }
}
