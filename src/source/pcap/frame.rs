//! One frame of a capture, in either format, before its link header is decoded.

use std::fmt::Write as _;

use crate::{event::Direction, source::link::LinkType};

/// One frame as the file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// Its link layer.
    pub(super) link: FrameLink,
    /// Byte order of the host that wrote the file.
    pub(super) big_endian: bool,
    /// Name of the device it was captured on; empty if the file does not tell.
    pub(super) device: &'a str,
    /// Which way it went, if the file tells.
    pub(super) direction: Option<Direction>,
    /// Microseconds since 1970-01-01 UTC.
    pub(super) time: Option<u64>,
    /// Length before it was cut, link header included.
    pub(super) original_length: u32,
    /// What was captured, from the link header on.
    pub(super) data: &'a [u8],
}

/// The link layer that a file gives a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameLink {
    /// One that is read.
    Supported(LinkType),
    /// The number of one that is not.
    Unsupported(u32),
    /// None: the frame's block could not be read.
    Unreadable,
}

impl FrameLink {
    /// The link layer of this number.
    pub(super) fn from_number(number: u32) -> Self {
        LinkType::from_number(number).map_or(Self::Unsupported(number), Self::Supported)
    }
}

impl<'a> Frame<'a> {
    /// A frame that is there, but cannot be read: it counts, and that is all.
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

/// Room for the names of devices that a frame knows by number only.
#[derive(Debug, Default)]
pub(super) struct DeviceNames {
    /// The device the packet came in on.
    pub(super) input: String,
    /// The device it goes out on.
    pub(super) output: String,
}

/// Writes the name of a device of the captured host, `if3`: its real name is not in the frame.
/// Empty for 0, which stands for no device.
pub(super) fn name_by_index(name: &mut String, index: u32) {
    name.clear();
    if index != 0 {
        // Writing to a String cannot fail.
        let _ = write!(name, "if{index}");
    }
}

/// The number at this place in the byte order of the file.
pub(super) fn u32_of(big_endian: bool, bytes: &[u8], at: usize) -> Option<u32> {
    let value = bytes.get(at..)?.first_chunk().copied()?;
    Some(if big_endian { u32::from_be_bytes(value) } else { u32::from_le_bytes(value) })
}

/// The number at this place in the byte order of the file.
pub(super) fn u16_of(big_endian: bool, bytes: &[u8], at: usize) -> Option<u16> {
    let value = bytes.get(at..)?.first_chunk().copied()?;
    Some(if big_endian { u16::from_be_bytes(value) } else { u16::from_le_bytes(value) })
}
