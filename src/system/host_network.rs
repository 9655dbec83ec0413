//! The network that counts as one host in limits per client.

use std::net::{IpAddr, Ipv6Addr};

/// The network of one host: an IPv4 address, or the first 64 bits of an IPv6 address (RFC 4291, 2.5.4), of which a host
/// can use every address.
#[must_use]
pub fn host_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_network() {
        let check = |address: &str, expect: &str| {
            let expect: IpAddr = expect.parse().unwrap();
            assert_eq!(host_network(address.parse().unwrap()), expect, "{address}");
        };
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::");
        check("::1", "::");
    }
}
