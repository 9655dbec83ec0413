//! Converts frames of captures to records.

use super::{
    frame::{DeviceNames, Frame, FrameLink, name_by_index},
    nflog::nflog_record,
};
use crate::{
    packet::{DecodeIssue, Direction, Headers},
    source::{
        Record,
        link::{self, Device, Layer, LinkError, LinkType},
    },
};

/// The pseudo-device of cooked captures on all devices.
const ANY_DEVICE: &str = "any";

impl<'a> Frame<'a> {
    /// The frame's record, and the number of its link type if it is unsupported.
    ///
    /// The record of a frame that is too short for its link header has an empty payload.
    pub(super) fn record(
        &self,
        prefix: &'a [u8],
        devices: &'a mut DeviceNames,
    ) -> (Record<'a>, Option<u32>) {
        let record = self.bare_record(prefix);
        let link = match self.link {
            FrameLink::Supported(LinkType::Nflog) => {
                return (nflog_record(self, record, devices), None);
            }
            FrameLink::Supported(link) => link,
            FrameLink::Unsupported(number) => return (self.unsupported(record), Some(number)),
            FrameLink::Unreadable => return (record, None),
        };
        match link::decode(link, self.data) {
            Ok(layer) => (self.of_layer(record, &layer, link, devices), None),
            Err(LinkError::Cut) => (record, None),
            Err(LinkError::LinkType(number)) => (self.unsupported(record), Some(number)),
        }
    }

    /// The record without the contents of the frame.
    fn bare_record(&self, prefix: &'a [u8]) -> Record<'a> {
        let (in_device, out_device) = by_direction(self.direction, self.device);
        Record {
            group: 0,
            host: &[],
            prefix,
            hook: None,
            direction: self.direction,
            ether_type: None,
            headers: None,
            mark: 0,
            in_device,
            out_device,
            hardware_address: &[],
            uid: None,
            connection: None,
            time: self.time,
            payload: &[],
            wire_length: 0,
            message: &[],
        }
    }

    fn unsupported(&self, record: Record<'a>) -> Record<'a> {
        let headers = Headers::unread(DecodeIssue::LinkType, self.original_length);
        Record { headers: Some(headers), wire_length: self.original_length, ..record }
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

/// The device as input or output device.
fn by_direction(direction: Option<Direction>, device: &str) -> (&str, &str) {
    if direction == Some(Direction::Out) { ("", device) } else { (device, "") }
}
