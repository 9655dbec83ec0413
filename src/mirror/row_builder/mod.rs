//! Builds a row from an event, with the location of its remote end.

use std::net::IpAddr;

use compact_str::CompactString;

use super::{
    per_name::PerName,
    row::{Row, RowContext},
};
use crate::{
    event::{Event, NameId, Names},
    geoip::Country,
    networks::LocationLookup,
    packet::{Addresses, Transport},
};

/// Builds rows, on one thread.
#[derive(Debug)]
pub struct RowBuilder {
    texts: PerName<CompactString>,
    locations: LocationLookup,
}

impl RowBuilder {
    /// Creates a builder for events with names of this table.
    #[must_use]
    pub fn new(names: Names, locations: LocationLookup) -> Self {
        Self { texts: PerName::new(names), locations }
    }

    /// Switches to the table of the names of the next events.
    pub fn turn_to(&mut self, names: &Names) {
        self.texts.turn_to(names);
    }

    /// Switches to the newest files; called once a batch.
    #[inline]
    pub fn refresh(&mut self) {
        self.locations.refresh();
    }

    /// The row of an event that represents `weight` packets. Takes no lock, except for a new name. A packet
    /// that could not be decoded yields a row with the known fields.
    #[must_use]
    pub fn row(&mut self, event: &Event, weight: u32) -> Row {
        let headers = &event.headers;
        let addresses = headers.addresses;
        let (ip_version, source, destination) = match addresses {
            Some(it @ Addresses::V4 { .. }) => (Some(4), Some(it.source()), Some(it.destination())),
            Some(it @ Addresses::V6 { .. }) => (Some(6), Some(it.source()), Some(it.destination())),
            None => (None, None, None),
        };
        let ports = headers.transport.ports();
        let (tcp_flags, icmp) = match headers.transport {
            Transport::Tcp { flags, .. } => (Some(flags), None),
            Transport::Icmp { kind, code } => (None, Some((kind, code))),
            Transport::None | Transport::Ports { .. } => (None, None),
        };
        let country = event.place.country;
        let (city, point) = location(&mut self.locations, event.remote(), country);
        Row {
            time: event.time,
            group: event.group,
            prefix: self.text(event.prefix),
            hook: event.hook,
            direction: event.direction,
            in_device: self.text(event.in_device),
            out_device: self.text(event.out_device),
            mark: event.mark,
            uid: event.uid,
            hardware_address: event.hardware_address,
            ip_version,
            source,
            destination,
            protocol: headers.protocol,
            length: headers.length,
            captured_length: event.captured_length,
            ttl: headers.ttl,
            source_port: ports.map(|(source, _)| source),
            destination_port: ports.map(|(_, destination)| destination),
            tcp_flags,
            icmp_type: icmp.map(|(kind, _)| kind),
            icmp_code: icmp.map(|(_, code)| code),
            issue: headers.issue,
            country: CompactString::const_new(event.place.country.code()),
            city,
            latitude: point.map(|(latitude, _)| latitude),
            longitude: point.map(|(_, longitude)| longitude),
            asn: Some(event.place.asn).filter(|&asn| asn != 0),
            weight,
            context: self.context(event),
        }
    }

    fn context(&mut self, event: &Event) -> RowContext {
        RowContext {
            host: self.text(event.host),
            ct_state: event.connection.and_then(|connection| connection.state),
            ct_zone: event.connection.map(|connection| connection.zone),
            source_network_name: self.text(event.source_network),
            destination_network_name: self.text(event.destination_network),
            list: self.text(event.list),
        }
    }

    #[inline]
    fn text(&mut self, id: NameId) -> CompactString {
        self.texts.get(id, |text| text.into()).clone()
    }
}

/// City and coordinates of the remote end; without a city, the coordinates of the country's centre.
pub(super) fn location(
    locations: &mut LocationLookup,
    remote: Option<IpAddr>,
    country: Country,
) -> (CompactString, Option<(f64, f64)>) {
    match remote.and_then(|address| locations.location(address)) {
        Some(location) => (location.city.clone(), Some((location.latitude, location.longitude))),
        None => (CompactString::default(), centre(country)),
    }
}

/// The centre of a country.
fn centre(country: Country) -> Option<(f64, f64)> {
    match country {
        Country::Known(id) => Some((id.info().latitude, id.info().longitude)),
        Country::Private | Country::Unknown => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
