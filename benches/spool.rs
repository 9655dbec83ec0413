//! The spool: time per row to write to disk and to read back.
#![allow(clippy::unwrap_used, missing_docs, reason = "a failure here fails the benchmark")]

#[allow(dead_code, reason = "the benchmark uses a part")]
#[path = "../tests/support/spool.rs"]
mod spool_support;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spool_support::{open, rows};

fn spool(criterion: &mut Criterion) {
    let batch = rows(0..1000);
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Elements(1000));
    for size in [1000, 100] {
        group.bench_function(format!("append, {size} at once"), |bencher| {
            let directory = tempfile::tempdir().unwrap();
            let mut spool = open(directory.path(), 64 << 20);
            bencher.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for _ in 0..rounds {
                    let start = Instant::now();
                    for rows in batch.chunks(size) {
                        spool.append(rows, 1).unwrap();
                    }
                    taken += start.elapsed();
                    let (writer, at) = spool.position();
                    spool.delivered(&writer, at + 1000);
                }
                taken
            });
        });
        group.bench_function(format!("next, {size} at once"), |bencher| {
            let directory = tempfile::tempdir().unwrap();
            let mut spool = open(directory.path(), 64 << 20);
            for rows in batch.chunks(size) {
                spool.append(rows, 1).unwrap();
            }
            bencher.iter(|| black_box(spool.next(1000)).unwrap());
        });
        group.bench_function(format!("next and delivered, {size} at once"), |bencher| {
            let directory = tempfile::tempdir().unwrap();
            let mut spool = open(directory.path(), 64 << 20);
            bencher.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                for _ in 0..rounds {
                    for rows in batch.chunks(size) {
                        spool.append(rows, 1).unwrap();
                    }
                    let start = Instant::now();
                    let portion = black_box(spool.next(1000)).unwrap();
                    spool.delivered(&portion.writer, portion.to);
                    taken += start.elapsed();
                }
                taken
            });
        });
    }
}

criterion_group!(benches, spool);
criterion_main!(benches);
