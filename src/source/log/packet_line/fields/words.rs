//! Words of a line without a value: flags, options, notes about a packet that is too short.

use super::{
    super::{arp, order::Place, tokens::Tokens, values},
    Fields,
};
use crate::packet::protocol;

impl<'a> Fields<'a> {
    /// Reads a word without `=`.
    pub(super) fn word(&mut self, word: &[u8], is_ended: bool, tokens: &mut Tokens<'a>) -> bool {
        if let Some(offset) = word.strip_prefix(b"FRAG:") {
            self.is_truncated |= offset == b"TRUNCATED";
            let offset = values::decimal::<u32>(offset);
            self.transport.is_later_fragment = offset.is_some_and(|offset| offset > 0);
            return is_ended && offset.is_some() && self.advance(Place::Options);
        }
        match word {
            b"CE" | b"DF" | b"MF" | b"AH" if self.place < Place::Protocol => {
                self.advance(Place::Options)
            }
            b"OPT" if self.place < Place::Protocol => self.advance(Place::Options),
            b"ESP" if self.place < Place::Protocol => {
                self.transport.protocol = Some(protocol::ESP);
                self.advance(Place::Protocol)
            }
            b"ARP" if self.advance(Place::Arp) => {
                self.length = Some(arp::read(tokens.clone(), &mut self.link));
                false
            }
            b"INCOMPLETE" => self.incomplete(tokens),
            b"TRUNCATED" => {
                self.is_truncated = true;
                false
            }
            b"Unknown" if self.place < Place::Protocol => self.unknown_extension(tokens),
            _ if self.transport.protocol == Some(protocol::TCP)
                && (Place::Window..=Place::Flags).contains(&self.place) =>
            {
                match self.transport.set_flag(word) {
                    Some(is_in_order) => is_in_order && self.advance(Place::Flags),
                    None => true,
                }
            }
            _ => true,
        }
    }

    /// `INCOMPLETE [8 bytes]`: the packet ends in the header that comes here. Without the number, in the options of
    /// IPv6, more fragments follow.
    fn incomplete(&mut self, tokens: &mut Tokens<'a>) -> bool {
        let mut ahead = tokens.clone();
        if ahead.next().is_some_and(|token| token.text.starts_with(b"[")) {
            self.is_truncated = true;
            ahead.next();
            *tokens = ahead;
        } else {
            self.is_truncated |= self.place >= Place::Protocol;
        }
        true
    }

    /// `Unknown Ext Hdr 60`: the last text of the line.
    fn unknown_extension(&mut self, tokens: &mut Tokens<'a>) -> bool {
        let words =
            [tokens.next(), tokens.next(), tokens.next()].map(|token| token.map(|it| it.text));
        if let [Some(b"Ext"), Some(b"Hdr"), Some(number)] = words {
            self.transport.protocol = values::decimal(number);
        }
        false
    }
}
