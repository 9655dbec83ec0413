//! One frame of a capture, of either format: before its link header is read, and as a record.

use std::fmt::Write as _;

use super::nflog::nflog_record;
use crate::{
    packet::{DecodeIssue, Direction},
    source::{
        Record,
        link::{self, Device, Layer, LinkError, LinkType},
    },
};

/// The device of cooked captures that stands for all.
const ANY_DEVICE: &str = "any";

/// One frame as the file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// Its link layer.
    pub(super) link: Link,
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
pub(super) enum Link {
    /// One that is read.
    Supported(LinkType),
    /// The number of one that is not.
    Unsupported(u32),
    /// None: the frame's block could not be read.
    Unreadable,
}

impl Link {
    /// The link layer of this number.
    pub(super) fn from_number(number: u32) -> Self {
        LinkType::from_number(number).map_or(Self::Unsupported(number), Self::Supported)
    }
}

impl<'a> Frame<'a> {
    /// A frame that is there, but cannot be read: it counts, and that is all.
    pub(super) const UNREADABLE: Self = Self {
        link: Link::Unreadable,
        big_endian: false,
        device: "",
        direction: None,
        time: None,
        original_length: 0,
        data: &[],
    };

    /// The frame's record, and the number of its link type if that is not supported.
    ///
    /// A frame that is too short for its link header has an empty payload.
    pub(super) fn record(
        &self,
        prefix: &'a [u8],
        devices: &'a mut DeviceNames,
    ) -> (Record<'a>, Option<u32>) {
        let record = self.bare_record(prefix);
        let link = match self.link {
            Link::Supported(LinkType::Nflog) => {
                return (nflog_record(self, record, devices), None);
            }
            Link::Supported(link) => link,
            Link::Unsupported(number) => return (self.unsupported(record), Some(number)),
            Link::Unreadable => return (record, None),
        };
        match link::decode(link, self.data) {
            Ok(layer) => (self.of_layer(record, &layer, link, devices), None),
            Err(LinkError::Cut) => (record, None),
            Err(LinkError::LinkType(number)) => (self.unsupported(record), Some(number)),
        }
    }

    /// A record of what the file says of the frame.
    fn bare_record(&self, prefix: &'a [u8]) -> Record<'a> {
        let (in_device, out_device) = by_direction(self.direction, self.device);
        Record {
            group: 0,
            prefix,
            hook: None,
            direction: self.direction,
            ether_type: None,
            issue: None,
            mark: 0,
            in_device,
            out_device,
            hardware_address: &[],
            uid: None,
            time: self.time,
            payload: &[],
            wire_length: 0,
        }
    }

    fn unsupported(&self, record: Record<'a>) -> Record<'a> {
        Record { issue: Some(DecodeIssue::LinkType), wire_length: self.original_length, ..record }
    }

    fn of_layer(
        &self,
        record: Record<'a>,
        layer: &Layer<'a>,
        link: LinkType,
        devices: &'a mut DeviceNames,
    ) -> Record<'a> {
        let direction = layer.direction.or(self.direction);
        let device = match layer.device {
            Device::Name(name) => name,
            Device::Index(index) => {
                name_by_index(&mut devices.input, index);
                &devices.input
            }
            Device::Unknown if link == LinkType::Cooked && self.device == ANY_DEVICE => "",
            Device::Unknown => self.device,
        };
        let (in_device, out_device) = by_direction(direction, device);
        let payload = layer.inner.payload;
        let header = self.data.len() - payload.len();
        let whole =
            usize::try_from(self.original_length).unwrap_or(usize::MAX).max(self.data.len());
        Record {
            direction,
            ether_type: layer.inner.ether_type,
            in_device,
            out_device,
            hardware_address: layer.hardware_address,
            payload,
            wire_length: u32::try_from(whole - header).unwrap_or(u32::MAX),
            ..record
        }
    }
}

/// The device as the one that a packet came in on, or goes out on.
fn by_direction(direction: Option<Direction>, device: &str) -> (&str, &str) {
    if direction == Some(Direction::Out) { ("", device) } else { (device, "") }
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
