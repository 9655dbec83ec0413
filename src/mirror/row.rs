//! The row: one packet as the databases keep it. Flat, owned, and stable: the spool holds it as bytes.

use std::net::IpAddr;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::{
    event::{HardwareAddress, Hook},
    packet::{DecodeIssue, Direction},
};

/// One packet of the table `packets`: a field for each column that is inserted, in their order.
///
/// Texts are free of control characters and at most [`MAX_TEXT`] bytes long. The order of fields is
/// the order of bytes in the spool: a change of it takes a new version of the spool's format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// NFLOG group.
    pub group: u16,
    /// The rule's log prefix; may be empty.
    pub prefix: CompactString,
    /// Where in the kernel the packet was logged.
    pub hook: Option<Hook>,
    /// Which way it went.
    pub direction: Option<Direction>,
    /// Device it came in on; may be empty.
    pub in_device: CompactString,
    /// Device it goes out on; may be empty.
    pub out_device: CompactString,
    /// The firewall mark.
    pub mark: u32,
    /// User id of the local socket that sent it.
    pub uid: Option<u32>,
    /// Hardware address of the sender; may be empty.
    pub hardware_address: HardwareAddress,
    /// 4 or 6, when the IP header could be read.
    pub ip_version: Option<u8>,
    /// Who sent it.
    pub source: Option<IpAddr>,
    /// Whom it is for.
    pub destination: Option<IpAddr>,
    /// Upper-layer protocol (IANA).
    pub protocol: Option<u8>,
    /// Bytes on the wire from the IP header on.
    pub length: u32,
    /// Bytes of it that the kernel copied.
    pub captured_length: u32,
    /// IPv4 time to live or IPv6 hop limit, when the IP header could be read.
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
    /// Why the packet could not be read in full.
    pub issue: Option<DecodeIssue>,
    /// ISO 3166-1 alpha-2 of the remote end, `private` or `unknown`: as the label `country`.
    pub country: CompactString,
    /// City of the remote end; empty when no database told.
    pub city: CompactString,
    /// Degrees north: of the city, else of the country's centre.
    pub latitude: Option<f64>,
    /// Degrees east, with `latitude`.
    pub longitude: Option<f64>,
    /// Autonomous system of the remote end.
    pub asn: Option<u32>,
    /// How many packets this row stands for: N where one in N is kept.
    pub weight: u32,
}

/// Longest text of a row, bytes.
pub const MAX_TEXT: usize = 128;
