//! A scrape of 1,000, 10,000 and 100,000 series: how long it holds the lock that the reader needs, and how long the text
//! takes afterwards.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nflog_exporter::{
    event::{NameId, Names, fixture},
    exposition,
    metrics::{Aggregate, Dimension, FamilyConfig, SnapshotMemory, SnapshotMetrics},
};

/// Numbers of series.
const SERIES: [u32; 3] = [1_000, 10_000, 100_000];

/// Prefixes of the packets.
const PREFIXES: u32 = 10;

/// Bytes that evict the processor's caches of one core.
const EVICTED: usize = 16 << 20;

/// Counts a packet of each of so many keys, and a scrape of their series.
fn aggregate(series: u32) -> Aggregate {
    use Dimension::{Country, Port, Prefix, Proto, SourcePort};
    let family = FamilyConfig {
        name: "traffic".to_owned(),
        labels: vec![Country, Prefix, Proto, Port, SourcePort],
        // A key gets a series with its first packet while a quarter of the places is free.
        max_series: 4 * series as usize,
        max_new_series_per_hour: 1_000_000,
        newborn_hold: Duration::ZERO,
    };
    let mut aggregate = Aggregate::new(&[family], &[1], 1, Duration::ZERO);
    let mut events = Vec::new();
    for number in 0..series {
        let port = u16::try_from(number / PREFIXES).unwrap();
        let mut event = fixture::tcp("DE", [192, 0, 2, 1], port);
        event.prefix = NameId::from_index(1 + u16::try_from(number % PREFIXES).unwrap());
        events.push(event);
    }
    aggregate.record(&events, Duration::ZERO);
    let generation = aggregate.snapshot(Duration::ZERO).generation;
    aggregate.delivered(generation, Duration::ZERO);
    aggregate.record(&events, Duration::ZERO);
    let exposed = aggregate.snapshot(Duration::ZERO).families[0].series.len();
    assert_eq!(exposed, series as usize + 1, "with the last rung");
    aggregate
}

/// Adds up the times of some calls, each after the caches were evicted: a scrape comes once in many seconds.
fn cold(rounds: u64, mut work: impl FnMut() -> Duration) -> Duration {
    let mut buffer = vec![1_u8; EVICTED];
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        // The text of the scrape before, requests and packets.
        for line in buffer.chunks_mut(64) {
            line[0] = line[0].wrapping_add(1);
        }
        black_box(&mut buffer);
        spent += work();
    }
    spent
}

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    group.sample_size(20);
    for series in SERIES {
        group.throughput(Throughput::Elements(series.into()));
        let mut aggregate = aggregate(series);
        group.bench_function(BenchmarkId::new("snapshot, under the lock", series), |bencher| {
            bencher.iter_custom(|rounds| {
                let counts = aggregate.series_counts();
                let mut snapshot = None;
                cold(rounds, || {
                    let memory = SnapshotMemory::new(&counts);
                    let began = Instant::now();
                    snapshot = Some(aggregate.snapshot_into(memory, Duration::ZERO));
                    began.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new("memory, before the lock", series), |bencher| {
            let counts = aggregate.series_counts();
            bencher.iter(|| SnapshotMemory::new(black_box(&counts)));
        });
        let generation = aggregate.snapshot(Duration::ZERO).generation;
        group.bench_function(BenchmarkId::new("delivered, under the lock", series), |bencher| {
            bencher.iter_custom(|rounds| {
                cold(rounds, || {
                    let began = Instant::now();
                    aggregate.delivered(generation, Duration::ZERO);
                    began.elapsed()
                })
            });
        });
        let snapshot = aggregate.snapshot(Duration::ZERO);
        group.bench_function(BenchmarkId::new("text", series), |bencher| {
            bencher.iter_batched(
                || SnapshotMetrics {
                    snapshot: snapshot.clone(),
                    names: Names::default(),
                    as_names: Vec::new(),
                },
                |packets| {
                    let length = packets.expected_length();
                    let text = exposition::render(vec![Box::new(packets)], length).unwrap();
                    exposition::to_plain(&text)
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
