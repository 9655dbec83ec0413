//! Frames of link type NFLOG: messages of the kernel's packet log.

use super::frame::{DeviceNames, Frame, name_by_index, u16_of};
use crate::source::{
    Record,
    nflog::{CONNECTION, PAYLOAD, Packet, zone},
};

/// `struct nfgenmsg`: family (1), version (1), group (2, big-endian).
const HEADER: usize = 4;
/// `NLA_TYPE_MASK`: the upper two bits are flags.
const TYPE_MASK: u16 = 0x3fff;

/// Completes the record with the frame's attributes; of a truncated frame, with those before its end.
pub(super) fn nflog_record<'a>(
    frame: &Frame<'a>,
    record: Record<'a>,
    devices: &'a mut DeviceNames,
) -> Record<'a> {
    let Some((&[family, _version, high, low], attributes)) =
        frame.data.split_first_chunk::<HEADER>()
    else {
        return record;
    };
    let group = u16::from_be_bytes([high, low]);
    let mut packet = Packet { family, group, ..Packet::default() };
    // Bytes of the payload that the attribute's length includes and the frame does not have.
    let mut missing = 0;
    for (kind, claimed, value) in (Attributes { rest: attributes, big_endian: frame.big_endian }) {
        // Values that are too short are ignored.
        if packet.set_attribute(kind, value).is_ok() && kind == PAYLOAD {
            missing = usize::from(claimed) - value.len();
        }
        if kind == CONNECTION {
            // Its own attributes are in the byte order of the capturing host too.
            let nested = |rest| Attributes { rest, big_endian: frame.big_endian };
            packet.connection_zone =
                Some(zone(value, |value| nested(value).map(|(kind, _, value)| (kind, value))));
        }
    }
    let (in_index, out_index) = packet.device_indexes();
    name_by_index(&mut devices.input, in_index);
    name_by_index(&mut devices.output, out_index);
    let logged = packet.record(&devices.input, &devices.output);
    Record {
        // The default prefix also applies to rules without a prefix.
        prefix: if logged.prefix.is_empty() { record.prefix } else { logged.prefix },
        time: logged.time.or(record.time),
        direction: logged.direction.or(record.direction),
        wire_length: u32::try_from(logged.payload.len() + missing).unwrap_or(u32::MAX),
        ..logged
    }
}

/// Attributes in a capture: length including this header (2), type (2), value, padding to 4. Length and type
/// are in the byte order of the capturing host; the last attribute may be truncated.
struct Attributes<'a> {
    rest: &'a [u8],
    big_endian: bool,
}

impl<'a> Iterator for Attributes<'a> {
    /// Type, claimed length of the value, and captured bytes of the value.
    type Item = (u16, u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = u16_of(self.big_endian, self.rest, 0)?;
        let kind = u16_of(self.big_endian, self.rest, 2)? & TYPE_MASK;
        // A length below the header's ends the attributes; every step advances by at least 4 bytes.
        let claimed = length.checked_sub(4)?;
        let value = &self.rest[4..];
        let value = &value[..value.len().min(claimed.into())];
        let padded = usize::from(length).next_multiple_of(4);
        self.rest = self.rest.get(padded..).unwrap_or_default();
        Some((kind, claimed, value))
    }
}
