//! Requests to the kernel's netfilter: a header, `struct nfgenmsg` and attributes, encoded by neli.

use std::io::{self, Cursor};

use neli::{
    Size, ToBytes,
    consts::nl::NlmF,
    genl::{AttrTypeBuilder, Nlattr, NlattrBuilder},
    nl::{NlPayload, NlmsghdrBuilder},
    types::{Buffer, GenlBuffer},
};

/// A request to one of netfilter's subsystems (`linux/netfilter/nfnetlink.h`).
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Subsystem in the high byte, message in the low one.
    pub(crate) kind: u16,
    /// Flags in addition to `NLM_F_REQUEST`, which every request has.
    pub(crate) flags: NlmF,
    /// `nfgen_family`.
    pub(crate) family: u8,
    /// `res_id`: an NFLOG group, or the subsystem of a batch.
    pub(crate) resource: u16,
    pub(crate) attributes: Vec<Attribute>,
}

/// An attribute of a request.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    /// Type and value.
    Value(u16, Vec<u8>),
    /// Type and nested attributes.
    Nest(u16, Vec<Attribute>),
}

impl Attribute {
    /// A number in network byte order.
    pub(crate) fn u16(kind: u16, value: u16) -> Self {
        Self::Value(kind, value.to_be_bytes().into())
    }

    /// A number in network byte order.
    pub(crate) fn u32(kind: u16, value: u32) -> Self {
        Self::Value(kind, value.to_be_bytes().into())
    }

    /// A string with its NUL.
    pub(crate) fn text(kind: u16, value: &str) -> Self {
        Self::Value(kind, [value.as_bytes(), b"\0"].concat())
    }

    fn encode(&self) -> io::Result<Nlattr<u16, Buffer>> {
        match self {
            Self::Value(kind, value) => attribute(*kind, value),
            Self::Nest(kind, inner) => {
                inner.iter().try_fold(attribute(*kind, &[])?, |nest, item| {
                    nest.nest(&item.encode()?).map_err(io::Error::other)
                })
            }
        }
    }
}

fn attribute(kind: u16, value: &[u8]) -> io::Result<Nlattr<u16, Buffer>> {
    let kind = AttrTypeBuilder::default().nla_type(kind).build().map_err(io::Error::other)?;
    NlattrBuilder::default().nla_type(kind).nla_payload(value).build().map_err(io::Error::other)
}

/// `struct nfgenmsg` and the attributes after it.
#[derive(Debug, Size, ToBytes)]
struct Body {
    family: u8,
    version: u8,
    resource: [u8; 2],
    attributes: GenlBuffer<u16, Buffer>,
}

/// `NFNETLINK_V0`.
const VERSION: u8 = 0;

impl Request {
    /// The encoded message, padded so that another can follow.
    pub(crate) fn bytes(&self, sequence: u32) -> io::Result<Vec<u8>> {
        let attributes = self.attributes.iter().map(Attribute::encode);
        let body = Body {
            family: self.family,
            version: VERSION,
            resource: self.resource.to_be_bytes(),
            attributes: attributes.collect::<io::Result<_>>()?,
        };
        let message = NlmsghdrBuilder::default()
            .nl_type(self.kind)
            .nl_flags(NlmF::REQUEST | self.flags)
            .nl_seq(sequence)
            .nl_payload(NlPayload::Payload(body))
            .build()
            .map_err(io::Error::other)?;
        let mut bytes = Cursor::new(Vec::new());
        message.to_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok(bytes.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attributes, messages};

    #[test]
    fn an_encoded_request_can_be_parsed() {
        let request = Request {
            kind: 0x0401,
            flags: NlmF::ACK,
            family: 2,
            resource: 0x1234,
            attributes: vec![
                Attribute::text(1, "abcd"),
                Attribute::Nest(2, vec![Attribute::u16(3, 0x0506), Attribute::u32(4, 7)]),
            ],
        };
        let bytes = request.bytes(9).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut walk = messages(&bytes).map(Result::unwrap);
        let message = walk.next().unwrap();
        assert!(walk.next().is_none());
        assert_eq!(message.kind, 0x0401);
        assert_eq!(message.body[..4], [2, 0, 0x12, 0x34]);
        let outer: Vec<_> = attributes(&message.body[4..]).map(Result::unwrap).collect();
        assert_eq!(outer[0], (1, &b"abcd\0"[..]));
        let inner: Vec<_> = attributes(outer[1].1).map(Result::unwrap).collect();
        assert_eq!(inner, [(3, &[5, 6][..]), (4, &[0, 0, 0, 7])]);
    }
}
