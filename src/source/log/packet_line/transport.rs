//! The fields of a transport header.

use super::{order::Place, values};
use crate::packet::{Transport, protocol};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

/// Types of ICMP and ICMPv6 after whose code the kernel writes more.
const ICMP_WITH_MORE: [u8; 7] = [0, 3, 4, 5, 8, 11, 12];
const ICMPV6_WITH_MORE: [u8; 6] = [1, 2, 3, 4, 128, 129];

/// What was read of a transport header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TransportFields {
    pub protocol: Option<u8>,
    /// Not the first fragment: it has no transport header.
    pub is_later_fragment: bool,
    /// Source port, or type.
    first: Option<u16>,
    /// Destination port, or code.
    second: Option<u16>,
    flags: u8,
    /// Whether all TCP flags were read.
    is_flags_end: bool,
}

impl TransportFields {
    pub fn has_ports(&self) -> bool {
        let protocol = self.protocol;
        matches!(protocol, Some(protocol::TCP | protocol::UDP | protocol::UDPLITE))
    }

    pub fn is_icmp(&self) -> bool {
        matches!(self.protocol, Some(protocol::ICMP | protocol::ICMPV6))
    }

    /// Reads `PROTO=`: a number, or one of the names that the kernel writes.
    pub fn set_protocol(&mut self, text: &[u8]) -> bool {
        self.protocol = match text {
            b"TCP" => Some(protocol::TCP),
            b"UDP" => Some(protocol::UDP),
            b"UDPLITE" => Some(protocol::UDPLITE),
            b"ICMP" => Some(protocol::ICMP),
            b"ICMPv6" => Some(protocol::ICMPV6),
            b"AH" => Some(protocol::AH),
            b"ESP" => Some(protocol::ESP),
            number => values::decimal(number),
        };
        self.protocol.is_some()
    }

    /// Reads a port, a type or a code. Returns whether the value is valid.
    pub fn set_number(&mut self, place: Place, text: &[u8]) -> bool {
        let maximum = if self.is_icmp() { u16::from(u8::MAX) } else { u16::MAX };
        let number = values::decimal(text).filter(|number| *number <= maximum);
        if place == Place::First {
            self.first = number;
        } else {
            self.second = number;
        }
        number.is_some()
    }

    /// Reads a TCP flag. `None` for another word; otherwise whether it comes in the kernel's order.
    pub fn set_flag(&mut self, word: &[u8]) -> Option<bool> {
        let flag = match word {
            // The ninth flag is not in the byte.
            b"AE" => return Some(self.flags == 0),
            b"CWR" => CWR,
            b"ECE" => ECE,
            b"URG" => URG,
            b"ACK" => ACK,
            b"PSH" => PSH,
            b"RST" => RST,
            b"SYN" => SYN,
            b"FIN" => FIN,
            _ => return None,
        };
        let is_in_order = self.flags == 0 || flag < self.flags & self.flags.wrapping_neg();
        self.flags |= flag;
        Some(is_in_order)
    }

    /// Notes that the line has the field after the TCP flags.
    pub fn end_flags(&mut self) {
        self.is_flags_end = true;
    }

    /// Whether this protocol is the last field of a line: another one is not cut short here.
    pub fn may_end_with_protocol(&self, text: &[u8]) -> bool {
        self.is_later_fragment || text.iter().all(u8::is_ascii_digit)
    }

    /// Whether the code is the last field of a line.
    pub fn may_end_with_code(&self) -> bool {
        let Some(kind) = self.first.and_then(|kind| u8::try_from(kind).ok()) else { return false };
        match self.protocol {
            Some(protocol::ICMP) => !ICMP_WITH_MORE.contains(&kind),
            Some(protocol::ICMPV6) => !ICMPV6_WITH_MORE.contains(&kind),
            _ => false,
        }
    }

    /// Whether the line has reached the fields after the transport header.
    pub fn may_be_followed_by(&self, reached: Place) -> bool {
        match self.protocol {
            _ if self.is_later_fragment => true,
            Some(protocol::TCP) => reached >= Place::UrgentPointer,
            Some(protocol::UDP | protocol::UDPLITE) => reached >= Place::Third,
            _ => true,
        }
    }

    pub fn transport(&self) -> Transport {
        let (Some(first), Some(second)) = (self.first, self.second) else {
            return Transport::None;
        };
        match self.protocol {
            Some(protocol::TCP) if self.is_flags_end => {
                Transport::Tcp { source: first, destination: second, flags: self.flags }
            }
            Some(protocol::ICMP | protocol::ICMPV6) => {
                let byte = |number: u16| number.to_be_bytes()[1];
                Transport::Icmp { kind: byte(first), code: byte(second) }
            }
            _ => Transport::Ports { source: first, destination: second },
        }
    }

    /// Whether nothing of the header is missing.
    pub fn is_whole(&self) -> bool {
        match (self.protocol, self.transport()) {
            (None, _) => false,
            (Some(protocol::TCP), transport) if !self.is_later_fragment => {
                matches!(transport, Transport::Tcp { .. })
            }
            (Some(_), transport) => {
                self.is_later_fragment
                    || transport != Transport::None
                    || !(self.has_ports() || self.is_icmp())
            }
        }
    }
}
