//! Numbers and names of link types.

use std::fmt;

use super::link_type_names::NAMES;

/// A supported link type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum LinkType {
    /// Address family in 4 bytes, of either byte order: loopback of the BSDs.
    Loopback,
    /// Destination, source, `EtherType`.
    Ethernet,
    /// PPP, with or without its address and control field.
    Ppp,
    /// An IP packet of either version.
    Raw,
    /// PPP in HDLC-like framing, or Cisco HDLC.
    PppHdlc,
    /// A PPPoE session, without its Ethernet header.
    PppEthernet,
    /// Cisco HDLC.
    CiscoHdlc,
    /// IEEE 802.11.
    Wlan,
    /// IPsec of OpenBSD.
    Enc,
    /// Linux cooked, 16 bytes.
    Cooked,
    /// The packet log of pf.
    Pflog,
    /// IEEE 802.11 after a header of Prism's.
    Prism,
    /// IEEE 802.11 after a radiotap header.
    Radiotap,
    /// IEEE 802.11 after a header of AVS's.
    Avs,
    /// PPP of pppd, its address byte replaced by the direction.
    PppPppd,
    /// A header that contains a frame and its link type.
    Ppi,
    /// PPP after a byte with the direction.
    PppWithDirection,
    /// The IP layer of Solaris.
    Ipnet,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// A message of the kernel's packet log.
    Nflog,
    /// IP over `InfiniBand`.
    InfiniBand,
    /// Apple's header that contains a frame and its link type.
    Pktap,
    /// Linux cooked, second version, 20 bytes.
    Cooked2,
    /// Ethernet with a switch tag of this many bytes after the addresses.
    SwitchTag(u8),
    /// Ethernet after a switch tag of this many bytes.
    SwitchTagBefore(u8),
}

/// Link types by number: those of the registry, and two system-specific numbers of raw IP.
const NUMBERS: [(u32, LinkType); 31] = [
    (0, LinkType::Loopback),
    (1, LinkType::Ethernet),
    (9, LinkType::Ppp),
    (101, LinkType::Raw),
    (12, LinkType::Raw),
    (14, LinkType::Raw),
    (50, LinkType::PppHdlc),
    (51, LinkType::PppEthernet),
    (104, LinkType::CiscoHdlc),
    (105, LinkType::Wlan),
    (108, LinkType::Loopback),
    (109, LinkType::Enc),
    (113, LinkType::Cooked),
    (117, LinkType::Pflog),
    (119, LinkType::Prism),
    (127, LinkType::Radiotap),
    (163, LinkType::Avs),
    (166, LinkType::PppPppd),
    (192, LinkType::Ppi),
    (204, LinkType::PppWithDirection),
    (226, LinkType::Ipnet),
    (228, LinkType::Ipv4),
    (229, LinkType::Ipv6),
    (239, LinkType::Nflog),
    (242, LinkType::InfiniBand),
    (258, LinkType::Pktap),
    (276, LinkType::Cooked2),
    (281, LinkType::SwitchTag(4)),
    (282, LinkType::SwitchTagBefore(4)),
    (284, LinkType::SwitchTag(4)),
    (285, LinkType::SwitchTag(8)),
];

impl LinkType {
    /// The link type of a number; `None` if unsupported.
    pub(in crate::source) fn from_number(number: u32) -> Option<Self> {
        NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, link)| *link)
    }

    /// The first number of this link type.
    pub(super) fn number(self) -> u32 {
        NUMBERS.iter().find(|(_, link)| *link == self).map_or(u32::MAX, |(number, _)| *number)
    }

    /// All supported numbers and link types.
    #[cfg(test)]
    pub(in crate::source) fn all() -> impl Iterator<Item = (u32, Self)> {
        NUMBERS.into_iter()
    }
}

/// The number of a link type, displayed with its name: `189 (USB_LINUX)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct NamedLinkType(pub(in crate::source) u32);

impl fmt::Display for NamedLinkType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.binary_search_by_key(&self.0, |(number, _)| *number) {
            Ok(index) => write!(formatter, "{} ({})", self.0, NAMES[index].1),
            Err(_) => write!(formatter, "{}", self.0),
        }
    }
}
