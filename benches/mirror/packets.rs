//! The packets of the benchmark: events as the reader makes them, and the rows of these events.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nflog_exporter::{
    event::{Event, HardwareAddress, Hook, Interner, NameField, NameId, Names, fixture},
    geoip::GeoIp,
    mirror::{row::Row, row_builder::RowBuilder},
    networks::Networks,
    packet::Direction,
};

/// Where names and places of the events come from.
pub struct Packets {
    pub geoip: GeoIp,
    pub interner: Interner,
}

impl Packets {
    pub fn new() -> Self {
        Self { geoip: GeoIp::open(&[]).unwrap(), interner: Interner::new(Names::default()) }
    }

    /// Packets of the last hour: spoofed sources, twenty prefixes, common ports.
    pub fn events(&mut self, count: u64) -> Vec<Event> {
        const CHAINS: [&str; 5] = ["input", "forward", "scan", "bogon", "limit"];
        const ACTIONS: [&str; 4] = ["drop-", "reject-", "accept-", "log-"];
        const PORTS: [u16; 8] = [22, 23, 80, 443, 445, 3389, 5060, 8080];
        let hour = Duration::from_secs(3_600);
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().saturating_sub(hour);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
        let (start, span) = (micros(start), micros(hour));
        let mut name = |field, text: &str| self.interner.intern(field, text.as_bytes());
        let device = name(NameField::InDevice, "eth0");
        let prefixes: Vec<NameId> = (0..20)
            .map(|number| {
                name(NameField::Prefix, &format!("{}{}", ACTIONS[number % 4], CHAINS[number % 5]))
            })
            .collect();
        let mut locator = self.geoip.locator();
        (0..count)
            .map(|number| {
                let index = usize::try_from(number).unwrap();
                let bits = u32::try_from(number).unwrap().wrapping_mul(0x9e37_79b9);
                let source = Ipv4Addr::from_bits(bits);
                let event = fixture::tcp("unknown", source, PORTS[index % PORTS.len()]);
                Event {
                    time: start + number * span / count,
                    prefix: prefixes[index % prefixes.len()],
                    in_device: device,
                    hook: Some(Hook::Input),
                    direction: Some(Direction::In),
                    hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 1]),
                    place: locator.locate(source.into()),
                    ..event
                }
            })
            .collect()
    }

    /// The rows of these events.
    pub fn rows(&self, events: &[Event]) -> Vec<Row> {
        let locations = Networks::none().locations(self.geoip.city_lookup());
        let mut row_builder = RowBuilder::new(self.interner.names(), locations);
        events.iter().map(|event| row_builder.row(event, 1)).collect()
    }
}
