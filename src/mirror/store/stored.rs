//! Converts the values of columns back to those of a row.

use std::net::{IpAddr, Ipv6Addr};

use crate::packet::{DecodeIssue, Direction};

/// The address of 16 bytes, in which IPv4 is `::ffff:a.b.c.d`.
pub(super) fn address(stored: Ipv6Addr, ip_version: Option<u8>) -> IpAddr {
    match stored.to_ipv4_mapped() {
        Some(address) if ip_version == Some(4) => address.into(),
        _ => stored.into(),
    }
}

/// The direction of this name.
pub(super) fn direction(name: &str) -> Option<Direction> {
    Direction::ALL.into_iter().find(|direction| direction.name() == name)
}

/// The issue of this name.
pub(super) fn issue(name: &str) -> Option<DecodeIssue> {
    DecodeIssue::ALL.into_iter().find(|issue| issue.name() == name)
}
