//! Reads the fields after a header, in the order in which the kernel writes them.

mod words;

use std::net::IpAddr;

use super::{
    SkipReason, issue,
    link::Link,
    order::FieldOrder,
    tokens::{Token, Tokens},
    transport::TransportFields,
    values,
};
use crate::packet::{Addresses, DecodeIssue, Headers};

/// What was read of one packet's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// The place of the last field.
    place: FieldOrder,
    pub in_port: &'a [u8],
    pub out_port: &'a [u8],
    pub link: Link,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    length: Option<u32>,
    hop_limit: Option<u8>,
    transport: TransportFields,
    pub uid: Option<u32>,
    pub mark: u32,
    is_malformed: bool,
    /// The kernel wrote that the packet is too short.
    is_truncated: bool,
    /// The packet that an ICMP error is about.
    is_inner: bool,
}

impl<'a> Fields<'a> {
    /// Reads up to the first text that the kernel does not write at its place.
    pub fn read(text: &'a [u8]) -> Self {
        Self::read_part(text, false).0
    }

    /// Returns also whether the whole text was read.
    fn read_part(text: &'a [u8], is_inner: bool) -> (Self, bool) {
        let mut fields = Self {
            place: FieldOrder::Header,
            in_port: &[],
            out_port: &[],
            link: Link::default(),
            source: None,
            destination: None,
            length: None,
            hop_limit: None,
            transport: TransportFields::default(),
            uid: None,
            mark: 0,
            is_malformed: false,
            is_truncated: false,
            is_inner,
        };
        let mut tokens = Tokens::new(text);
        while let Some(token) = tokens.next() {
            if !fields.take(token, &mut tokens) {
                break;
            }
        }
        (fields, tokens.next().is_none())
    }

    /// Reads one token. Returns whether the line continues.
    fn take(&mut self, token: Token<'a>, tokens: &mut Tokens<'a>) -> bool {
        let word = without_level(token.text);
        match word.first() {
            Some(b'(' | b')') => return self.place >= FieldOrder::Id,
            Some(b'[') if self.transport.is_icmp() && !self.is_inner => {
                let inner = tokens.skip_brackets(token);
                return Self::read_part(inner, true).1 && self.advance(FieldOrder::Rest);
            }
            Some(byte) if byte.is_ascii_alphabetic() => {}
            _ => return false,
        }
        match word.iter().position(|byte| *byte == b'=') {
            Some(at) => self.field(&word[..at], &word[at + 1..], token.is_ended),
            None => self.word(word, token.is_ended, tokens),
        }
    }

    /// Moves to a place. Returns `false` if the kernel writes no field of this place here.
    fn advance(&mut self, place: FieldOrder) -> bool {
        let is_next = place > self.place || (place == self.place && place.repeats());
        let is_in_order = is_next && self.place >= place.follows();
        if is_in_order {
            self.place = place;
        }
        is_in_order
    }

    /// Reads `KEY=VALUE`.
    fn field(&mut self, key: &[u8], value: &'a [u8], is_ended: bool) -> bool {
        let Some(place) = self.place_of(key) else { return true };
        if place >= FieldOrder::Uid && !self.transport.may_be_followed_by(self.place) {
            return false;
        }
        if !self.advance(place) || !(is_ended || self.may_be_last(place, value)) {
            return false;
        }
        match place {
            FieldOrder::InPort => self.in_port = value,
            FieldOrder::OutPort => self.out_port = value,
            FieldOrder::LinkHeader => self.link = Link::from_header(value),
            FieldOrder::Sender => self.link.set_sender(value),
            FieldOrder::LinkProtocol => self.link.set_ether_type(value),
            FieldOrder::Source | FieldOrder::Destination => return self.address(place, value),
            FieldOrder::Uid => self.uid = values::decimal(value),
            FieldOrder::Mark => self.mark = values::hexadecimal(value).unwrap_or(0),
            FieldOrder::UrgentPointer => self.transport.end_flags(),
            _ => return self.number(place, value),
        }
        true
    }

    fn place_of(&self, key: &[u8]) -> Option<FieldOrder> {
        Some(match key {
            b"PHYSIN" => FieldOrder::InPort,
            b"PHYSOUT" => FieldOrder::OutPort,
            b"MAC" => FieldOrder::LinkHeader,
            b"TUNNEL" => FieldOrder::Tunnel,
            b"MACSRC" => FieldOrder::Sender,
            b"MACDST" => FieldOrder::Receiver,
            b"VPROTO" => FieldOrder::VlanProtocol,
            b"VID" => FieldOrder::VlanId,
            b"MACPROTO" => FieldOrder::LinkProtocol,
            b"SRC" => FieldOrder::Source,
            b"DST" => FieldOrder::Destination,
            b"LEN" if self.place < FieldOrder::Length => FieldOrder::Length,
            b"TOS" | b"TC" => FieldOrder::TrafficClass,
            b"PREC" => FieldOrder::Precedence,
            b"TTL" | b"HOPLIMIT" => FieldOrder::HopLimit,
            b"ID" | b"FLOWLBL" if self.place < FieldOrder::Id => FieldOrder::Id,
            b"SPI" if self.place < FieldOrder::Protocol => FieldOrder::Options,
            b"PROTO" => FieldOrder::Protocol,
            b"SPT" if self.transport.has_ports() => FieldOrder::First,
            b"DPT" if self.transport.has_ports() => FieldOrder::Second,
            b"TYPE" if self.transport.is_icmp() => FieldOrder::First,
            b"CODE" if self.transport.is_icmp() => FieldOrder::Second,
            b"SPI" => FieldOrder::First,
            // Of another protocol: the end of another line.
            b"SPT" | b"DPT" | b"TYPE" | b"CODE" => FieldOrder::Header,
            b"LEN" | b"ID" => FieldOrder::Third,
            b"SEQ" => FieldOrder::Sequence,
            b"ACK" => FieldOrder::Acknowledgement,
            b"WINDOW" => FieldOrder::Window,
            b"RES" => FieldOrder::Reserved,
            b"URGP" => FieldOrder::UrgentPointer,
            b"PARAMETER" | b"POINTER" | b"GATEWAY" | b"MTU" => FieldOrder::Rest,
            b"UID" => FieldOrder::Uid,
            b"GID" => FieldOrder::Gid,
            b"MARK" => FieldOrder::Mark,
            _ => return None,
        })
    }

    /// Whether a line whose trailing blank was removed can end with this field. Otherwise the line was cut in the
    /// field, or at its end, and the value is not known.
    fn may_be_last(&self, place: FieldOrder, value: &[u8]) -> bool {
        match place {
            // They have a fixed length, which their readers check.
            FieldOrder::LinkHeader | FieldOrder::LinkProtocol => true,
            FieldOrder::Protocol => self.transport.may_end_with_protocol(value),
            FieldOrder::Second => self.transport.may_end_with_code(),
            place => place > FieldOrder::Second,
        }
    }

    fn address(&mut self, place: FieldOrder, value: &[u8]) -> bool {
        let address = values::address(value);
        if place == FieldOrder::Source {
            self.source = address;
        } else {
            self.destination = address;
        }
        self.is_malformed |= address.is_none();
        address.is_some()
    }

    /// Reads a number of the IP header or of the transport header.
    fn number(&mut self, place: FieldOrder, value: &[u8]) -> bool {
        let is_valid = match place {
            FieldOrder::Length => {
                self.length = values::decimal(value);
                self.length.is_some()
            }
            FieldOrder::HopLimit => {
                self.hop_limit = values::decimal(value);
                self.hop_limit.is_some()
            }
            FieldOrder::Protocol => self.transport.set_protocol(value),
            FieldOrder::First | FieldOrder::Second
                if self.transport.has_ports() || self.transport.is_icmp() =>
            {
                if self.transport.is_later_fragment {
                    return false;
                }
                self.transport.set_number(place, value)
            }
            _ => true,
        };
        self.is_malformed |= !is_valid;
        is_valid
    }

    /// Whether the packet is of ARP.
    pub fn is_arp(&self) -> bool {
        self.place == FieldOrder::Arp
    }

    /// Both addresses, of one IP version.
    pub fn addresses(&self) -> Option<Addresses> {
        match (self.source?, self.destination?) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Addresses::V4 { source, destination })
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Addresses::V6 { source, destination })
            }
            _ => None,
        }
    }

    /// The headers, and whether the line contains all that the kernel writes of them.
    pub fn headers(&self) -> Result<(Headers, bool), SkipReason> {
        let Some(addresses) = self.addresses() else {
            let is_other_version = self.source.is_some() && self.destination.is_some();
            return if self.is_malformed || is_other_version {
                Err(SkipReason::Malformed)
            } else if self.is_truncated && self.source.is_none() && !self.is_arp() {
                Ok((Headers::unread(DecodeIssue::Truncated, 0), true))
            } else if self.is_arp() || (self.source.is_none() && self.link.is_not_ip()) {
                Ok((Headers::unread(DecodeIssue::NotIp, self.length.unwrap_or(0)), true))
            } else {
                Err(SkipReason::Incomplete)
            };
        };
        let has_all =
            self.length.is_some() && self.hop_limit.is_some() && self.transport.is_whole();
        let headers = Headers {
            addresses: Some(addresses),
            protocol: self.transport.protocol,
            length: self.length.unwrap_or(0),
            ttl: self.hop_limit,
            transport: self.transport.transport(),
            issue: issue(self.is_malformed, self.is_truncated || !has_all),
        };
        Ok((headers, has_all || self.is_truncated))
    }
}

/// A word without the level of a message before it, such as `<1>`: kernels before 2.6 write one in each part of a line.
fn without_level(word: &[u8]) -> &[u8] {
    match word {
        [b'<', level, b'>', rest @ ..] if level.is_ascii_digit() => rest,
        word => word,
    }
}
