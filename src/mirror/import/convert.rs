//! Makes a row of `packets` from a row of ulogd.

use std::net::IpAddr;

use compact_str::CompactString;

use super::{
    fields::{Field, UlogdRow},
    reasons::Reasons,
    values::{ByteOrder, address, hardware_address, link_source, number},
};
use crate::{
    event::{Hook, clean},
    geoip::{Country, GeoIp, Locator},
    mirror::{
        anonymize::Anonymizer,
        day::LATEST,
        row::{MAX_TEXT, Row},
        row_builder::location,
    },
    networks::{LocationLookup, NameIndex, NetworkLookup, Networks},
    packet::{Addresses, Direction},
};

/// Length of an IPv6 header, bytes; ulogd stores the length without it.
const IPV6_HEADER: u32 = 40;

/// Numbers of families in `oob_family`: `AF_INET` and `AF_INET6`.
const FAMILIES: [(i64, u8); 2] = [(2, 4), (10, 6)];

/// Makes rows, with the location of their remote ends.
pub(super) struct Converter {
    locator: Locator,
    networks: NetworkLookup,
    locations: LocationLookup,
    anonymizer: Anonymizer,
    order: ByteOrder,
}

impl Converter {
    pub(super) fn new(
        geoip: &GeoIp,
        networks: &Networks,
        anonymizer: Anonymizer,
        is_first_version: bool,
    ) -> Self {
        let order = if is_first_version { ByteOrder::First } else { ByteOrder::Last };
        let locations = networks.locations(geoip.city_lookup());
        Self { locator: geoip.locator(), networks: networks.lookup(), locations, anonymizer, order }
    }

    /// The row of a row, or why it cannot be copied. Counts texts that are too long for their columns.
    pub(super) fn row(&mut self, from: &UlogdRow, shortened: &mut Reasons) -> Result<Row, String> {
        let hook = hook(from)?;
        let [prefix, in_device, out_device] = [Field::Prefix, Field::InDevice, Field::OutDevice]
            .map(|field| text(from, field, shortened));
        let direction = direction(hook, &in_device, &out_device);
        let ip_version = ip_version(from)?;
        let source = self.address(from, Field::Source, ip_version)?;
        let destination = self.address(from, Field::Destination, ip_version)?;
        let protocol = integer(from, Field::Protocol)?;
        let length = length(from)?;
        let (source_port, destination_port) = ports(from, protocol)?;
        let (icmp_type, icmp_code) = icmp(from, protocol)?;
        let mut row = Row {
            time: time(from)?,
            // ulogd does not store the group.
            group: 0,
            prefix,
            hook,
            direction,
            in_device,
            out_device,
            mark: mark(from)?,
            uid: integer(from, Field::Uid)?,
            hardware_address: from
                .value(Field::HardwareAddress)
                .and_then(hardware_address)
                .or_else(|| from.value(Field::LinkHeader).and_then(link_source))
                .unwrap_or_default(),
            ip_version: ip_version.or(source.map(|it| if it.is_ipv4() { 4 } else { 6 })),
            source,
            destination,
            protocol,
            length,
            captured_length: integer(from, Field::PacketLength)?.unwrap_or(length),
            ttl: match integer(from, Field::Ttl)? {
                None => integer(from, Field::HopLimit)?,
                ttl => ttl,
            },
            source_port,
            destination_port,
            tcp_flags: tcp_flags(from, protocol)?,
            icmp_type,
            icmp_code,
            weight: 1,
            ..Row::default()
        };
        self.locate(&mut row);
        self.anonymizer.apply(&mut row);
        Ok(row)
    }

    /// An address; 0 is none, unless the row is of IPv4: ulogd writes it for IPv6 in columns for numbers.
    fn address(
        &self,
        from: &UlogdRow,
        field: Field,
        ip_version: Option<u8>,
    ) -> Result<Option<IpAddr>, String> {
        let Some(value) = from.value(field) else { return Ok(None) };
        if value == b"0" && ip_version != Some(4) {
            return Ok(None);
        }
        address(value, self.order).map(Some).ok_or_else(|| invalid(field))
    }

    fn locate(&mut self, row: &mut Row) {
        let remote = match row.direction {
            Some(Direction::Out) => row.destination,
            _ => row.source,
        };
        let Some(remote) = remote else {
            row.country = CompactString::const_new(Country::Unknown.code());
            return;
        };
        let place = self.locator.locate(remote);
        let country = self.name_networks(row, remote).unwrap_or(place.country);
        let (city, point) = location(&mut self.locations, Some(remote), country);
        row.country = CompactString::const_new(country.code());
        row.city = city;
        row.latitude = point.map(|(latitude, _)| latitude);
        row.longitude = point.map(|(_, longitude)| longitude);
        row.asn = Some(place.asn).filter(|&asn| asn != 0);
    }

    /// Sets the names of networks and lists. Returns the country of the remote end's network.
    fn name_networks(&mut self, row: &mut Row, remote: IpAddr) -> Option<Country> {
        let addresses = match (row.source?, row.destination?) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6 { source, destination },
            _ => return None,
        };
        let found = self.networks.packet(addresses, remote);
        let name = |index: Option<NameIndex>| {
            let name =
                index.and_then(|NameIndex(index)| self.networks.names().get(usize::from(index)));
            name.map(|name| CompactString::from(&**name)).unwrap_or_default()
        };
        row.context.source_network_name = name(found.source);
        row.context.destination_network_name = name(found.destination);
        row.context.list = name(found.list);
        found.country.map(Country::Known)
    }
}

fn invalid(field: Field) -> String {
    format!("invalid {}", field.name())
}

/// A number of a type; `None` for NULL.
fn integer<T: TryFrom<i64>>(from: &UlogdRow, field: Field) -> Result<Option<T>, String> {
    let Some(value) = from.value(field) else { return Ok(None) };
    let number = number(value).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| invalid(field))
}

/// A text, shortened to the length that its column holds.
fn text(from: &UlogdRow, field: Field, shortened: &mut Reasons) -> CompactString {
    let Some(value) = from.value(field) else { return CompactString::default() };
    if value.trim_ascii().len() > MAX_TEXT {
        shortened.add(format!("{} is longer than {MAX_TEXT} bytes", field.name()), 1);
    }
    clean(value).into()
}

/// Microseconds since 1970. Packets of this host have no time of their own in older versions of ulogd.
fn time(from: &UlogdRow) -> Result<u64, String> {
    let seconds: Option<u64> = integer(from, Field::Seconds)?;
    let (seconds, micros) = match seconds {
        Some(seconds) => (seconds, integer::<u64>(from, Field::Microseconds)?.unwrap_or(0)),
        None => match integer(from, Field::Inserted)? {
            Some(inserted) => (inserted, 0),
            None => return Err("no time".into()),
        },
    };
    let time = seconds.checked_mul(1_000_000).and_then(|time| time.checked_add(micros));
    time.filter(|&time| micros < 1_000_000 && time <= LATEST).ok_or_else(|| invalid(Field::Seconds))
}

/// The number of a mark; PostgreSQL's column is signed.
fn mark(from: &UlogdRow) -> Result<u32, String> {
    let Some(value) = from.value(Field::Mark) else { return Ok(0) };
    let number = number(value).ok_or_else(|| invalid(Field::Mark))?;
    let signed = i32::try_from(number).map(i32::cast_unsigned);
    signed.or_else(|_| u32::try_from(number)).map_err(|_| invalid(Field::Mark))
}

/// The netfilter hook. ulogd stores the kernel's number, which is 0 to 4 for IP.
fn hook(from: &UlogdRow) -> Result<Option<Hook>, String> {
    let number: Option<usize> = integer(from, Field::Hook)?;
    Ok(number.and_then(|number| Hook::ALL.get(number).copied()))
}

fn direction(hook: Option<Hook>, in_device: &str, out_device: &str) -> Option<Direction> {
    match (hook, in_device.is_empty(), out_device.is_empty()) {
        (Some(Hook::Prerouting | Hook::Input | Hook::Ingress), ..) | (None, false, true) => {
            Some(Direction::In)
        }
        (Some(Hook::Output | Hook::Egress), ..)
        | (Some(Hook::Postrouting), true, _)
        | (None, true, false) => Some(Direction::Out),
        (Some(Hook::Forward | Hook::Postrouting), ..) | (None, false, false) => {
            Some(Direction::Forward)
        }
        (None, true, true) => None,
    }
}

fn ip_version(from: &UlogdRow) -> Result<Option<u8>, String> {
    let family: Option<i64> = integer(from, Field::Family)?;
    Ok(FAMILIES.iter().find(|(number, _)| Some(*number) == family).map(|(_, version)| *version))
}

fn length(from: &UlogdRow) -> Result<u32, String> {
    let total: Option<u32> = integer(from, Field::TotalLength)?;
    let payload: Option<u32> = integer(from, Field::PayloadLength)?;
    let packet: Option<u32> = integer(from, Field::PacketLength)?;
    let payload = payload.map(|payload| payload.saturating_add(IPV6_HEADER));
    Ok(total.or(payload).or(packet).unwrap_or(0))
}

fn ports(from: &UlogdRow, protocol: Option<u8>) -> Result<(Option<u16>, Option<u16>), String> {
    let (source, destination) = match protocol {
        Some(6) => (Field::TcpSource, Field::TcpDestination),
        Some(17) => (Field::UdpSource, Field::UdpDestination),
        Some(132) => (Field::SctpSource, Field::SctpDestination),
        _ => return Ok((None, None)),
    };
    Ok((integer(from, source)?, integer(from, destination)?))
}

fn icmp(from: &UlogdRow, protocol: Option<u8>) -> Result<(Option<u8>, Option<u8>), String> {
    let (kind, code) = match protocol {
        Some(1) => (Field::IcmpType, Field::IcmpCode),
        Some(58) => (Field::Icmpv6Type, Field::Icmpv6Code),
        _ => return Ok((None, None)),
    };
    Ok((integer(from, kind)?, integer(from, code)?))
}

/// The flags of TCP; ulogd stores neither CWR nor ECE.
fn tcp_flags(from: &UlogdRow, protocol: Option<u8>) -> Result<Option<u8>, String> {
    const BITS: [(Field, u8); 6] = [
        (Field::TcpUrg, 0x20),
        (Field::TcpAck, 0x10),
        (Field::TcpPsh, 0x08),
        (Field::TcpRst, 0x04),
        (Field::TcpSyn, 0x02),
        (Field::TcpFin, 0x01),
    ];
    if protocol != Some(6) {
        return Ok(None);
    }
    let mut flags = None;
    for (field, bit) in BITS {
        if let Some(value) = integer::<i64>(from, field)? {
            *flags.get_or_insert(0) |= if value == 0 { 0 } else { bit };
        }
    }
    Ok(flags)
}
