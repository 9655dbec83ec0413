//! Addresses of the syslog listener, and the networks of its senders.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::deserialize_text;

/// How senders are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
    /// Connections with TLS.
    Tls,
}

/// Where the listener listens: `udp://ADDRESS:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyslogAddress {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
}

/// A text that is not an address of the listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a syslog address; write udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT, such as \
     udp://192.0.2.1:514 or udp://[::]:514"
)]
pub struct SyslogAddressError(String);

impl FromStr for SyslogAddress {
    type Err = SyslogAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (scheme, address) = text.split_once("://")?;
            let transport = match scheme {
                "udp" => Transport::Udp,
                "tcp" => Transport::Tcp,
                "tls" => Transport::Tls,
                _ => return None,
            };
            Some(Self { transport, address: address.parse().ok()? })
        };
        parse().ok_or_else(|| SyslogAddressError(text.into()))
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(formatter, "{scheme}://{}", self.address)
    }
}

/// The senders of a network: `192.0.2.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SenderNetwork {
    address: IpAddr,
    length: u8,
}

/// A text that is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write one such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1")]
pub struct SenderNetworkError(String);

impl FromStr for SenderNetwork {
    type Err = SenderNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, length) = match text.split_once('/') {
                Some((address, length)) => (address, Some(length)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let max = if address.is_ipv4() { 32 } else { 128 };
            let length = match length {
                Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                    length.parse().ok()?
                }
                Some(_) => return None,
                None => max,
            };
            (length <= max).then_some(Self { address, length })
        };
        parse().ok_or_else(|| SenderNetworkError(text.into()))
    }
}

impl fmt::Display for SenderNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

impl SenderNetwork {
    /// Whether an address is in the network. IPv4 addresses in IPv6 sockets are IPv4 addresses.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.address.is_ipv4() {
            return false;
        }
        let unused = if address.is_ipv4() { 96 } else { 0 };
        let bits = |address| match address {
            IpAddr::V4(address) => u128::from(Ipv6Addr::from_bits(address.to_bits().into())),
            IpAddr::V6(address) => address.to_bits(),
        };
        let host = 128 - unused - u32::from(self.length);
        let network = |address| u128::checked_shr(bits(address), host).unwrap_or(0);
        network(address) == network(self.address)
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_text(deserializer, str::parse)
            }
        }
    };
}

as_text!(SyslogAddress);
as_text!(SenderNetwork);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_transport() {
        for text in ["udp://192.0.2.1:514", "tcp://[::]:601", "tls://127.0.0.1:6514"] {
            assert_eq!(text.parse::<SyslogAddress>().unwrap().to_string(), text);
        }
        for text in
            ["192.0.2.1:514", "udp://host:514", "udp://192.0.2.1", "http://192.0.2.1:80", ""]
        {
            assert!(text.parse::<SyslogAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks_contain_their_senders() {
        let check = |network: &str, address: &str, expect: bool| {
            let network: SenderNetwork = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expect, "{network} {address}");
        };
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.0/24", "::ffff:192.0.2.7", true);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "203.0.113.1", false);
        check("2001:db8::/33", "2001:db8:7fff::1", true);
        check("2001:db8::/33", "2001:db8:8000::1", false);
        for text in ["192.0.2.0/33", "192.0.2.0/+1", "192.0.2.0/", "x", "", "::/129"] {
            assert!(text.parse::<SenderNetwork>().is_err(), "{text}");
        }
    }
}
