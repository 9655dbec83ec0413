//! The connection of a packet: attributes of ctnetlink inside an NFLOG message.

/// The zone of a connection: 0, the default, if no attribute names another one. `attributes` splits a value into types
/// and values.
///
/// A zone that applies to one direction only is an attribute of that direction's addresses. Each attribute is read at
/// most once, and none is nested deeper than that.
#[inline]
pub(in crate::source) fn zone<'a, I: Iterator<Item = (u16, &'a [u8])>>(
    value: &'a [u8],
    attributes: impl Fn(&'a [u8]) -> I,
) -> u16 {
    let mut one_way = None;
    for (kind, value) in attributes(value) {
        match kind {
            ZONE => return number(value).unwrap_or_default(),
            // The original direction comes first.
            ORIGINAL | REPLY => {
                let zone = attributes(value).find(|(kind, _)| *kind == TUPLE_ZONE);
                one_way = one_way.or(zone.and_then(|(_, value)| number(value)));
            }
            _ => {}
        }
    }
    one_way.unwrap_or_default()
}

fn number(value: &[u8]) -> Option<u16> {
    value.first_chunk().copied().map(u16::from_be_bytes)
}

// `enum ctattr_type` and `enum ctattr_tuple`, `linux/netfilter/nfnetlink_conntrack.h`.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_ZONE: u16 = 3;
