//! The layouts of recent messages, so that a message like an earlier one is compared with it instead of parsed.
//!
//! The messages of a rule have the same attributes at the same offsets, and most of these have the same values: one
//! comparison of all of them takes a fraction of the time of a walk over the attributes. What differs from packet to
//! packet, such as the time, is left out of the comparison and read. The result is that of a walk.

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

/// Maximum length of a message before its payload that is kept, in words. The kernel's have about 150 bytes, and 350 with the
/// connection.
const MAX_WORDS: usize = 64;

/// Maximum number of attributes whose values differ from packet to packet.
const MAX_VARYING: usize = 12;

/// So many messages in a row that have another layout pass before one of them replaces it: rules that share a slot do not
/// replace each other's layout for each message, and a message whose layout cannot be kept costs little.
const PATIENCE: u8 = 16;

/// The layouts of recent messages.
#[derive(Debug, Default)]
pub(super) struct Layouts([Slot; LAYOUTS]);

/// Room for one layout.
#[derive(Debug, Default)]
struct Slot {
    layout: Option<Box<Layout>>,
    /// Messages with another layout before one of them replaces it.
    wait: u8,
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
    /// Start and end of the prefix.
    prefix: (usize, usize),
    /// The type, start and end of each value that can differ.
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
        let Slot { layout, wait } = &mut self.0[slot];
        if let Some(layout) = layout
            && layout.is_of(message)
        {
            *wait = PATIENCE;
            return layout.read(message, packet);
        }
        packet.fill(message)?;
        if *wait == 0 {
            *wait = PATIENCE;
            *layout = Layout::new(message).map(Box::new);
        } else {
            *wait -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Layouts {
    /// Whether the layout of this message is known.
    pub(super) fn has(&self, message: &[u8]) -> bool {
        let slot = slot(message).and_then(|slot| self.0[slot].layout.as_ref());
        slot.is_some_and(|layout| layout.is_of(message))
    }
}

/// The slot of a message: chosen by the first two attributes, which are its header and its prefix.
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
    /// The layout of a message; `None` if it cannot be kept.
    #[cold]
    fn new(message: &[u8]) -> Option<Self> {
        let range = |value: &[u8]| {
            let start = value.as_ptr().addr() - message.as_ptr().addr();
            (start, start + value.len())
        };
        let mut same = vec![0xff_u8; message.len()];
        let mut varying = [(0, 0, 0); MAX_VARYING];
        let mut varying_count = 0;
        let mut payload = None;
        for attribute in netlink::attributes(&message[GENERIC_HEADER..]) {
            let (kind, value) = attribute.ok()?;
            let (start, end) = range(value);
            if kind == PAYLOAD {
                payload = Some(start.checked_sub(netlink::ATTRIBUTE_HEADER)?);
                break;
            }
            // The padding after a value has no meaning.
            let padded = netlink::align(end).min(message.len());
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
        // Only what is before the payload is compared; what follows it is read from each message.
        let before = Packet::read(&message[..payload]).ok()?;
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
            Packet { prefix: &[], hardware_address: &[], payload: &[], message: &[], ..before };
        let prefix = if before.prefix.is_empty() { (0, 0) } else { range(before.prefix) };
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
        let value = |start, end| message.get(start..end).ok_or(Malformed);
        let prefix = value(self.prefix.0, self.prefix.1)?;
        *packet = Packet { prefix, ..self.common };
        for (kind, start, end) in &self.varying[..self.varying_count] {
            packet.set_attribute(*kind, value(*start, *end)?)?;
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
            assert!(layouts.has(message.body));
        }
    }

    #[test]
    #[cfg_attr(target_endian = "big", ignore = "written for a little-endian host")]
    fn rules_that_share_a_slot_do_not_replace_each_others_layout() {
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
        assert_eq!(slot(&one), slot(&other));
        let mut read = |message: &[u8]| {
            layouts.read(message, &mut Packet::default()).unwrap();
            layouts.has(&one)
        };
        for _ in 0..100 {
            assert!(read(&one) && read(&other));
        }
        // One that no longer logs is replaced.
        assert!((0..=PATIENCE).any(|_| !read(&other)));
    }
}
