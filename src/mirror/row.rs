//! A row: one packet as databases store it. Flat, owned, and stable: the spool stores it as bytes.

use std::net::IpAddr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{
    event::{ConnectionState, HardwareAddress, Hook},
    packet::{DecodeIssue, Direction},
};

/// One packet of the table `packets`: a field for each inserted column, in order.
///
/// Texts have no control characters and at most [`MAX_TEXT`] bytes. The spool stores the fields in this order, then
/// those of [`RowContext`]: a change requires a new version of the spool's format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// NFLOG group.
    pub group: u16,
    /// The rule's log prefix; may be empty.
    pub prefix: CompactString,
    /// Netfilter hook that logged the packet.
    pub hook: Option<Hook>,
    /// Direction of the packet.
    pub direction: Option<Direction>,
    /// Input device; may be empty.
    pub in_device: CompactString,
    /// Output device; may be empty.
    pub out_device: CompactString,
    /// The firewall mark.
    pub mark: u32,
    /// User id of the local socket that sent the packet.
    pub uid: Option<u32>,
    /// Hardware address of the sender; may be empty.
    pub hardware_address: HardwareAddress,
    /// 4 or 6, when the IP header was decoded.
    pub ip_version: Option<u8>,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// Upper-layer protocol (IANA).
    pub protocol: Option<u8>,
    /// Bytes on the wire, from the IP header on.
    pub length: u32,
    /// Bytes that the kernel copied; of a line of the kernel log, as `length`.
    pub captured_length: u32,
    /// IPv4 time to live or IPv6 hop limit, when the IP header was decoded.
    pub ttl: Option<u8>,
    /// Source port, where the protocol has ports.
    pub source_port: Option<u16>,
    /// Destination port, where the protocol has ports.
    pub destination_port: Option<u16>,
    /// CWR ECE URG ACK PSH RST SYN FIN, from the highest bit to the lowest.
    pub tcp_flags: Option<u8>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// Why the packet could not be decoded in full.
    pub issue: Option<DecodeIssue>,
    /// Country of the remote end, as in the label `country`: ISO 3166-1 alpha-2, `private` or `unknown`.
    pub country: CompactString,
    /// City of the remote end; empty when unknown.
    pub city: CompactString,
    /// Latitude in degrees north: of the city, or else of the country's centre.
    pub latitude: Option<f64>,
    /// Longitude in degrees east, of the same point.
    pub longitude: Option<f64>,
    /// Autonomous system of the remote end.
    pub asn: Option<u32>,
    /// Number of packets that this row represents: N where one in N is kept.
    pub weight: u32,
    /// What the packet belongs to.
    #[serde(skip)]
    pub context: RowContext,
}

/// The host of a row, and the columns that the first schema did not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowContext {
    /// Host that logged the packet; empty for the mirror's own host name.
    pub host: CompactString,
    /// State of the packet's connection.
    pub ct_state: Option<ConnectionState>,
    /// Zone of the packet's connection.
    pub ct_zone: Option<u16>,
    /// Name of the source's network; may be empty.
    pub source_network_name: CompactString,
    /// Name of the destination's network; may be empty.
    pub destination_network_name: CompactString,
    /// Name of the list that has the remote end; may be empty.
    pub list: CompactString,
}

impl Row {
    /// The value of the column `host`. `own` is the mirror's host name.
    #[must_use]
    pub fn host<'a>(&'a self, own: &'a str) -> &'a str {
        if self.context.host.is_empty() { own } else { &self.context.host }
    }
}

/// Maximum length of a text, bytes.
pub const MAX_TEXT: usize = 128;

/// A text as a nullable column.
pub(super) fn some_text(text: &CompactString) -> Option<&str> {
    Some(text.as_str()).filter(|text| !text.is_empty())
}

/// The 16 bytes of an address in a column without a type for addresses: IPv4 as `::ffff:a.b.c.d`.
pub(super) fn sixteen_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .octets()
}
