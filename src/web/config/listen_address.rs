//! Addresses to listen on, in the notation of Prometheus exporters.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::deserialize_text;

/// `host:port`, `[IPv6]:port`, or `:port` for all addresses of this host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// A name or an address, IPv6 without brackets; empty: all addresses.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

/// A text that is not a listen address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a listen address; write HOST:PORT, [IPv6]:PORT, or :PORT for all addresses"
)]
pub struct ListenAddressError {
    text: String,
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        split(text)
            .map(|(host, port)| Self { host: host.into(), port })
            .ok_or_else(|| ListenAddressError { text: text.into() })
    }
}

/// Host without brackets, and port.
fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    // `parse` accepts `+80`.
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.strip_suffix(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return Some((address, port));
    }
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    host.bytes().all(in_name).then_some((host, port))
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let check = |text: &str, host: &str, port: u16| {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        };
        check("127.0.0.1:10239", "127.0.0.1", 10239);
        check(":10239", "", 10239);
        check("[::1]:1", "::1", 1);
        check("host.example:0", "host.example", 0);
    }

    #[test]
    fn other_texts_are_invalid() {
        for text in [
            "",
            "10239",
            "localhost",
            "1.2.3.4:",
            ":65536",
            ":+1",
            "::1:1",
            "[::1]",
            "[x]:1",
            "a b:1",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a listen address; write ")),
                "{error}"
            );
        }
    }
}
