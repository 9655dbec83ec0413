//! Numbers and names of the upper-layer protocols.

use std::borrow::Cow;

/// ICMP, RFC 792. The numbers here are IANA's "Assigned Internet Protocol Numbers".
pub const ICMP: u8 = 1;
/// IPv6 hop-by-hop options, RFC 8200.
pub const HOP_BY_HOP: u8 = 0;
/// TCP, RFC 9293.
pub const TCP: u8 = 6;
/// UDP, RFC 768.
pub const UDP: u8 = 17;
/// DCCP, RFC 4340.
pub const DCCP: u8 = 33;
/// IPv6 routing header, RFC 8200.
pub const ROUTING: u8 = 43;
/// IPv6 fragment header, RFC 8200.
pub const FRAGMENT: u8 = 44;
/// ESP, RFC 4303.
pub const ESP: u8 = 50;
/// AH, RFC 4302.
pub const AH: u8 = 51;
/// ICMPv6, RFC 4443.
pub const ICMPV6: u8 = 58;
/// IPv6 destination options, RFC 8200.
pub const DESTINATION_OPTIONS: u8 = 60;
/// SCTP, RFC 9260.
pub const SCTP: u8 = 132;
/// UDP-Lite, RFC 3828.
pub const UDPLITE: u8 = 136;

/// Whether the number is that of an IPv6 extension header that the decoder skips.
#[must_use]
pub fn is_extension(number: u8) -> bool {
    matches!(number, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// The value of the label `proto`: the lower-case name of a well-known protocol, as `IPPROTO_*`
/// in `linux/in.h` and `/etc/protocols` spell it, otherwise the number.
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
        ESP => "esp",
        AH => "ah",
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

/// The protocol with this [`name`].
#[must_use]
pub fn number(text: &str) -> Option<u8> {
    (0..=u8::MAX).find(|number| name(*number) == text)
}
