//! One frame of a capture, in either format, before its link header is decoded.

use std::fmt::Write as _;

use crate::{packet::Direction, source::link::LinkType};

/// One frame as the file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The link layer.
    pub(super) link: FrameLink,
    /// Byte order of the host that wrote the file.
    pub(super) big_endian: bool,
    /// Name of the capturing device; empty if unknown.
    pub(super) device: &'a str,
    /// Direction, if known.
    pub(super) direction: Option<Direction>,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) time: Option<u64>,
    /// Length before truncation, link header included.
    pub(super) original_length: u32,
    /// The captured bytes, from the link header on.
    pub(super) data: &'a [u8],
}

/// The link layer of a frame according to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameLink {
    /// A supported link type.
    Supported(LinkType),
    /// The number of an unsupported one.
    Unsupported(u32),
    /// Unknown: the frame's block could not be parsed.
    Unreadable,
}

impl FrameLink {
    /// The link layer of this number.
    pub(super) fn from_number(number: u32) -> Self {
        LinkType::from_number(number).map_or(Self::Unsupported(number), Self::Supported)
    }
}

impl Frame<'_> {
    /// A frame whose block could not be parsed: it is counted only.
    pub(super) const UNREADABLE: Self = Self {
        link: FrameLink::Unreadable,
        big_endian: false,
        device: "",
        direction: None,
        time: None,
        original_length: 0,
        data: &[],
    };
}

/// Buffers for the names of devices of which a frame has only the index.
#[derive(Debug, Default)]
pub(super) struct DeviceNames {
    /// The input device.
    pub(super) input: String,
    /// The output device.
    pub(super) output: String,
}

/// Writes a name for a device index of the capturing host, such as `if3`: the frame does not have its name.
/// Empty for index 0, no device.
pub(super) fn name_by_index(name: &mut String, index: u32) {
    name.clear();
    if index != 0 {
        // Writing to a String cannot fail.
        let _ = write!(name, "if{index}");
    }
}

/// The number at offset `at`, in the byte order of the file.
pub(super) fn u32_of(big_endian: bool, bytes: &[u8], at: usize) -> Option<u32> {
    let value = bytes.get(at..)?.first_chunk().copied()?;
    Some(if big_endian { u32::from_be_bytes(value) } else { u32::from_le_bytes(value) })
}

/// The number at offset `at`, in the byte order of the file.
pub(super) fn u16_of(big_endian: bool, bytes: &[u8], at: usize) -> Option<u16> {
    let value = bytes.get(at..)?.first_chunk().copied()?;
    Some(if big_endian { u16::from_be_bytes(value) } else { u16::from_le_bytes(value) })
}
