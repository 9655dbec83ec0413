//! Captures of NFLOG packets with chosen times, prefixes and sources, and the rows that the exporter would write for them.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use etherparse::PacketBuilder;
use nflog_exporter::{
    event::Event,
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    mirror::{row::Row, row_builder::RowBuilder},
    networks::Networks,
    pipeline::{self, Clock, EventSink, Route},
    source::pcap::{Capture, CaptureOptions},
};

/// 2026-11-23 12:00 UTC, seconds since 1970: the end of [`week`].
pub const END: u64 = 1_795_435_200;

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// Numbers of hooks, see `enum nf_inet_hooks`.
pub const INPUT: u8 = 1;
pub const OUTPUT: u8 = 3;

/// A capture file of link type NFLOG.
pub struct NflogCapture(Vec<u8>);

impl NflogCapture {
    pub fn new() -> Self {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // Snapshot length 65535, link type 239.
        file.extend([0xff, 0xff, 0, 0, 239, 0, 0, 0]);
        Self(file)
    }

    /// Adds an IP packet. The time is in microseconds since 1970.
    pub fn packet(&mut self, time: u64, prefix: &[u8], hook: u8, packet: &[u8]) {
        let mut frame = vec![if packet[0] >> 4 == 6 { 10 } else { 2 }, 0, 0, 0];
        let mut attribute = |kind: u16, value: &[u8]| {
            frame.extend((u16::try_from(value.len()).unwrap() + 4).to_le_bytes());
            frame.extend(kind.to_le_bytes());
            frame.extend(value);
            frame.resize(frame.len().next_multiple_of(4), 0);
        };
        let ether_type: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
        attribute(1, &[ether_type[0], ether_type[1], hook, 0]);
        attribute(10, &[prefix, &[0]].concat());
        attribute(9, packet);
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        self.0.extend(u32::try_from(time / 1_000_000).unwrap().to_le_bytes());
        self.0.extend(u32::try_from(time % 1_000_000).unwrap().to_le_bytes());
        self.0.extend(length.iter().chain(&length));
        self.0.extend(frame);
    }

    /// The content of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A TCP SYN to a port.
pub fn syn(source: IpAddr, port: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    match source {
        IpAddr::V4(source) => PacketBuilder::ipv4(source.octets(), [192, 0, 2, 1], 64)
            .tcp(40_000, port, 1, 64_240)
            .syn()
            .write(&mut packet, &[])
            .unwrap(),
        IpAddr::V6(source) => {
            let host = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap();
            PacketBuilder::ipv6(source.octets(), host.octets(), 64)
                .tcp(40_000, port, 1, 64_240)
                .syn()
                .write(&mut packet, &[])
                .unwrap();
        }
    }
    packet
}

fn udp(source: [u8; 4], destination: [u8; 4], port: u16, length: usize) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(source, destination, 64).udp(40_000, port);
    builder.write(&mut packet, &vec![0; length]).unwrap();
    packet
}

fn ping(source: [u8; 4]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(source, [192, 0, 2, 1], 64).icmpv4_echo_request(1, 1);
    builder.write(&mut packet, &[0; 56]).unwrap();
    packet
}

/// A prefix with markup of every format, and a control character.
pub const HOSTILE_PREFIX: &[u8] =
    b"<script>alert(1)</script> a|b`c` [x](http://evil.example) \x1b[31m";

/// Seven days: some busy networks of several countries and many other sources, ICMP, IPv6, packets that the host sent,
/// truncated ones, and on the last day a port scan from a country that was not seen before.
pub fn week() -> NflogCapture {
    let mut capture = NflogCapture::new();
    let mut random = fastrand::Rng::with_seed(7);
    let busy =
        [[133, 11, 0, 9], [200, 160, 0, 3], [193, 0, 1, 2], [130, 75, 2, 2], [218, 92, 0, 11]];
    let others = [[81, 2, 69], [3, 135, 233], [91, 240, 118], [103, 7, 7], [45, 148, 10]];
    let ports = [22, 22, 22, 23, 23, 445, 3389, 80, 443, 8080];
    for number in 0..3_000_u64 {
        let time = (END - 7 * DAY) * 1_000_000 + number * 7 * DAY * 1_000_000 / 3_000 + 17;
        let last = random.u8(1..255);
        let source = match random.u8(..10) {
            kind @ 0..5 => busy[usize::from(kind)],
            kind => {
                let [first, second, third] = others[usize::from(kind) - 5];
                [first, second, third, last]
            }
        };
        let (prefix, hook, packet) = match random.u8(..20) {
            0 => (&b"ping"[..], INPUT, ping(source)),
            1..4 => (
                &b"input drop"[..],
                INPUT,
                udp(source, [192, 0, 2, 1], random.choice([53, 123, 5060]).unwrap(), 40),
            ),
            4 => (&b"output"[..], OUTPUT, udp([192, 0, 2, 1], source, 53, 20)),
            5 => (HOSTILE_PREFIX, INPUT, syn(IpAddr::from(source), 6379)),
            6 => {
                let source = format!("2001:200:{last:x}::{last:x}").parse().unwrap();
                (&b"input drop"[..], INPUT, syn(source, 22))
            }
            7 if last < 50 => (&b""[..], INPUT, syn(IpAddr::from(source), 22)[..22].to_vec()),
            _ => (
                &b"input drop"[..],
                INPUT,
                syn(IpAddr::from(source), random.choice(ports).unwrap()),
            ),
        };
        capture.packet(time, prefix, hook, &packet);
    }
    for port in 1..=200 {
        let time = (END - 3_600) * 1_000_000 + u64::from(port);
        capture.packet(time, b"input drop", INPUT, &syn("196.216.2.4".parse().unwrap(), port));
    }
    capture
}

/// The rows that the exporter writes for a capture.
pub fn rows(capture: &NflogCapture) -> Vec<Row> {
    let geoip = GeoIp::open(&[]).unwrap();
    let bytes = std::io::Cursor::new(capture.bytes().to_vec());
    let mut source = Capture::from_reader("test", bytes, CaptureOptions::default()).unwrap();
    let aggregate = SharedAggregate::new(Aggregate::new(&[], &[], 0, std::time::Duration::ZERO));
    let mut route = Route::new(geoip.locator(), aggregate, Clock::packets());
    let events = Events::default();
    route.divert_to(Box::new(events.clone()));
    let names = route.names();
    pipeline::read(&mut source, &mut route, &AtomicBool::new(false)).unwrap();
    let mut builder = RowBuilder::new(names, Networks::none().locations(geoip.city_lookup()));
    events.0.lock().unwrap().iter().map(|event| builder.row(event, 1)).collect()
}

#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl EventSink for Events {
    fn take(&mut self, batch: &[Event]) {
        self.0.lock().unwrap().extend(batch);
    }
}
