//! Prefixes and ranges of addresses as text.

use std::net::IpAddr;

/// Consecutive addresses of one IP version, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRange {
    /// The first and the last address of IPv4.
    V4(u32, u32),
    /// The first and the last address of IPv6.
    V6(u128, u128),
}

impl AddressRange {
    /// Parses `1.2.3.4`, `1.2.3.0/24` or the same in IPv6. Bits after the prefix are ignored.
    #[must_use]
    pub fn prefix(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            // `parse` accepts a sign.
            Some((_, length)) if !length.bytes().all(|byte| byte.is_ascii_digit()) => return None,
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let length = length.unwrap_or(32);
                let host = if length > 32 { return None } else { u32::MAX.checked_shr(length) };
                let (bits, host) = (address.to_bits(), host.unwrap_or(0));
                Some(Self::V4(bits & !host, bits | host))
            }
            IpAddr::V6(address) => {
                let length = length.unwrap_or(128);
                let host = if length > 128 { return None } else { u128::MAX.checked_shr(length) };
                let (bits, host) = (address.to_bits(), host.unwrap_or(0));
                Some(Self::V6(bits & !host, bits | host))
            }
        }
    }

    /// Parses a prefix, or a range `1.2.3.4-1.2.3.9`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((first, last)) = text.split_once('-') else { return Self::prefix(text) };
        match (first.trim_end().parse().ok()?, last.trim_start().parse().ok()?) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                Some(Self::V4(first.to_bits(), last.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                Some(Self::V6(first.to_bits(), last.to_bits()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressRange::*, *};

    #[test]
    fn prefixes_and_ranges() {
        let check = |text, expect| assert_eq!(AddressRange::parse(text), expect, "{text}");
        check("1.2.3.4", Some(V4(0x0102_0304, 0x0102_0304)));
        check("1.2.3.4/24", Some(V4(0x0102_0300, 0x0102_03ff)));
        check("0.0.0.0/0", Some(V4(0, u32::MAX)));
        check("1.2.3.4/32", Some(V4(0x0102_0304, 0x0102_0304)));
        check("2001:db8::/32", Some(V6(0x2001_0db8 << 96, (0x2001_0db9 << 96) - 1)));
        check("::/0", Some(V6(0, u128::MAX)));
        check("::1/128", Some(V6(1, 1)));
        check("1.2.3.4-1.2.3.9", Some(V4(0x0102_0304, 0x0102_0309)));
        check("::1 - ::2", Some(V6(1, 2)));
        for invalid in [
            "",
            "/",
            "1.2.3",
            "1.2.3.4/",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/+8",
            "1.2.3.4/-1",
            "1.2.3.4/4294967296",
            "1.2.3.9-1.2.3.4",
            "1.2.3.4-::1",
            "1.2.3.4-",
            "-",
            "1.2.3.4/24-1.2.4.0/24",
            "example.net",
            "01.2.3.4",
        ] {
            check(invalid, None);
        }
    }
}
