//! Decides which addresses are globally routable, and extracts IPv4 addresses from IPv6 addresses.
//!
//! Not globally routable are the ranges that IANA's special-purpose address registries (RFC 6890 and its
//! successors) do not list as globally reachable, and the ranges for multicast and reserved ones, which are never
//! the address of a remote end.

#![expect(clippy::unnested_or_patterns, reason = "one range on each line, with its RFC")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address is globally routable. For an IPv4-mapped, NAT64 or 6to4 address, the embedded IPv4 address
/// decides.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    global(address).is_some()
}

/// The address to look up in a database: the address itself, or the embedded IPv4 address; `None` if
/// it is not globally routable.
#[inline]
pub(super) fn global(address: IpAddr) -> Option<IpAddr> {
    let v4 = match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => match embedded_ipv4(v6) {
            Some(v4) => v4,
            None => return is_global_v6(v6).then_some(address),
        },
    };
    is_global_v4(v4).then_some(IpAddr::V4(v4))
}

/// The embedded IPv4 address of an IPv6 address.
#[inline]
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        // IPv4-mapped, ::ffff:0:0/96: RFC 4291, 2.5.5.2
        [0, 0, 0, 0, 0, 0xffff, high, low]
        // NAT64, 64:ff9b::/96: RFC 6052, 2.1
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4, 2002::/16: RFC 3056, 2
        | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[inline]
fn is_global_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // 192.0.0.9/32, Port Control Protocol anycast: RFC 7723
        // 192.0.0.10/32, TURN anycast: RFC 8155
        [192, 0, 0, 9 | 10] => true,
        // 0.0.0.0/8, this network: RFC 791, 3.2
        [0, ..]
        // 10.0.0.0/8, private use: RFC 1918
        | [10, ..]
        // 100.64.0.0/10, shared address space of carriers: RFC 6598
        | [100, 64..=127, ..]
        // 127.0.0.0/8, loopback: RFC 1122, 3.2.1.3
        | [127, ..]
        // 169.254.0.0/16, link local: RFC 3927
        | [169, 254, ..]
        // 172.16.0.0/12, private use: RFC 1918
        | [172, 16..=31, ..]
        // 192.0.0.0/24, IETF protocol assignments: RFC 6890
        | [192, 0, 0, _]
        // 192.0.2.0/24, documentation: RFC 5737
        | [192, 0, 2, _]
        // 192.88.99.2/32, 6a44 relay anycast: RFC 6751
        | [192, 88, 99, 2]
        // 192.168.0.0/16, private use: RFC 1918
        | [192, 168, ..]
        // 198.18.0.0/15, benchmarking: RFC 2544
        | [198, 18 | 19, ..]
        // 198.51.100.0/24, documentation: RFC 5737
        | [198, 51, 100, _]
        // 203.0.113.0/24, documentation: RFC 5737
        | [203, 0, 113, _]
        // 224.0.0.0/4, multicast: RFC 5771
        // 240.0.0.0/4, reserved (class E): RFC 1112, 4; with 255.255.255.255/32, limited
        // broadcast: RFC 919, 7
        | [224..=255, ..] => false,
        _ => true,
    }
}

#[inline]
fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // 2001:1::1/128, Port Control Protocol anycast: RFC 7723
        // 2001:1::2/128, TURN anycast: RFC 8155
        // 2001:1::3/128, DNS-SD service registration anycast: RFC 9665
        [0x2001, 1, 0, 0, 0, 0, 0, 1..=3]
        // 2001:3::/32, automatic multicast tunneling: RFC 7450
        | [0x2001, 3, ..]
        // 2001:4:112::/48, AS112: RFC 7535
        | [0x2001, 4, 0x112, ..]
        // 2001:20::/28, ORCHIDv2: RFC 7343
        // 2001:30::/28, drone remote identification: RFC 9374
        | [0x2001, 0x20..=0x3f, ..] => true,
        // 2001::/23, IETF protocol assignments: RFC 2928; among them 2001::/32, Teredo: RFC 4380,
        // 2001:2::/48, benchmarking: RFC 5180, and 2001:10::/28, ORCHID: RFC 4843
        [0x2001, 0..=0x1ff, ..]
        // 2001:db8::/32, documentation: RFC 3849
        | [0x2001, 0xdb8, ..]
        // 3fff::/20, documentation: RFC 9637
        | [0x3fff, 0..=0xfff, ..] => false,
        // 2000::/3, global unicast: RFC 4291, 2.4. All else is reserved or has another scope:
        // ::/128 unspecified, ::1/128 loopback and ::/96 IPv4-compatible: RFC 4291, 2.5
        // 64:ff9b:1::/48, local NAT64: RFC 8215
        // 100::/64, discard only: RFC 6666
        // 100:0:0:1::/64, dummy: RFC 9780
        // 5f00::/16, segment routing identifiers: RFC 9602
        // fc00::/7, unique local: RFC 4193
        // fe80::/10, link local: RFC 4291, 2.5.6
        // fec0::/10, site local: RFC 3879
        // ff00::/8, multicast: RFC 4291, 2.7
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks whether these addresses are global.
    fn check(expect: bool, addresses: &str) {
        for text in addresses.split_whitespace() {
            let address = text.parse().unwrap();
            assert_eq!(is_global(address), expect, "{text}");
        }
    }

    #[test]
    fn ipv4_ranges() {
        check(false, "0.0.0.0 0.255.255.255");
        check(true, "1.0.0.0 9.255.255.255");
        check(false, "10.0.0.0 10.255.255.255");
        check(true, "11.0.0.0 100.63.255.255");
        check(false, "100.64.0.0 100.127.255.255");
        check(true, "100.128.0.0 126.255.255.255");
        check(false, "127.0.0.0 127.255.255.255");
        check(true, "128.0.0.0 169.253.255.255");
        check(false, "169.254.0.0 169.254.255.255");
        check(true, "169.255.0.0 172.15.255.255");
        check(false, "172.16.0.0 172.31.255.255");
        check(true, "172.32.0.0 191.255.255.255");
        check(false, "192.0.0.0 192.0.0.8 192.0.0.11 192.0.0.170 192.0.0.255");
        check(true, "192.0.0.9 192.0.0.10");
        check(true, "192.0.1.0 192.0.1.255");
        check(false, "192.0.2.0 192.0.2.255");
        check(true, "192.0.3.0 192.31.196.1 192.52.193.1 192.175.48.1");
        check(true, "192.88.99.1 192.88.99.3");
        check(false, "192.88.99.2");
        check(true, "192.167.255.255");
        check(false, "192.168.0.0 192.168.255.255");
        check(true, "192.169.0.0 198.17.255.255");
        check(false, "198.18.0.0 198.19.255.255");
        check(true, "198.20.0.0 198.51.99.255");
        check(false, "198.51.100.0 198.51.100.255");
        check(true, "198.51.101.0 203.0.112.255");
        check(false, "203.0.113.0 203.0.113.255");
        check(true, "203.0.114.0 223.255.255.255");
        check(false, "224.0.0.0 239.255.255.255");
        check(false, "240.0.0.0 255.255.255.254 255.255.255.255");
    }

    #[test]
    fn ipv6_ranges() {
        check(false, ":: ::1 ::2 ::808:808");
        check(false, "64:ff9b:1:: 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 64:ff9b:0:0:1::808:808");
        check(false, "100:: 100::ffff:ffff:ffff:ffff 100:0:0:1::1 1fff::1");
        check(true, "2000:: 2000:ffff::1");
        check(false, "2001:: 2001:0:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "2001:1:: 2001:1::4");
        check(true, "2001:1::1 2001:1::2 2001:1::3");
        check(false, "2001:2:: 2001:2:0:ffff:ffff:ffff:ffff:ffff 2001:2:1::");
        check(true, "2001:3:: 2001:3:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "2001:4:111:ffff:ffff:ffff:ffff:ffff 2001:4:113::");
        check(true, "2001:4:112:: 2001:4:112:ffff:ffff:ffff:ffff:ffff");
        check(false, "2001:5:: 2001:10:: 2001:1f:ffff:ffff:ffff:ffff:ffff:ffff");
        check(true, "2001:20:: 2001:2f:ffff:: 2001:30:: 2001:3f:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "2001:40:: 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(true, "2001:200:: 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
        check(true, "2001:db9:: 2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(true, "2003:: 2620:4f:8000::1 3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(true, "3fff:1000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "4000:: 5eff:: 5f00:: 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff 5f01::");
        check(false, "fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "fe80:: febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "fec0:: feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        check(false, "ff00:: ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }

    #[test]
    fn an_embedded_ipv4_address_is_extracted() {
        check(true, "::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1");
        check(false, "::ffff:10.0.0.1 64:ff9b::192.168.0.1 2002:a00:1::1 2002:7f00:1::");
        for text in ["::ffff:8.8.4.4", "64:ff9b::8.8.4.4", "2002:808:404:5::6", "8.8.4.4"] {
            let expect = Some(IpAddr::from([8, 8, 4, 4]));
            assert_eq!(global(text.parse().unwrap()), expect, "{text}");
        }
        let plain = "2600::1".parse().unwrap();
        assert_eq!(global(plain), Some(plain));
    }
}
