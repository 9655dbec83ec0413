//! Reads the packet that a firewall's log line describes.
//!
//! The kernel writes the line in `net/netfilter/nf_log_syslog.c` (`LOG` of iptables, `log` of nftables, before Linux
//! 5.13 in `nf_log_ipv4.c` and its siblings, before 3.6 in `ipt_LOG.c`), ulogd in its output `LOGEMU`. All of them
//! write `PREFIXIN=DEVICE OUT=DEVICE `, then fields in a fixed order, each followed by a blank.
//!
//! Files contain damaged lines: cut at a limit, two lines in one, bytes of another file after a crash. The order of
//! the fields shows where a line stops to be the kernel's. What comes before that place is kept.

mod arp;
mod fields;
mod link;
mod order;
mod start;
mod tokens;
mod transport;
mod values;

use crate::{
    event::HardwareAddress,
    packet::{DecodeIssue, Direction, Headers},
};
use fields::Fields;

/// Maximum length of a text in bytes. The kernel writes at most 1,023; syslog daemons cut at 8,192 by default.
pub const MAX_TEXT: usize = 8192;

/// At most this many headers of one text are tried, from the last to the first.
const MAX_HEADERS: usize = 32;

/// One packet of a log line. Texts are borrowed from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedPacket<'a> {
    /// The rule's log prefix with its blanks; untrusted bytes.
    pub prefix: &'a [u8],
    /// Name of the input device, or of the bridge port if the packet has no other; empty for none.
    pub in_device: &'a str,
    /// Name of the output device, as above.
    pub out_device: &'a str,
    /// Direction by the devices: only an output device is [`Direction::Out`]. `None` for a packet without devices.
    pub direction: Option<Direction>,
    /// `EtherType`, if known.
    pub ether_type: Option<u16>,
    /// Hardware address of the sender; empty for none.
    pub hardware_address: HardwareAddress,
    /// The firewall mark, 0 for none.
    pub mark: u32,
    /// User id of the local socket that sent the packet.
    pub uid: Option<u32>,
    /// The headers. [`DecodeIssue::Truncated`] if the packet was too short for the kernel, or the line was cut.
    pub headers: Headers,
}

/// Why a text is no packet: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Not about a packet.
    NotAPacket,
    /// A part of a packet's line without both addresses.
    Incomplete,
    /// An address is invalid, or the addresses are of two IP versions.
    Malformed,
    /// Longer than [`MAX_TEXT`].
    TooLong,
}

impl SkipReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::NotAPacket, Self::Incomplete, Self::Malformed, Self::TooLong];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAPacket => "not_a_packet",
            Self::Incomplete => "incomplete",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
        }
    }
}

/// Reads the packet in a message text, without the envelope of syslog.
///
/// A text with two packets is two lines without a line break between them: the last packet whose line is whole
/// counts. No packet has fields of two.
///
/// # Errors
/// Why the text is no packet.
pub fn parse(text: &[u8]) -> Result<LoggedPacket<'_>, SkipReason> {
    if text.len() > MAX_TEXT {
        return Err(SkipReason::TooLong);
    }
    let Some(mut header) = start::last_header(text) else {
        let began = start::is_part_of_packet(text);
        return Err(if began { SkipReason::Incomplete } else { SkipReason::NotAPacket });
    };
    let mut best = Err(SkipReason::Incomplete);
    let mut end = text.len();
    for attempt in 0..MAX_HEADERS {
        let (packet, is_whole) = Fields::read(&text[header.fields..end]).packet(&header);
        if is_whole {
            return packet.map(|packet| with_prefix(packet, text, header.at));
        }
        if attempt == 0 || (best.is_err() && packet.is_ok()) {
            best = packet.map(|packet| with_prefix(packet, text, header.at));
        }
        end = header.at;
        match start::last_header(&text[..end]) {
            Some(earlier) => header = earlier,
            None => break,
        }
    }
    best
}

fn with_prefix<'a>(packet: LoggedPacket<'a>, text: &'a [u8], at: usize) -> LoggedPacket<'a> {
    LoggedPacket { prefix: start::prefix(&text[..at]), ..packet }
}

/// The direction by whether there is an input and an output device.
fn direction(in_device: &[u8], out_device: &[u8]) -> Option<Direction> {
    match (in_device.is_empty(), out_device.is_empty()) {
        (false, true) => Some(Direction::In),
        (true, false) => Some(Direction::Out),
        (false, false) => Some(Direction::Forward),
        (true, true) => None,
    }
}

impl<'a> Fields<'a> {
    /// The packet, without its prefix, and whether its line is whole.
    fn packet(&self, header: &start::Header<'a>) -> (Result<LoggedPacket<'a>, SkipReason>, bool) {
        let (headers, is_whole) = match self.headers() {
            Ok(headers) => headers,
            Err(reason) => return (Err(reason), false),
        };
        let or =
            |device: &'a [u8], port| values::text(if device.is_empty() { port } else { device });
        let packet = LoggedPacket {
            prefix: &[],
            in_device: or(header.in_device, self.in_port),
            out_device: or(header.out_device, self.out_port),
            direction: direction(header.in_device, header.out_device),
            ether_type: self.ether_type(),
            hardware_address: self.link.sender,
            mark: self.mark,
            uid: self.uid,
            headers,
        };
        (Ok(packet), is_whole)
    }

    /// The `EtherType` that the line shows, or that its IP version has.
    fn ether_type(&self) -> Option<u16> {
        use crate::packet::Addresses;
        match self.addresses() {
            Some(Addresses::V4 { .. }) => Some(link::IPV4),
            Some(Addresses::V6 { .. }) => Some(link::IPV6),
            None if self.is_arp() => Some(link::ARP),
            None => self.link.ether_type,
        }
    }
}

/// The issue of a packet whose line or bytes end too early, or contradict themselves.
fn issue(is_malformed: bool, is_truncated: bool) -> Option<DecodeIssue> {
    match (is_malformed, is_truncated) {
        (true, _) => Some(DecodeIssue::Malformed),
        (_, true) => Some(DecodeIssue::Truncated),
        _ => None,
    }
}
