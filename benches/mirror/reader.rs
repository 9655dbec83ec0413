//! The cost of the mirror on the thread that reads packets.

use std::time::Duration;

use nflog_exporter::{
    config::Config,
    geoip::GeoIp,
    metrics::{Aggregate, SharedAggregate},
    pipeline::{Clock, Route},
    source::nflog,
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    bulk,
    datagrams::{PACKETS, datagrams},
    figures::median,
};

/// Datagrams of a run.
const DATAGRAMS: u32 = 50_000;

/// Events in the queue above which the reader waits for the spooler: two chunks, as when it keeps up.
const QUEUED: u64 = 2 * 4_096;

/// Number of runs of each; they alternate.
const RUNS: usize = 5;

/// Prints the reader's processor time per packet without and with a mirror.
pub fn run() {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        without.push(nanoseconds(false));
        with.push(nanoseconds(true));
    }
    let (without, with) = (median(without), median(with));
    println!(
        "the reader: {without:.0} ns/packet without a mirror, {with:.0} ns/packet with one \
         (SQLite): {:.2} times (aim: 1.3 or less)",
        with / without
    );
}

/// The reader's processor time per packet.
fn nanoseconds(is_mirrored: bool) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let geoip = GeoIp::open(&[]).unwrap();
    let clock = Clock::running();
    let families = Config::default().family;
    let aggregate = SharedAggregate::new(Aggregate::new(&families, &[1], 1, clock.now()));
    let mut route = Route::new(geoip.locator(), aggregate, clock);
    let url = format!("sqlite:{}", directory.path().join("packets.db").display());
    let mirror =
        is_mirrored.then(|| bulk::start(&url, &geoip, &route.current_names(), directory.path()));
    if let Some(mirror) = &mirror {
        route.mirror_to(mirror.queue());
    }
    let mut datagrams = datagrams();
    let mut walk = nflog::Walk::default();
    let mut spent = Duration::ZERO;
    for number in 0..DATAGRAMS {
        let datagram = &mut datagrams[number as usize % 1_000];
        let began = thread_time();
        walk.datagram(datagram, |packet| route.take(&packet.record("eth0", "")));
        route.hand_over();
        spent += thread_time().saturating_sub(began);
        while mirror.as_ref().is_some_and(|it| it.queue().status().account.queued > QUEUED) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    if let Some(mirror) = mirror {
        assert_eq!(mirror.queue().status().account.dropped.iter().sum::<u64>(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(mirror.end(Duration::ZERO));
    }
    spent.as_secs_f64() * 1e9 / (f64::from(DATAGRAMS) * PACKETS as f64)
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
