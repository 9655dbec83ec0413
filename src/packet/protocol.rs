//! Names of the upper-layer protocols.

use std::borrow::Cow;

/// IANA "Assigned Internet Protocol Numbers" that the decoder looks into.
pub const ICMP: u8 = 1;
/// TCP, RFC 9293.
pub const TCP: u8 = 6;
/// UDP, RFC 768.
pub const UDP: u8 = 17;
/// DCCP, RFC 4340.
pub const DCCP: u8 = 33;
/// ICMPv6, RFC 4443.
pub const ICMPV6: u8 = 58;
/// SCTP, RFC 9260.
pub const SCTP: u8 = 132;
/// UDP-Lite, RFC 3828.
pub const UDPLITE: u8 = 136;

/// The value of the label `proto`: the lower-case name of a well-known protocol, as `IPPROTO_*`
/// in `linux/in.h` and `/etc/protocols` spell it, else the number.
#[must_use]
pub fn name(number: u8) -> Cow<'static, str> {
    let name = match number {
        0 => "hopopt",
        ICMP => "icmp",
        2 => "igmp",
        4 => "ipip",
        TCP => "tcp",
        8 => "egp",
        UDP => "udp",
        DCCP => "dccp",
        41 => "ipv6",
        43 => "ipv6-route",
        44 => "ipv6-frag",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        ICMPV6 => "icmpv6",
        59 => "ipv6-nonxt",
        60 => "ipv6-opts",
        88 => "eigrp",
        89 => "ospf",
        94 => "ipencap",
        103 => "pim",
        108 => "ipcomp",
        112 => "vrrp",
        115 => "l2tp",
        SCTP => "sctp",
        135 => "mobility",
        UDPLITE => "udplite",
        137 => "mpls",
        139 => "hip",
        143 => "ethernet",
        _ => return number.to_string().into(),
    };
    name.into()
}
