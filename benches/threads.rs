//! Packets per second of several reading threads that share the consumers, and the time that each packet spends under their
//! locks, which limits the number of useful threads. Without the kernel's part.
//!
//! `cargo bench --bench threads`, with nothing else on the machine.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a failure here fails the benchmark"
)]

mod datagrams;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use nflog_exporter::{
    config::Config,
    event::Event,
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    networks::Networks,
    pipeline::{Clock, EventSink, Route},
    source::nflog,
};

use rustix::thread::{CpuSet, sched_setaffinity};

use datagrams::{PACKETS, datagrams};

/// Passes over all datagrams in one measurement.
const PASSES: usize = 20;

/// Measurements of each number; the medians count.
const RUNS: usize = 9;

/// A route with the default families.
fn new_route(geoip: &GeoIp) -> Route {
    let clock = Clock::running();
    let plans = Config::default().family;
    let aggregate = SharedAggregate::new(Aggregate::new(&plans, &[1], 1, clock.now()));
    Route::new(geoip.locator(), aggregate, clock)
}

fn read_all(route: &mut Route, datagrams: &[Vec<u8>]) {
    let mut walk = nflog::Walk::default();
    for datagram in datagrams {
        walk.datagram(datagram, |packet| route.take(&packet.record("eth0", "")));
        route.try_hand_over();
    }
}

/// Pins the calling thread: in a second, the scheduler does not always find the idle processors.
fn use_processor(number: usize) {
    let mut processors = CpuSet::new();
    processors.set(number);
    sched_setaffinity(None, &processors).unwrap();
}

/// Nanoseconds per packet with this number of threads, each with its part of the datagrams: their flows. If they share
/// nothing, this shows what the processors can do.
fn with_threads(count: usize, shares: bool, datagrams: &[Vec<u8>]) -> f64 {
    let geoip = GeoIp::open(&[]).unwrap();
    let networks = Networks::none();
    let first = new_route(&geoip);
    let another = |_| {
        if shares { first.another(geoip.locator(), networks.lookup()) } else { new_route(&geoip) }
    };
    let mut routes: Vec<_> = (1..count).map(another).collect();
    routes.push(first);
    let barrier = Barrier::new(count);
    let times = thread::scope(|scope| {
        let threads: Vec<_> = routes
            .iter_mut()
            .enumerate()
            .map(|(index, route)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    use_processor(index);
                    let ours: Vec<_> =
                        datagrams.iter().skip(index).step_by(count).cloned().collect();
                    read_all(route, &ours);
                    barrier.wait();
                    let start = Instant::now();
                    for _ in 0..PASSES {
                        read_all(route, &ours);
                    }
                    route.hand_over();
                    start.elapsed()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    per_packet(times.into_iter().max().unwrap(), datagrams)
}

fn per_packet(time: Duration, datagrams: &[Vec<u8>]) -> f64 {
    time.as_secs_f64() * 1e9 / (PASSES * datagrams.len() * PACKETS) as f64
}

#[derive(Debug, Default)]
struct Batches(Arc<Mutex<Vec<Vec<Event>>>>);

impl EventSink for Batches {
    fn take(&mut self, batch: &[Event]) {
        self.0.lock().unwrap().push(batch.to_vec());
    }
}

/// Nanoseconds per packet under the lock of the aggregate, and under that of the recent packets.
fn under_locks(datagrams: &[Vec<u8>]) -> (f64, f64) {
    let geoip = GeoIp::open(&[]).unwrap();
    let batches = Arc::<Mutex<Vec<Vec<Event>>>>::default();
    let mut route = new_route(&geoip);
    route.divert_to(Box::new(Batches(Arc::clone(&batches))));
    read_all(&mut route, datagrams);
    let batches = batches.lock().unwrap();
    let (aggregate, recent, clock) = (route.aggregate(), route.recent(), route.clock());
    let time = |work: &dyn Fn(&[Event])| {
        batches.iter().for_each(|batch| work(batch));
        let start = Instant::now();
        for _ in 0..PASSES {
            batches.iter().for_each(|batch| work(batch));
        }
        per_packet(start.elapsed(), datagrams)
    };
    (
        time(&|batch| aggregate.lock().record(batch, clock.now())),
        time(&|batch| recent.lock().push(batch, clock.now())),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All measurements with one number of threads.
struct Measured {
    threads: usize,
    /// Nanoseconds per packet of threads that share the consumers.
    together: Vec<f64>,
    /// Nanoseconds per packet of threads that share nothing.
    apart: Vec<f64>,
}

fn main() {
    let datagrams = datagrams();
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let counts = [1, 2, 4, 8].into_iter().filter(|count| *count <= processors);
    let mut measured: Vec<_> = counts
        .map(|threads| Measured { threads, together: Vec::new(), apart: Vec::new() })
        .collect();
    let (mut aggregate, mut recent) = (Vec::new(), Vec::new());
    // In turn, so that a change of the machine's speed changes all of them.
    for _ in 0..RUNS {
        for Measured { threads, together, apart } in &mut measured {
            together.push(with_threads(*threads, true, &datagrams));
            apart.push(with_threads(*threads, false, &datagrams));
        }
        let locked = under_locks(&datagrams);
        aggregate.push(locked.0);
        recent.push(locked.1);
    }
    let (aggregate, recent) = (median(aggregate), median(recent));
    let one = median(measured[0].together.clone());
    println!(
        "of {one:.0} ns per packet, {aggregate:.0} are under the lock of the aggregate, {recent:.0} under that of the recent \
         packets\n"
    );
    println!(
        "| threads | ns per packet | million packets/s | speed-up | of threads that share nothing | at most |"
    );
    println!("|---|---|---|---|---|---|");
    let alone = median(measured[0].apart.clone());
    for Measured { threads, together, apart } in measured {
        let (together, apart) = (median(together), median(apart));
        // A lock is held by one thread at a time, so the longer one bounds them all.
        let bound = (threads as f64).min(one / aggregate.max(recent));
        println!(
            "| {threads} | {together:.0} | {:.2} | {:.2} | {:.2} | {bound:.2} |",
            1e3 / together,
            one / together,
            alone / apart
        );
    }
}
