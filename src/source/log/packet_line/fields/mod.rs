//! Reads the fields after a header, in the order in which the kernel writes them.

mod words;

use std::net::IpAddr;

use super::{
    SkipReason, issue,
    link::Link,
    order::Place,
    tokens::{Token, Tokens},
    transport::TransportFields,
    values,
};
use crate::packet::{Addresses, DecodeIssue, Headers};

/// What was read of one packet's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// The place of the last field.
    place: Place,
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
            place: Place::Header,
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
            Some(b'(' | b')') => return self.place >= Place::Id,
            Some(b'[') if self.transport.is_icmp() && !self.is_inner => {
                let inner = tokens.skip_brackets(token);
                return Self::read_part(inner, true).1 && self.advance(Place::Rest);
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
    fn advance(&mut self, place: Place) -> bool {
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
        if place >= Place::Uid && !self.transport.may_be_followed_by(self.place) {
            return false;
        }
        if !self.advance(place) || !(is_ended || self.may_be_last(place, value)) {
            return false;
        }
        match place {
            Place::InPort => self.in_port = value,
            Place::OutPort => self.out_port = value,
            Place::LinkHeader => self.link = Link::from_header(value),
            Place::Sender => self.link.set_sender(value),
            Place::LinkProtocol => self.link.set_ether_type(value),
            Place::Source | Place::Destination => return self.address(place, value),
            Place::Uid => self.uid = values::decimal(value),
            Place::Mark => self.mark = values::hexadecimal(value).unwrap_or(0),
            Place::UrgentPointer => self.transport.end_flags(),
            _ => return self.number(place, value),
        }
        true
    }

    fn place_of(&self, key: &[u8]) -> Option<Place> {
        Some(match key {
            b"PHYSIN" => Place::InPort,
            b"PHYSOUT" => Place::OutPort,
            b"MAC" => Place::LinkHeader,
            b"TUNNEL" => Place::Tunnel,
            b"MACSRC" => Place::Sender,
            b"MACDST" => Place::Receiver,
            b"VPROTO" => Place::VlanProtocol,
            b"VID" => Place::VlanId,
            b"MACPROTO" => Place::LinkProtocol,
            b"SRC" => Place::Source,
            b"DST" => Place::Destination,
            b"LEN" if self.place < Place::Length => Place::Length,
            b"TOS" | b"TC" => Place::TrafficClass,
            b"PREC" => Place::Precedence,
            b"TTL" | b"HOPLIMIT" => Place::HopLimit,
            b"ID" | b"FLOWLBL" if self.place < Place::Id => Place::Id,
            b"SPI" if self.place < Place::Protocol => Place::Options,
            b"PROTO" => Place::Protocol,
            b"SPT" if self.transport.has_ports() => Place::First,
            b"DPT" if self.transport.has_ports() => Place::Second,
            b"TYPE" if self.transport.is_icmp() => Place::First,
            b"CODE" if self.transport.is_icmp() => Place::Second,
            b"SPI" => Place::First,
            // Of another protocol: the end of another line.
            b"SPT" | b"DPT" | b"TYPE" | b"CODE" => Place::Header,
            b"LEN" | b"ID" => Place::Third,
            b"SEQ" => Place::Sequence,
            b"ACK" => Place::Acknowledgement,
            b"WINDOW" => Place::Window,
            b"RES" => Place::Reserved,
            b"URGP" => Place::UrgentPointer,
            b"PARAMETER" | b"POINTER" | b"GATEWAY" | b"MTU" => Place::Rest,
            b"UID" => Place::Uid,
            b"GID" => Place::Gid,
            b"MARK" => Place::Mark,
            _ => return None,
        })
    }

    /// Whether a line whose trailing blank was removed can end with this field. Otherwise the line was cut in the
    /// field, or at its end, and the value is not known.
    fn may_be_last(&self, place: Place, value: &[u8]) -> bool {
        match place {
            // They have a fixed length, which their readers check.
            Place::LinkHeader | Place::LinkProtocol => true,
            Place::Protocol => self.transport.may_end_with_protocol(value),
            Place::Second => self.transport.may_end_with_code(),
            place => place > Place::Second,
        }
    }

    fn address(&mut self, place: Place, value: &[u8]) -> bool {
        let address = values::address(value);
        if place == Place::Source {
            self.source = address;
        } else {
            self.destination = address;
        }
        self.is_malformed |= address.is_none();
        address.is_some()
    }

    /// Reads a number of the IP header or of the transport header.
    fn number(&mut self, place: Place, value: &[u8]) -> bool {
        let is_valid = match place {
            Place::Length => {
                self.length = values::decimal(value);
                self.length.is_some()
            }
            Place::HopLimit => {
                self.hop_limit = values::decimal(value);
                self.hop_limit.is_some()
            }
            Place::Protocol => self.transport.set_protocol(value),
            Place::First | Place::Second
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
        self.place == Place::Arp
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
            ttl: self.hop_limit.unwrap_or(0),
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
