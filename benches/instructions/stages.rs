//! The stages of a packet's route, each prepared so that its next batches are like those of a running exporter.

use std::{
    hint::black_box,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nflog_exporter::{
    config::Config,
    event::{Event, Names},
    geoip::GeoIp,
    metrics::{Aggregate, FamilyConfig, SharedAggregate},
    mirror::row_builder::RowBuilder,
    networks::Networks,
    packet::{self, Direction},
    pipeline::{Clock, EventSink, Route},
    recent::{Recent, WindowMode},
    source::{Record, log, nflog},
};

use crate::datagrams::{DATAGRAM, PACKETS, SOURCES, datagrams, source};

/// Seed of all hashes that have one.
const SEED: u64 = 1;

/// 2026-12-04 00:00:00 UTC, for the year of log lines.
const REFERENCE: u64 = 1_796_342_400_000_000;

const LINES: &str = include_str!("../../tests/data/kernel_log/packets.txt");

/// Handles the next batch of [`PACKETS`] packets.
type Batch = Box<dyn FnMut()>;

/// One stage of the route.
pub struct Stage {
    pub name: &'static str,
    /// Number of batches that are measured.
    pub batches: u32,
    /// Does what the program does before the measured batches.
    pub prepare: fn() -> Batch,
}

const fn stage(name: &'static str, batches: u32, prepare: fn() -> Batch) -> Stage {
    Stage { name, batches, prepare }
}

/// All stages. The measured batches are a multiple of a stage's different batches. Where the preparation opens the
/// databases, they have at least 40 million instructions: a table there has a random seed, and sometimes takes 0.2 million
/// more.
pub const STAGES: &[Stage] = &[
    stage("walk a datagram", 100, walk),
    stage("decode", 100, decode),
    stage("look up an address", 2000, look_up),
    stage("count sources", 4000, || record(&[], 10_000, Some(Direction::Out))),
    stage("count sources and port scans", 2000, || record(&[], 10_000, Some(Direction::In))),
    stage("record, 100 sources", 600, || record_families(100)),
    stage("record, 10,000 sources", 600, || record_families(10_000)),
    stage("record, 100,000 sources", 1000, || record_families(100_000)),
    stage("recent packets, 10,000 sources", 1000, recent),
    stage("route, 100 sources", 200, || route(100)),
    stage("route, 10,000 sources", 200, || route(10_000)),
    stage("line of the kernel log to an event", 100, line),
    stage("row for the mirror", 600, row),
];

/// The default families.
fn families() -> Vec<FamilyConfig> {
    Config::default().family.to_vec()
}

/// A clock that stands at zero, because it starts tomorrow: nothing expires while a slow machine measures.
fn clock() -> Clock {
    Clock::Running(Instant::now() + Duration::from_secs(24 * 60 * 60))
}

/// The next of these for each call, from the start after the last one.
fn cycle<T>(batches: Vec<T>) -> impl FnMut(&mut dyn FnMut(&T)) {
    let mut next = 0;
    move |take| {
        take(&batches[next]);
        next = (next + 1) % batches.len();
    }
}

fn walk() -> Batch {
    let mut walk = nflog::Walk::default();
    Box::new(move || {
        walk.datagram(black_box(DATAGRAM), |packet| {
            black_box(packet.record("eth0", ""));
        });
    })
}

fn decode() -> Batch {
    let mut payloads = Vec::new();
    nflog::walk(DATAGRAM, |packet| payloads.push(packet.payload.to_vec()));
    Box::new(move || {
        for payload in &payloads {
            black_box(packet::decode(black_box(payload), Some(0x0800), 60));
        }
    })
}

fn look_up() -> Batch {
    let mut locator = GeoIp::open(&[]).unwrap().locator();
    let addresses: Vec<_> = (0..SOURCES).map(|number| IpAddr::V4(source(number))).collect();
    let batches = addresses.chunks(PACKETS).map(<[IpAddr]>::to_vec).collect();
    let mut next = cycle(batches);
    Box::new(move || {
        next(&mut |addresses: &Vec<IpAddr>| {
            locator.locate_all(addresses.iter().copied(), |_, place| _ = black_box(place));
        });
    })
}

/// Keeps the batches of a route, and the names that its events have.
#[derive(Debug, Default)]
struct Kept(Arc<Mutex<Vec<Vec<Event>>>>);

impl EventSink for Kept {
    fn take(&mut self, batch: &[Event]) {
        self.0.lock().unwrap().push(batch.to_vec());
    }
}

/// A route that takes the packets of the first datagrams, with this many sources.
fn new_route() -> Route {
    let aggregate = Aggregate::new(&families(), &[1], SEED, Duration::ZERO);
    Route::new(GeoIp::open(&[]).unwrap().locator(), SharedAggregate::new(aggregate), clock())
}

fn pass(datagram: &[u8], walk: &mut nflog::Walk, route: &mut Route) {
    walk.datagram(datagram, |packet| route.take(&packet.record("eth0", "")));
    route.hand_over();
}

/// Batches of events as a route makes them, from this many sources, and the names of their prefixes.
fn events(sources: usize) -> (Vec<Vec<Event>>, Names) {
    let mut route = new_route();
    let batches = Arc::default();
    route.divert_to(Box::new(Kept(Arc::clone(&batches))));
    for datagram in &datagrams()[..sources / PACKETS] {
        pass(datagram, &mut nflog::Walk::default(), &mut route);
    }
    let batches = std::mem::take(&mut *batches.lock().unwrap());
    (batches, route.names())
}

fn record_families(sources: usize) -> Batch {
    record(&families(), sources, Some(Direction::In))
}

/// Records the packets of each source a second time.
fn record(families: &[FamilyConfig], sources: usize, direction: Option<Direction>) -> Batch {
    let (mut batches, _) = events(sources);
    batches.iter_mut().flatten().for_each(|event| event.direction = direction);
    let mut aggregate = Aggregate::new(families, &[1], SEED, Duration::ZERO);
    for batch in &batches {
        aggregate.record(batch, Duration::ZERO);
    }
    let mut next = cycle(batches);
    Box::new(move || {
        next(&mut |batch: &Vec<Event>| aggregate.record(black_box(batch), Duration::ZERO));
    })
}

fn recent() -> Batch {
    let (batches, _) = events(10_000);
    let mut recent = Recent::new(WindowMode::Live);
    for batch in &batches {
        recent.push(batch, Duration::ZERO);
    }
    let mut next = cycle(batches);
    Box::new(move || next(&mut |batch: &Vec<Event>| recent.push(black_box(batch), Duration::ZERO)))
}

/// From the datagram to the series and the recent packets.
fn route(sources: usize) -> Batch {
    let (mut walk, mut route) = (nflog::Walk::default(), new_route());
    let mut datagrams = datagrams();
    datagrams.truncate(sources / PACKETS);
    for datagram in &datagrams {
        pass(datagram, &mut walk, &mut route);
    }
    let mut next = cycle(datagrams);
    Box::new(move || {
        next(&mut |datagram: &Vec<u8>| pass(black_box(datagram), &mut walk, &mut route));
    })
}

/// A line of ufw that rsyslog writes with the time of RFC 3339, from its bytes to an event with its country.
fn line() -> Batch {
    let time = "Dec  3 10:11:12";
    let line = LINES.lines().find(|line| line.starts_with(time)).unwrap();
    let line = line.replace(time, "2026-12-03T10:11:12.345678+01:00");
    let batch = |number: u32| {
        let line = |index: u32| {
            let source = source(number * 100 + index).to_string();
            line.replace("203.0.113.7", &source).replace("51413", &(1024 + index).to_string())
        };
        (0..100).map(|index| line(index).into_bytes()).collect()
    };
    let batches: Vec<Vec<Vec<u8>>> = (0..100).map(batch).collect();
    let mut route = new_route();
    route.divert_to(Box::new(Dropped));
    let zone = log::line_time::Zone::system();
    let mut next = cycle(batches);
    let mut run = move || {
        next(&mut |lines: &Vec<Vec<u8>>| {
            for line in lines {
                let envelope = log::envelope::parse(black_box(line));
                let packet = log::packet_line::parse(envelope.message).unwrap();
                let time = envelope.time.resolve(REFERENCE, &zone);
                route.take(&line_record(&packet, envelope.host.unwrap_or_default(), time));
            }
            route.hand_over();
        });
    };
    run();
    Box::new(run)
}

/// Takes batches and does nothing with them.
#[derive(Debug)]
struct Dropped;

impl EventSink for Dropped {
    fn take(&mut self, batch: &[Event]) {
        black_box(batch);
    }
}

fn line_record<'a>(
    packet: &'a log::packet_line::LoggedPacket<'a>,
    host: &'a [u8],
    time: Option<u64>,
) -> Record<'a> {
    Record {
        group: 0,
        host,
        prefix: packet.prefix,
        hook: None,
        direction: packet.direction,
        ether_type: packet.ether_type,
        headers: Some(packet.headers),
        mark: packet.mark,
        in_device: packet.in_device,
        out_device: packet.out_device,
        hardware_address: packet.hardware_address.as_bytes(),
        uid: packet.uid,
        connection: None,
        time,
        payload: &[],
        wire_length: packet.headers.length,
        message: &[],
    }
}

fn row() -> Batch {
    let (batches, names) = events(10_000);
    let geoip = GeoIp::open(&[]).unwrap();
    let mut builder = RowBuilder::new(names, Networks::none().locations(geoip.city_lookup()));
    let mut rows = Vec::with_capacity(PACKETS);
    let mut next = cycle(batches);
    let mut run = move || {
        next(&mut |batch: &Vec<Event>| {
            builder.refresh();
            rows.clear();
            rows.extend(batch.iter().map(|event| builder.row(event, 1)));
            black_box(&rows);
        });
    };
    run();
    Box::new(run)
}
