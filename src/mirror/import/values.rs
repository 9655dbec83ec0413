//! Parses the values of ulogd's columns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::event::HardwareAddress;

/// How a number is an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// ulogd 1, and `INET_ATON` of MySQL: the first byte is the most significant one.
    First,
    /// ulogd 2: the bytes in memory, read as a number of a little-endian host.
    Last,
}

/// A whole number, also as a boolean of PostgreSQL.
pub(super) fn number(value: &[u8]) -> Option<i64> {
    match value {
        b"t" | b"true" => Some(1),
        b"f" | b"false" => Some(0),
        value => str::from_utf8(value).ok()?.trim().parse().ok(),
    }
}

/// An address: 4 or 16 bytes, a text, or a number. IPv4 in IPv6 is IPv4.
pub(super) fn address(value: &[u8], order: ByteOrder) -> Option<IpAddr> {
    let text = str::from_utf8(value).ok()?.trim();
    if let Some(digits) = text.strip_prefix('x') {
        let bytes = bytes(digits)?;
        return match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(bytes).ok().map(|it| Ipv6Addr::from(it).to_canonical()),
            // A text in a binary column.
            _ => address(&bytes, order),
        };
    }
    if text.contains(['.', ':']) {
        // PostgreSQL appends the length of the network.
        let text = text.split('/').next().unwrap_or_default();
        return text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    }
    let number: u32 = text.parse().ok()?;
    let bytes = match order {
        ByteOrder::First => number.to_be_bytes(),
        ByteOrder::Last => number.to_le_bytes(),
    };
    Some(Ipv4Addr::from(bytes).into())
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

/// A hardware address, `aa:bb:…`.
pub(super) fn hardware_address(value: &[u8]) -> Option<HardwareAddress> {
    let bytes = colon_bytes(value)?;
    (bytes.len() <= 8).then(|| HardwareAddress::new(&bytes))
}

/// The sender in a link header, `aa:bb:…`: of Ethernet, destination, source and type; otherwise none.
pub(super) fn link_source(value: &[u8]) -> Option<HardwareAddress> {
    let bytes = colon_bytes(value)?;
    (bytes.len() == 14).then(|| HardwareAddress::new(&bytes[6..12]))
}

fn colon_bytes(value: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(value).ok()?.trim_matches(|it: char| it == ':' || it.is_whitespace());
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |value: &str, order, expect: &str| {
            assert_eq!(address(value.as_bytes(), order), Some(expect.parse().unwrap()), "{value}");
        };
        for order in [ByteOrder::First, ByteOrder::Last] {
            check("192.0.2.1", order, "192.0.2.1");
            check("192.0.2.1/32", order, "192.0.2.1");
            check("2001:db8::1/128", order, "2001:db8::1");
            check("::ffff:192.0.2.1", order, "192.0.2.1");
            check("xC0000201", order, "192.0.2.1");
            check("x00000000000000000000FFFFC0000201", order, "192.0.2.1");
            check("x20010db8000000000000000000000001", order, "2001:db8::1");
            check("x3139322E302E322E31", order, "192.0.2.1");
        }
        check("3221225985", ByteOrder::First, "192.0.2.1");
        check("16777343", ByteOrder::Last, "127.0.0.1");
        for value in
            ["", "x", "x0", "xC00002", "4294967296", "-1", "1.2.3", "gate", "x78", "xzz", "xé"]
        {
            assert_eq!(address(value.as_bytes(), ByteOrder::First), None, "{value}");
        }
        assert_eq!(address(b"\xff", ByteOrder::First), None);
    }

    #[test]
    fn numbers_and_hardware_addresses() {
        assert_eq!(
            [number(b"t"), number(b"f"), number(b" 7 "), number(b"-1"), number(b"x")],
            [Some(1), Some(0), Some(7), Some(-1), None]
        );
        let ethernet = HardwareAddress::new(&[2, 0, 0, 0, 0, 1]);
        assert_eq!(hardware_address(b"02:00:00:00:00:01"), Some(ethernet));
        assert_eq!(hardware_address(b"02:00:00:00:00:zz"), None);
        assert_eq!(link_source(b"ff:ff:ff:ff:ff:ff:02:00:00:00:00:01:08:00"), Some(ethernet));
        assert_eq!(link_source(b"45:00"), None);
    }
}
