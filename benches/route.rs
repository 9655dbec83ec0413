//! Time per packet of each stage of a packet's route and of the whole route, on one thread.
//!
//! The datagram was recorded: 100 packets in one batch of the kernel. For the route it is repeated with 100,000
//! different source addresses, most of them public.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

mod datagrams;

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use nflog_exporter::{
    config::Config,
    event::{Event, fixture},
    geoip::{GeoIp, Locator},
    metrics::{Aggregate, SharedAggregate},
    packet,
    pipeline::{Clock, Route},
    source::nflog,
};

use datagrams::{DATAGRAM, PACKETS, SOURCES, datagrams, source};

/// Bytes that are written between two datagrams: more than the L2 cache of most processors.
const EVICTED: usize = 4 << 20;

/// The time between two datagrams of 100,000 packets per second. A processor that is idle for so long can lose what its
/// caches hold, the code included.
const PAUSE: Duration = Duration::from_millis(1);

/// As many addresses in 400 networks, which all have a series.
fn source_in_few_networks(number: u32) -> Ipv4Addr {
    let number = number % SOURCES;
    Ipv4Addr::from_bits(source(number % 400).to_bits() & 0xffff_ff00 | (1 + number / 400))
}

fn payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    nflog::walk(DATAGRAM, |packet| payloads.push(packet.payload.to_vec()));
    payloads
}

fn event(locator: &mut Locator, source: Ipv4Addr) -> Event {
    let mut payload = payloads().remove(0);
    payload[12..16].copy_from_slice(&source.octets());
    let place = locator.locate(source.into());
    Event { place, ..fixture::event(packet::decode(&payload, None, 60)) }
}

fn stages(criterion: &mut Criterion) {
    let geoip = GeoIp::open(&[]).unwrap();
    let mut locator = geoip.locator();
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(PACKETS as u64));

    let mut walk = nflog::Walk::default();
    group.bench_function("walk", |bencher| {
        bencher.iter(|| {
            walk.datagram(black_box(DATAGRAM), |packet| {
                black_box(packet.record("eth0", ""));
            })
        });
    });
    let payloads = payloads();
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(packet::decode(black_box(payload), Some(0x0800), 60));
            }
        });
    });
    let mut number = 0_u32;
    group.bench_function("locate", |bencher| {
        bencher.iter(|| {
            let first = (number + 1) % SOURCES;
            number = first + u32::try_from(PACKETS).unwrap() - 1;
            let addresses = (first..=number).map(|number| IpAddr::V4(source(number)));
            locator.locate_all(addresses, |_, place| _ = black_box(place));
        });
    });

    // All default families, the estimate of distinct sources and the port scans; every packet has a series.
    let plans = Config::default().family;
    let mut aggregate = Aggregate::new(&plans, &[1], 1, Duration::ZERO);
    let events: Vec<_> =
        (0..50).chain(0..50).map(|number| event(&mut locator, source(number))).collect();
    aggregate.record(&events, Duration::ZERO);
    group.bench_function("record a hit", |bencher| {
        bencher.iter(|| aggregate.record(black_box(&events), Duration::ZERO));
    });
    // The next two differ in nothing but whether packets fold: each packet is from another source.
    let mut known = Aggregate::new(&plans, &[1], 1, Duration::ZERO);
    let events: Vec<_> =
        (0..SOURCES).map(|number| event(&mut locator, source_in_few_networks(number))).collect();
    known.record(&events, Duration::ZERO);
    let mut batches = events.chunks(PACKETS).cycle();
    group.bench_function("record a hit, 100,000 sources", |bencher| {
        bencher.iter(|| known.record(black_box(batches.next().unwrap()), Duration::ZERO));
    });
    // Every packet is from another network: the budgets are full, and every packet folds.
    let mut full = Aggregate::new(&plans, &[1], 1, Duration::ZERO);
    let events: Vec<_> = (0..SOURCES).map(|number| event(&mut locator, source(number))).collect();
    full.record(&events, Duration::ZERO);
    let mut batches = events.chunks(PACKETS).cycle();
    group.bench_function("record a fold, 100,000 sources", |bencher| {
        bencher.iter(|| full.record(black_box(batches.next().unwrap()), Duration::ZERO));
    });
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let geoip = GeoIp::open(&[]).unwrap();
    let clock = Clock::running();
    let plans = Config::default().family;
    let aggregate = SharedAggregate::new(Aggregate::new(&plans, &[1], 1, clock.now()));
    let mut route = Route::new(geoip.locator(), aggregate, clock);
    let mut walk = nflog::Walk::default();
    let datagrams = datagrams();
    let mut next = datagrams.iter().cycle();
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(PACKETS as u64));
    group.bench_function("datagram to series, 100,000 sources", |bencher| {
        bencher.iter_batched_ref(
            // The datagram is in the CPU cache when the reader gets it, as after a copy from the kernel.
            || next.next().unwrap().clone(),
            |datagram| {
                walk.datagram(datagram, |packet| route.take(&packet.record("eth0", "")));
                route.hand_over();
            },
            BatchSize::PerIteration,
        );
    });
    // Between two datagrams, the kernel and other programs take the caches of a busy host, and an idle processor its own.
    let mut others = vec![0_u8; EVICTED];
    let mut evict = || others.chunks_mut(64).for_each(|line| line[0] = line[0].wrapping_add(1));
    let mut pause = || thread::sleep(PAUSE);
    let mut between: [(&str, &mut dyn FnMut()); 2] =
        [("cold", &mut evict), ("after a pause", &mut pause)];
    for (name, between) in &mut between {
        for sources in [10_000_usize, 100_000] {
            let mut next = datagrams[..sources / PACKETS].iter().cycle();
            let mut time = || {
                between();
                let datagram = black_box(next.next().unwrap().clone());
                let start = Instant::now();
                walk.datagram(&datagram, |packet| route.take(&packet.record("eth0", "")));
                route.hand_over();
                start.elapsed()
            };
            let name = format!("datagram to series, {sources} sources, {name}");
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut times: Vec<_> = (0..iterations).map(|_| time()).collect();
                    // The median: now and then, the system or another guest of the host takes the processor.
                    let middle = times.len() / 2;
                    *times.select_nth_unstable(middle).1 * u32::try_from(iterations).unwrap()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, stages, route);
criterion_main!(benches);
