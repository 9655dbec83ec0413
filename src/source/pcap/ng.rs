//! The format pcapng: sections of blocks, with interfaces that frames refer to (draft-ietf-opsawg-pcapng).

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, SimplePacketBlock,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_simplepacketblock_be, parse_simplepacketblock_le,
};

use super::{
    error::{CapturePart, ReadError},
    frame::{Frame, FrameLink, u16_of, u32_of},
    input::{CAPACITY, Input},
};
use crate::packet::Direction;

/// Type of a section header block; the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, written by tools before 2010.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Byte-order magic of a section header.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Minimum block: type, length, and the length again at the end.
const MIN_BLOCK: u32 = 12;
/// Header of the obsolete packet block: type, length, interface, drops, time, lengths.
const PACKET_HEADER: usize = 28;
/// Maximum number of interfaces in a section.
const MAX_INTERFACES: usize = 4096;
/// Maximum length of a device name, characters; 15 on Linux, more on other systems.
const MAX_DEVICE_NAME: usize = 64;
/// Option `epb_flags` of an enhanced packet block.
const EPB_FLAGS: OptionCode = OptionCode(2);

/// The current section.
#[derive(Debug, Default)]
pub(super) struct NgSection {
    big_endian: bool,
    /// Offset of the end of the first section header; 0 before it was read.
    file_header_end: u64,
    interfaces: Vec<Interface>,
    /// Whether a packet block longer than the buffer is being skipped.
    oversized: bool,
}

/// One interface of a section.
#[derive(Debug)]
struct Interface {
    link: FrameLink,
    name: Box<str>,
    snap_length: u32,
    /// Ticks per second; `None` if the number overflows.
    resolution: Option<u128>,
    /// Seconds added to each time.
    offset: i64,
}

impl NgSection {
    /// Reads blocks up to the next frame; `None` after the last one.
    pub(super) fn next<'a>(
        &'a mut self,
        input: &'a mut Input,
    ) -> Result<Option<Frame<'a>>, ReadError> {
        loop {
            if self.oversized {
                // Counts only if its block is complete.
                if !input.fill(0)? {
                    return Err(ReadError::Cut(CapturePart::Frame));
                }
                self.oversized = false;
                return Ok(Some(Frame::UNREADABLE));
            }
            if !input.fill(8)? {
                return if input.is_at_boundary() { Ok(None) } else { Err(self.cut(input)) };
            }
            let kind = u32_of(self.big_endian, input.peek(8), 0).unwrap_or_default();
            if kind == SECTION_HEADER {
                self.begin(input)?;
            }
            let length = u32_of(self.big_endian, input.peek(8), 4).unwrap_or_default();
            if length < MIN_BLOCK || !length.is_multiple_of(4) {
                return Err(ReadError::Damaged(format!(
                    "a block has an invalid length of {length} bytes"
                )));
            }
            if input.offset() == 0 {
                self.file_header_end = length.into();
            }
            match kind {
                INTERFACE_DESCRIPTION => {
                    let block = whole(input, length, CapturePart::Block)?;
                    self.describe(block)?;
                }
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET if length as usize > CAPACITY => {
                    input.skip(length.into());
                    self.oversized = true;
                }
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    let block = whole(input, length, CapturePart::Frame)?;
                    return Ok(Some(match kind {
                        PACKET => self.packet(block),
                        SIMPLE_PACKET => self.simple_packet(block),
                        _ => self.enhanced_packet(block),
                    }));
                }
                // Also the rest of a section header, which is not needed.
                _ => input.skip(length.into()),
            }
        }
    }

    /// The error for an input that ends within a block.
    fn cut(&self, input: &Input) -> ReadError {
        let is_header = input.offset() < self.file_header_end.max(1);
        ReadError::Cut(if is_header { CapturePart::FileHeader } else { CapturePart::Block })
    }

    /// Begins a section; does not consume its header.
    fn begin(&mut self, input: &mut Input) -> Result<(), ReadError> {
        if !input.fill(12)? {
            return Err(self.cut(input));
        }
        self.big_endian = match u32_of(true, input.peek(12), 8) {
            Some(BYTE_ORDER) => true,
            Some(order) if order.swap_bytes() == BYTE_ORDER => false,
            _ => return Err(ReadError::damaged("a section has no byte-order magic")),
        };
        self.interfaces.clear();
        Ok(())
    }

    fn describe(&mut self, block: &[u8]) -> Result<(), ReadError> {
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, block) =
            parsed.map_err(|_| ReadError::damaged("an interface description cannot be parsed"))?;
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(ReadError::Damaged(format!(
                "a section has more than {MAX_INTERFACES} interfaces"
            )));
        }
        self.interfaces.push(Interface::new(&block, self.big_endian));
        Ok(())
    }

    fn enhanced_packet<'a>(&'a self, block: &'a [u8]) -> Frame<'a> {
        let parsed = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let Ok((_, packet)) = parsed else { return Frame::UNREADABLE };
        let EnhancedPacketBlock { if_id, ts_high, ts_low, caplen, origlen, data, options, .. } =
            packet;
        // `data` includes padding.
        let data = &data[..data.len().min(caplen as usize)];
        let flags = options
            .iter()
            .find(|option| option.code == EPB_FLAGS)
            .and_then(|option| u32_of(self.big_endian, option.value(), 0));
        let direction = match flags.map(|flags| flags & 0b11) {
            Some(0b01) => Some(Direction::In),
            Some(0b10) => Some(Direction::Out),
            _ => None,
        };
        let frame = self.frame(if_id as usize, Some((ts_high, ts_low)), origlen, data);
        Frame { direction, ..frame }
    }

    fn simple_packet<'a>(&'a self, block: &'a [u8]) -> Frame<'a> {
        let parsed = if self.big_endian {
            parse_simplepacketblock_be(block)
        } else {
            parse_simplepacketblock_le(block)
        };
        let Ok((_, packet)) = parsed else { return Frame::UNREADABLE };
        let SimplePacketBlock { origlen, data, .. } = packet;
        let snap_length = match self.interfaces.first() {
            Some(Interface { snap_length: 1.., .. }) => self.interfaces[0].snap_length,
            _ => u32::MAX,
        };
        let data = &data[..data.len().min(origlen.min(snap_length) as usize)];
        self.frame(0, None, origlen, data)
    }

    fn packet<'a>(&'a self, block: &'a [u8]) -> Frame<'a> {
        let number = |at| u32_of(self.big_endian, block, at);
        let body = block.get(PACKET_HEADER..block.len() - 4);
        let (Some(interface), Some(high), Some(low), Some(captured), Some(original), Some(body)) = (
            u16_of(self.big_endian, block, 8),
            number(12),
            number(16),
            number(20),
            number(24),
            body,
        ) else {
            return Frame::UNREADABLE;
        };
        let Some(data) = body.get(..captured as usize) else { return Frame::UNREADABLE };
        self.frame(interface.into(), Some((high, low)), original, data)
    }

    /// A frame with the properties of its interface.
    fn frame<'a>(
        &'a self,
        interface: usize,
        ticks: Option<(u32, u32)>,
        original_length: u32,
        data: &'a [u8],
    ) -> Frame<'a> {
        let Some(interface) = self.interfaces.get(interface) else { return Frame::UNREADABLE };
        Frame {
            link: interface.link,
            big_endian: self.big_endian,
            device: &interface.name,
            direction: None,
            time: ticks.and_then(|(high, low)| {
                interface.time((u64::from(high) << u32::BITS) | u64::from(low))
            }),
            original_length,
            data,
        }
    }
}

impl Interface {
    fn new(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let number = block.linktype.0.cast_unsigned();
        let name = match block.if_name() {
            Some(Ok(name)) => name.trim_end_matches('\0'),
            _ => "",
        };
        let exponent = u32::from(block.if_tsresol & 0x7f);
        Self {
            link: FrameLink::from_number(number),
            name: name.chars().take(MAX_DEVICE_NAME).collect::<String>().into(),
            snap_length: block.snaplen,
            // Not pcap-parser's own function, which rejects all powers of two.
            resolution: if block.if_tsresol & 0x80 == 0 {
                10_u128.checked_pow(exponent)
            } else {
                1_u128.checked_shl(exponent)
            },
            // pcap-parser always parses it as little-endian.
            offset: if big_endian { block.if_tsoffset.swap_bytes() } else { block.if_tsoffset },
        }
    }

    /// Microseconds since 1970-01-01 UTC.
    fn time(&self, ticks: u64) -> Option<u64> {
        let micros = u128::from(ticks) * 1_000_000 / self.resolution?;
        let micros = i128::try_from(micros).ok()? + i128::from(self.offset) * 1_000_000;
        u64::try_from(micros).ok()
    }
}

/// Reads a whole block.
fn whole(input: &mut Input, length: u32, part: CapturePart) -> Result<&[u8], ReadError> {
    let length = length as usize;
    if length > CAPACITY {
        return Err(ReadError::Damaged(format!("an interface description has {length} bytes")));
    }
    if input.fill(length)? { Ok(input.take(length)) } else { Err(ReadError::Cut(part)) }
}
