//! The layouts of recent messages, so that a message like an earlier one is compared with it instead of parsed.
//!
//! The messages of a rule have the same attributes at the same places, and most of these have the same values: one
//! comparison of all of them takes a fraction of the time of a walk over the attributes. What differs from packet to
//! packet, such as the time, is left out of the comparison, and read at its place. The result is that of a walk.

use super::{
    CONNECTION, CONNECTION_INFO, GID, HARDWARE_ADDRESS, HARDWARE_LENGTH, HARDWARE_TYPE, IN_INDEX,
    MARK, Malformed, OUT_INDEX, PACKET_HEADER, PAYLOAD, PHYSICAL_IN_INDEX, PHYSICAL_OUT_INDEX,
    PREFIX, Packet, SEQUENCE, TIMESTAMP, UID,
};
use crate::netlink;

/// Number of layouts that are kept: a power of two, more than most rule sets have rules that log at the same time.
const LAYOUTS: usize = 8;

/// Bytes that are compared at a time.
const WORD: usize = size_of::<u64>();

/// Maximum length of a message before its payload that is kept, in words. The kernel's have about 150 bytes.
const MAX_WORDS: usize = 32;

/// Maximum number of attributes whose values differ from packet to packet.
const MAX_VARYING: usize = 12;

/// A layout is replaced after so many messages in a row that have another one: rules that take turns at a place do not
/// replace each other's for each message.
const MAX_MISSES: u8 = 16;

/// The layouts of recent messages.
#[derive(Debug, Default)]
pub(super) struct Layouts([Slot; LAYOUTS]);

/// The place of a layout.
#[derive(Debug, Default)]
struct Slot {
    layout: Option<Box<Layout>>,
    /// Messages in a row that did not have it.
    misses: u8,
}

/// What messages of one rule have in common.
#[derive(Debug)]
struct Layout {
    /// The bytes of an earlier message.
    values: [u64; MAX_WORDS],
    /// Which of their bits are the same in each message.
    same: [u64; MAX_WORDS],
    /// Number of words that are compared.
    count: usize,
    /// Offset of the payload's attribute.
    payload: usize,
    /// The values that are the same in each message.
    common: Packet<'static>,
    /// The place of the prefix.
    prefix: (usize, usize),
    /// The type and the place of each value that can differ.
    varying: [(u16, usize, usize); MAX_VARYING],
    varying_count: usize,
}

impl Layouts {
    /// Reads a message, from `struct nfgenmsg` on, as [`Packet::read`] does, and overwrites a packet.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        message: &'a [u8],
        packet: &mut Packet<'a>,
    ) -> Result<(), Malformed> {
        let Some(slot) = slot(message) else { return packet.fill(message) };
        let Slot { layout, misses } = &mut self.0[slot];
        if let Some(layout) = layout
            && layout.is_of(message)
        {
            *misses = 0;
            return layout.read(message, packet);
        }
        packet.fill(message)?;
        *misses += 1;
        if layout.is_none() || *misses >= MAX_MISSES {
            *misses = 0;
            *layout = Layout::new(message, packet).map(Box::new);
        }
        Ok(())
    }
}

/// Where the layout of a message is kept: chosen by the first two attributes, its header and its prefix.
#[inline]
fn slot(message: &[u8]) -> Option<usize> {
    let [_, header, prefix] = message.first_chunk::<{ 3 * WORD }>()?.as_chunks::<WORD>().0 else {
        return None;
    };
    let [header, prefix] = [header, prefix].map(|word| u64::from_ne_bytes(*word));
    let mixed = (header ^ prefix.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The top bits, fewer than those of a usize.
    usize::try_from(mixed >> (u64::BITS - LAYOUTS.ilog2())).ok()
}

impl Layout {
    /// The layout of a message that was read into this packet; `None` if it is not to be kept.
    #[cold]
    fn new(message: &[u8], packet: &Packet<'_>) -> Option<Self> {
        let place = |value: &[u8]| {
            let start = value.as_ptr().addr() - message.as_ptr().addr();
            (start, start + value.len())
        };
        let mut same = vec![0xff_u8; message.len()];
        let mut varying = [(0, 0, 0); MAX_VARYING];
        let mut varying_count = 0;
        let mut payload = None;
        for attribute in netlink::attributes(&message[GENERIC_HEADER..]) {
            let (kind, value) = attribute.ok()?;
            let (start, end) = place(value);
            if kind == PAYLOAD {
                payload = Some(start.checked_sub(ATTRIBUTE_HEADER)?);
                break;
            }
            // The padding after a value has no meaning.
            let padded = end.next_multiple_of(4).min(message.len());
            same[end..padded].fill(0);
            let (same_until, is_read) = match kind {
                PACKET_HEADER | PREFIX | IN_INDEX | OUT_INDEX | PHYSICAL_IN_INDEX
                | PHYSICAL_OUT_INDEX | HARDWARE_TYPE | HARDWARE_LENGTH => continue,
                HARDWARE_ADDRESS => (start + HARDWARE_ADDRESS_LENGTH, true),
                MARK | TIMESTAMP | UID | GID | SEQUENCE | CONNECTION | CONNECTION_INFO => {
                    (start, true)
                }
                _ => (start, false),
            };
            same[same_until..end].fill(0);
            if is_read {
                *varying.get_mut(varying_count)? = (kind, start, end);
                varying_count += 1;
            }
        }
        let payload = payload?;
        same[payload..].fill(0);
        let count = payload.div_ceil(WORD);
        let words = |bytes: &[u8]| {
            let mut words = [0; MAX_WORDS];
            let bytes = bytes.as_chunks::<WORD>().0.get(..count)?;
            for (word, bytes) in words.get_mut(..count)?.iter_mut().zip(bytes) {
                *word = u64::from_ne_bytes(*bytes);
            }
            Some(words)
        };
        let (values, same) = (words(message)?, words(&same)?);
        let common =
            Packet { prefix: &[], hardware_address: &[], payload: &[], message: &[], ..*packet };
        let prefix = if packet.prefix.is_empty() { (0, 0) } else { place(packet.prefix) };
        Some(Self { values, same, count, payload, common, prefix, varying, varying_count })
    }

    /// Whether a message has this layout, and the values that all messages of this layout have.
    #[inline]
    fn is_of(&self, message: &[u8]) -> bool {
        let Some(bytes) = message.as_chunks::<WORD>().0.get(..self.count) else { return false };
        let same = self.values[..self.count].iter().zip(&self.same[..self.count]);
        let mut difference = 0;
        // Without an early end, so that the compiler compares several words at a time.
        for (bytes, (value, same)) in bytes.iter().zip(same) {
            difference |= (u64::from_ne_bytes(*bytes) ^ value) & same;
        }
        difference == 0
    }

    /// Reads a message of this layout.
    #[inline]
    fn read<'a>(&self, message: &'a [u8], packet: &mut Packet<'a>) -> Result<(), Malformed> {
        let place = |start, end| message.get(start..end).ok_or(Malformed);
        let prefix = place(self.prefix.0, self.prefix.1)?;
        *packet = Packet { prefix, ..self.common };
        for (kind, start, end) in &self.varying[..self.varying_count] {
            packet.set_attribute(*kind, place(*start, *end)?)?;
        }
        for attribute in netlink::attributes(message.get(self.payload..).ok_or(Malformed)?) {
            let (kind, value) = attribute?;
            packet.set_attribute(kind, value)?;
        }
        Ok(())
    }
}

/// Length of `struct nfgenmsg`.
const GENERIC_HEADER: usize = 4;
/// `NLA_HDRLEN`
const ATTRIBUTE_HEADER: usize = 4;
/// The length and the padding at the start of `struct nfulnl_msg_packet_hw`.
const HARDWARE_ADDRESS_LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const HUNDRED: &[u8] = include_bytes!("../../../../tests/data/nflog/100-packets.bin");

    #[test]
    #[cfg_attr(target_endian = "big", ignore = "recorded on a little-endian host")]
    fn all_messages_of_a_few_rules_have_a_known_layout() {
        let mut layouts = Layouts::default();
        for message in netlink::messages(HUNDRED).flatten() {
            layouts.read(message.body, &mut Packet::default()).unwrap();
        }
        for message in netlink::messages(HUNDRED).flatten() {
            let layout = layouts.0[slot(message.body).unwrap()].layout.as_ref().unwrap();
            assert!(layout.is_of(message.body));
        }
    }

    #[test]
    #[cfg_attr(target_endian = "big", ignore = "written for a little-endian host")]
    fn rules_that_take_turns_at_a_place_do_not_replace_each_others_layout() {
        let message = |in_index: u8| {
            let bytes = [
                &[2, 0, 0, 1][..],
                &[8, 0, 1, 0, 8, 0, 1, 0],
                &[8, 0, 10, 0, b'a', 0, 0, 0],
                &[8, 0, 4, 0, 0, 0, 0, in_index],
                &[8, 0, 9, 0, 0x45, 0, 0, 0],
            ];
            bytes.concat()
        };
        let (one, other) = (message(1), message(2));
        let mut layouts = Layouts::default();
        let place = slot(&one).unwrap();
        assert_eq!(slot(&other), Some(place));
        let mut read = |message: &[u8]| {
            layouts.read(message, &mut Packet::default()).unwrap();
            layouts.0[place].layout.as_ref().unwrap().is_of(&one)
        };
        for _ in 0..100 {
            assert!(read(&one) && read(&other));
        }
        // One that no longer logs is replaced.
        assert!((0..u32::from(MAX_MISSES)).any(|_| !read(&other)));
    }
}
