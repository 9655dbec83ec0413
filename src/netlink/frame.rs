//! Framing of netlink messages and attributes: iterators over borrowed bytes.
//!
//! Every length is checked against the remaining bytes, and every step advances by at least one header, so
//! no input makes an iterator panic or loop.

use std::ffi::CStr;

/// `NLMSG_HDRLEN`, `linux/netlink.h`: length u32, type u16, flags u16, sequence u32, port u32.
const MESSAGE_HEADER: usize = 16;
/// `NLA_HDRLEN`: length u16, type u16.
pub(crate) const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: the two highest bits of a type are flags (nested, network byte order).
const ATTRIBUTE_TYPE: u16 = 0x3fff;
/// `NLMSG_ERROR`: an acknowledgement of a request, also of a successful one.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: ends a batch.
const DONE: u16 = 3;
/// `NLM_F_CAPPED`: the acknowledgement repeats the request's header only.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: the acknowledgement has attributes.
const ACK_ATTRIBUTES: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: the kernel's error message, a C string.
const ACK_TEXT: u16 = 1;

/// A length that exceeds the enclosing message, or a value too short for its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink message")]
pub struct Malformed;

/// One netlink message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    /// The bytes after the header.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram, up to `NLMSG_DONE`. A malformed message is the last item.
pub(crate) fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// The attributes in `bytes`: type without flag bits, and value.
///
/// A malformed attribute is the last item. Up to three remaining bytes are padding.
pub(crate) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// The kernel's acknowledgement of a request: `struct nlmsgerr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledgement<'a> {
    /// Sequence number of the request.
    pub(crate) sequence: u32,
    /// `errno`, 0 for success.
    pub(crate) error: i32,
    /// The kernel's error message (extended ack), if any.
    pub(crate) text: Option<&'a CStr>,
}

impl<'a> Message<'a> {
    /// This message as an acknowledgement; `None` for other types.
    pub(crate) fn acknowledgement(&self) -> Option<Acknowledgement<'a>> {
        if self.kind != ERROR {
            return None;
        }
        let (error, request) = self.body.split_first_chunk::<4>()?;
        let error = i32::from_ne_bytes(*error).checked_neg().unwrap_or(i32::MAX);
        let text = (self.flags & ACK_ATTRIBUTES != 0).then(|| self.text(request)).flatten();
        Some(Acknowledgement { sequence: self.sequence, error, text })
    }

    fn text(&self, request: &'a [u8]) -> Option<&'a CStr> {
        let repeated = if self.flags & CAPPED != 0 {
            MESSAGE_HEADER
        } else {
            u32::from_ne_bytes(*request.first_chunk()?) as usize
        };
        let after = request.get(align(repeated)..)?;
        let (_, text) = attributes(after).flatten().find(|(kind, _)| *kind == ACK_TEXT)?;
        CStr::from_bytes_until_nul(text).ok()
    }
}

/// See [`messages`].
#[derive(Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Some(header) = rest.first_chunk::<MESSAGE_HEADER>() else {
            return Some(Err(Malformed));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let kind = u16::from_ne_bytes([k0, k1]);
        let Some(body) = rest.get(MESSAGE_HEADER..length) else {
            return Some(Err(Malformed));
        };
        if kind == DONE {
            return None;
        }
        self.rest = rest.get(align(length)..).unwrap_or_default();
        let flags = u16::from_ne_bytes([f0, f1]);
        let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
        Some(Ok(Message { kind, flags, sequence, body }))
    }
}

/// See [`attributes`].
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let [l0, l1, k0, k1] = *rest.first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let kind = u16::from_ne_bytes([k0, k1]) & ATTRIBUTE_TYPE;
        let Some(value) = rest.get(ATTRIBUTE_HEADER..length) else {
            return Some(Err(Malformed));
        };
        self.rest = rest.get(align(length)..).unwrap_or_default();
        Some(Ok((kind, value)))
    }
}

/// `NLMSG_ALIGN`: messages and attributes begin at multiples of four bytes.
pub(crate) const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: &[Result<(u16, &[u8]), Malformed>]) {
        assert_eq!(attributes(bytes).collect::<Vec<_>>(), expect, "{bytes:02x?}");
    }

    fn attribute(length: u16, kind: u16, value: &[u8]) -> Vec<u8> {
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    #[test]
    fn attributes_of_any_length() {
        check(&[], &[]);
        check(&[0; 3], &[]);
        check(&attribute(4, 7, &[]), &[Ok((7, &[]))]);
        check(&attribute(5, 7, &[1]), &[Ok((7, &[1]))]);
        check(&attribute(5, 0xc007, &[1, 0, 0, 0]), &[Ok((7, &[1]))]);
        check(&attribute(3, 7, &[0; 8]), &[Err(Malformed)]);
        check(&attribute(0, 7, &[0; 8]), &[Err(Malformed)]);
        check(&attribute(9, 7, &[0; 4]), &[Err(Malformed)]);
        check(&attribute(u16::MAX, 7, &[0; 4]), &[Err(Malformed)]);
        let two = [attribute(6, 1, &[1, 2, 0, 0]), attribute(8, 2, &[3; 4])].concat();
        check(&two, &[Ok((1, &[1, 2])), Ok((2, &[3; 4]))]);
    }

    fn message(length: u32, kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &[0; 4],
            body,
        ]
        .concat()
    }

    #[test]
    fn messages_of_any_length() {
        let kinds = |bytes: &[u8]| -> Vec<Option<u16>> {
            messages(bytes).map(|message| message.ok().map(|message| message.kind)).collect()
        };
        assert_eq!(kinds(&[]), []);
        assert_eq!(kinds(&[0; 15]), [None]);
        assert_eq!(kinds(&message(15, 9, 0, &[])), [None]);
        assert_eq!(kinds(&message(0, 9, 0, &[0; 64])), [None]);
        assert_eq!(kinds(&message(21, 9, 0, &[0; 4])), [None]);
        assert_eq!(kinds(&message(u32::MAX, 9, 0, &[0; 4])), [None]);
        assert_eq!(kinds(&message(17, 9, 0, &[0; 4])), [Some(9)]);
        let done = [message(16, 9, 0, &[]), message(16, DONE, 0, &[]), message(16, 9, 0, &[])];
        assert_eq!(kinds(&done.concat()), [Some(9)]);
    }

    #[test]
    fn acknowledgements_with_and_without_a_text() {
        let check = |flags, body: &[u8], error, text: Option<&str>| {
            let bytes = message(16 + u32::try_from(body.len()).unwrap(), ERROR, flags, body);
            let found = messages(&bytes).next().unwrap().unwrap().acknowledgement().unwrap();
            assert_eq!((found.sequence, found.error), (7, error));
            assert_eq!(found.text.map(|text| text.to_str().unwrap()), text);
        };
        let rejected = (-1_i32).to_ne_bytes();
        let text = attribute(8, ACK_TEXT, b"why\0");
        let request = message(20, 9, 0, &[0; 4]);
        check(0, &[0; 4], 0, None);
        check(0, &[&rejected[..], &request].concat(), 1, None);
        check(ACK_ATTRIBUTES, &[&rejected[..], &request, &text].concat(), 1, Some("why"));
        let capped = [&rejected[..], &request[..16], &text].concat();
        check(ACK_ATTRIBUTES | CAPPED, &capped, 1, Some("why"));
        check(ACK_ATTRIBUTES, &rejected, 1, None);
        check(ACK_ATTRIBUTES, &[&rejected[..], &[0xff; 20]].concat(), 1, None);
    }
}
