//! From an event to its row, step by step: time per packet on one thread.
//!
//! If `NFLOG_EXPORTER_CITY_DATABASE` is the path of a city database, rows with cities are measured too.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

use std::{hint::black_box, net::Ipv4Addr, path::PathBuf};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use nflog_exporter::{
    event::{Event, HardwareAddress, Interner, NameField, Names, fixture},
    geoip::GeoIp,
    mirror::{
        anonymize::{Anonymizer, CryptoPan},
        row::Row,
        row_builder::RowBuilder,
        select::{Selection, Selector},
    },
    networks::Networks,
    packet,
    source::nflog,
};

const DATAGRAM: &[u8] = include_bytes!("../tests/data/nflog/100-packets.bin");
const BATCH: usize = 100;

/// A packet of the datagram from each of this many sources, spread over the address space.
fn events(geoip: &GeoIp, interner: &mut Interner, sources: u32) -> Vec<Event> {
    let mut locator = geoip.locator();
    let mut payloads = Vec::new();
    nflog::walk(DATAGRAM, |packet| payloads.push(packet.payload.to_vec()));
    let names = [
        interner.intern(NameField::Prefix, b"drop-in: "),
        interner.intern(NameField::InDevice, b"eth0"),
        interner.intern(NameField::OutDevice, b""),
    ];
    (0..100_000_u32)
        .map(|number| {
            let source = Ipv4Addr::from_bits((number % sources).wrapping_mul(0x9e37_79b9));
            let payload = &mut payloads[0];
            payload[12..16].copy_from_slice(&source.octets());
            Event {
                time: u64::from(number),
                prefix: names[0],
                in_device: names[1],
                out_device: names[2],
                hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 1]),
                place: locator.locate(source.into()),
                ..fixture::event(packet::decode(payload, None, 60))
            }
        })
        .collect()
}

fn rows(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, databases: &[PathBuf], sources: u32) {
    let geoip = GeoIp::open(databases).unwrap();
    let mut interner = Interner::new(Names::default());
    let events = events(&geoip, &mut interner, sources);
    let mut row_builder =
        RowBuilder::new(interner.names(), Networks::none().locations(geoip.city_lookup()));
    let mut batches = events.chunks(BATCH).cycle();
    let mut rows: Vec<Row> = Vec::with_capacity(BATCH);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            row_builder.refresh();
            rows.clear();
            rows.extend(batches.next().unwrap().iter().map(|event| row_builder.row(event, 1)));
            black_box(&rows);
        });
    });
}

fn written(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("row");
    group.throughput(Throughput::Elements(BATCH as u64));
    rows(&mut group, "country database", &[], 100_000);
    if let Some(path) = std::env::var_os("NFLOG_EXPORTER_CITY_DATABASE") {
        let path = [PathBuf::from(path)];
        rows(&mut group, "city database, 1,000 sources", &path, 1_000);
        rows(&mut group, "city database, 100,000 sources", &path, 100_000);
    }
    group.finish();
}

fn selected(criterion: &mut Criterion) {
    let geoip = GeoIp::open(&[]).unwrap();
    let mut interner = Interner::new(Names::default());
    let events = events(&geoip, &mut interner, 100_000);
    let mut group = criterion.benchmark_group("select");
    group.throughput(Throughput::Elements(BATCH as u64));
    let all = Selection::default();
    let some = Selection {
        prefixes: vec!["drop-in:".to_owned()],
        countries: ["US", "GB", "unknown"].map(str::to_owned).to_vec(),
        sample: 10,
    };
    for (name, selection) in [("all", all), ("prefix, country, 1 in 10", some)] {
        let mut selector = Selector::new(&selection, interner.names()).unwrap();
        let mut batches = events.chunks(BATCH).cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let batch = batches.next().unwrap();
                black_box(batch.iter().filter(|event| selector.pick(event).is_ok()).count())
            });
        });
    }
    group.finish();
}

fn anonymized(criterion: &mut Criterion) {
    let geoip = GeoIp::open(&[]).unwrap();
    let mut interner = Interner::new(Names::default());
    let mut group = criterion.benchmark_group("anonymize");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, sources) in [("1,000 sources", 1_000), ("100,000 sources", 100_000)] {
        let events = events(&geoip, &mut interner, sources);
        let mut row_builder =
            RowBuilder::new(interner.names(), Networks::none().locations(geoip.city_lookup()));
        let rows: Vec<_> = events.iter().map(|event| row_builder.row(event, 1)).collect();
        let cryptopan = || Anonymizer::CryptoPan(Box::new(CryptoPan::new(&[7; 32])));
        for (mode, mut anonymizer) in
            [("truncate", Anonymizer::Truncate), ("cryptopan", cryptopan())]
        {
            let mut places = (0..rows.len()).step_by(BATCH).cycle();
            let mut rows = rows.clone();
            group.bench_function(format!("{mode}, {name}"), |bencher| {
                bencher.iter(|| {
                    let place = places.next().unwrap();
                    for row in &mut rows[place..place + BATCH] {
                        // Each time from the same addresses.
                        let (source, destination) = (row.source, row.destination);
                        anonymizer.apply(row);
                        black_box(&mut *row);
                        (row.source, row.destination) = (source, destination);
                    }
                });
            });
        }
    }
    let mut cryptopan = CryptoPan::new(&[7; 32]);
    let mut number = 0_u128;
    group.throughput(Throughput::Elements(1));
    group.bench_function("cryptopan, a new IPv6 address", |bencher| {
        bencher.iter(|| {
            number += 1;
            black_box(cryptopan.encrypt(std::net::Ipv6Addr::from_bits(number).into()))
        });
    });
    group.bench_function("cryptopan, a new IPv4 address", |bencher| {
        bencher.iter(|| {
            number += 1;
            let address = Ipv4Addr::from_bits((number & u128::from(u32::MAX)).try_into().unwrap());
            black_box(cryptopan.encrypt(address.into()))
        });
    });
    group.finish();
}

criterion_group!(benches, written, selected, anonymized);
criterion_main!(benches);
