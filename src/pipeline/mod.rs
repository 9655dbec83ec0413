//! The path of a packet from a source to the aggregate, the recent minutes, the mirror and the outputs, and the reader's
//! loop.

mod clock;
mod route;
mod sink;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use clock::{Clock, PacketClock};
pub use route::Route;
pub use sink::EventSink;

use crate::source::{ReadOutcome, Source};

/// How long the reader waits for packets before it checks whether to stop.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// Reads a source until it ends or `stop` is set. After `stop`, packets that the kernel still holds are read too.
///
/// # Errors
/// Errors of the source.
pub fn read(source: &mut dyn Source, route: &mut Route, stop: &AtomicBool) -> anyhow::Result<()> {
    let keeps_messages = route.keeps_messages();
    let mut closed = false;
    let mut is_deferred = false;
    loop {
        let timeout = if is_deferred { Duration::ZERO } else { POLL_TIMEOUT };
        // Chosen for each batch: without such an output, a packet costs nothing more.
        let filled = if keeps_messages {
            source.fill(timeout, &mut |record| route.take_with_message(record))
        } else {
            source.fill(timeout, &mut |record| route.take(record))
        };
        // Also for an empty batch, so that the aggregate's clock advances, and before an error is
        // returned, so that packets read before the error are counted.
        source.handing_over();
        let can_defer = matches!(filled, Ok(ReadOutcome::Batch)) && source.can_defer();
        is_deferred = can_defer && !route.try_hand_over();
        if !can_defer {
            route.hand_over();
        }
        source.handed_over();
        if filled? == ReadOutcome::End {
            route.end_clock();
            return Ok(());
        }
        if !closed && stop.load(Ordering::Relaxed) {
            source.close();
            closed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicU32};

    use super::*;
    use crate::{
        geoip::GeoIp,
        metrics::{Aggregate, SharedAggregate},
        recent::Slice,
        source::Record,
    };

    /// A source of datagrams of ten packets each, which end after some number.
    struct Datagrams {
        left: u32,
        read: Arc<AtomicU32>,
        can_defer: bool,
        /// Seconds between the packets of a datagram.
        interval: u64,
    }

    impl Source for Datagrams {
        fn fill(
            &mut self,
            timeout: Duration,
            take: &mut dyn FnMut(&Record<'_>),
        ) -> anyhow::Result<ReadOutcome> {
            let reads = self.read.fetch_add(1, Ordering::Relaxed);
            // Nothing waits for packets while a batch is deferred. The lock is held during these reads.
            assert!(reads == 0 || reads > 50 || timeout.is_zero() == self.can_defer);
            if self.left == 0 {
                return Ok(ReadOutcome::End);
            }
            self.left -= 1;
            for packet in 0..10 {
                take(&Record {
                    group: 1,
                    host: &[],
                    prefix: b"rule",
                    hook: None,
                    direction: None,
                    ether_type: None,
                    headers: None,
                    mark: 0,
                    in_device: "",
                    out_device: "",
                    hardware_address: &[],
                    uid: None,
                    connection: None,
                    time: Some(1 + packet * self.interval * 1_000_000),
                    payload: &[],
                    wire_length: 0,
                    message: &[],
                });
            }
            Ok(ReadOutcome::Batch)
        }

        fn can_defer(&self) -> bool {
            self.can_defer
        }
    }

    /// While another thread has the lock, datagrams are read until a batch of 1,024 packets waits for it; none is lost.
    #[test]
    fn a_held_lock_delays_batches_up_to_a_size() {
        for (can_defer, datagrams, reads) in [(true, 50, 51), (true, 200, 103), (false, 50, 1)] {
            let geoip = GeoIp::open(&[]).unwrap();
            let aggregate = SharedAggregate::new(Aggregate::new(&[], &[1], 1, Duration::ZERO));
            let mut route = Route::new(geoip.locator(), aggregate.clone(), Clock::running());
            let read = Arc::default();
            let mut source =
                Datagrams { left: datagrams, read: Arc::clone(&read), can_defer, interval: 0 };
            std::thread::scope(|scope| {
                let held = aggregate.lock();
                let reading = scope.spawn(move || {
                    super::read(&mut source, &mut route, &AtomicBool::new(false)).unwrap();
                });
                while read.load(Ordering::Relaxed) < reads {
                    std::thread::yield_now();
                }
                assert_eq!((held.received_packets(), reading.is_finished()), (0, false));
                drop(held);
            });
            assert_eq!(aggregate.lock().received_packets(), u64::from(datagrams) * 10);
        }
    }

    /// A batch of a capture can be longer than a slice of the window.
    #[test]
    fn packets_of_a_slow_capture_count_in_their_own_slices() {
        let geoip = GeoIp::open(&[]).unwrap();
        let aggregate = SharedAggregate::new(Aggregate::new(&[], &[1], 1, Duration::ZERO));
        let mut route = Route::new(geoip.locator(), aggregate.clone(), Clock::packets());
        let mut source = Datagrams { left: 1, read: Arc::default(), can_defer: false, interval: 5 };
        super::read(&mut source, &mut route, &AtomicBool::new(false)).unwrap();
        let span = route.recent().lock().span(route.clock().now());
        let packets = |slice: &Slice| slice.cells().map(|(_, count)| count.packets).sum::<u64>();
        let counts = span.slices.iter().map(|(index, slice)| (*index, packets(slice)));
        assert_eq!(counts.collect::<Vec<_>>(), (0..10).map(|it| (it * 5, 1)).collect::<Vec<_>>());
        assert_eq!((span.length, span.width), (46, Duration::from_secs(1)));
        assert_eq!(aggregate.lock().received_packets(), 10);
    }
}
