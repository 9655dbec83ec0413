//! Numbers and names of link types.

use std::fmt;

use super::link_type_names::NAMES;

/// A link layer that is read.
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
    /// A header that names the link type of the frame after it.
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
    /// Apple's header, which names the link type of the frame after it.
    Pktap,
    /// Linux cooked, second version, 20 bytes.
    Cooked2,
    /// Ethernet with a switch's tag of so many bytes after the addresses.
    SwitchTag(u8),
    /// Ethernet after a switch's tag of so many bytes.
    SwitchTagBefore(u8),
}

/// Each number with its link type: the registry's, and for raw IP those of two systems besides.
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
    /// The link layer of this number; `None` for one that is not read.
    pub(in crate::source) fn from_number(number: u32) -> Option<Self> {
        NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, link)| *link)
    }

    /// The first number of this link layer.
    pub(super) fn number(self) -> u32 {
        NUMBERS.iter().find(|(_, link)| *link == self).map_or(u32::MAX, |(number, _)| *number)
    }

    /// Every link layer.
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
            Ok(place) => write!(formatter, "{} ({})", self.0, NAMES[place].1),
            Err(_) => write!(formatter, "{}", self.0),
        }
    }
}
