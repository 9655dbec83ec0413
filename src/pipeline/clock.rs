//! The time by which counters age: the host's clock, or the timestamps of a capture.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The time by which the aggregate ages: one clock for the reader and the scrapes.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Real time since this moment.
    Running(Instant),
    /// The timestamps of a capture's packets; real time after the last packet.
    Packets(Arc<PacketClock>),
}

/// The time of a capture.
#[derive(Debug, Default)]
pub struct PacketClock {
    /// Microseconds since 1970 of the latest packet.
    latest: AtomicU64,
    ended: OnceLock<Instant>,
}

impl Clock {
    /// A clock for live packets.
    #[must_use]
    pub fn running() -> Self {
        Self::Running(Instant::now())
    }

    /// A clock for a capture.
    #[must_use]
    pub fn packets() -> Self {
        Self::Packets(Arc::default())
    }

    /// The time since the clock's start. Monotonic.
    #[must_use]
    pub fn now(&self) -> Duration {
        match self {
            Self::Running(start) => start.elapsed(),
            Self::Packets(capture) => {
                let latest = Duration::from_micros(capture.latest.load(Ordering::Relaxed));
                latest + capture.ended.get().map(Instant::elapsed).unwrap_or_default()
            }
        }
    }

    /// Marks the end of a capture: from now on, real time passes.
    pub(super) fn end(&self) {
        if let Self::Packets(capture) = self {
            capture.ended.get_or_init(Instant::now);
        }
    }

    /// Whether a packet of this time, in microseconds since 1970, begins another second of a capture.
    pub(super) fn begins_second(&self, packet: u64) -> bool {
        match self {
            Self::Running(_) => false,
            Self::Packets(capture) => {
                packet / 1_000_000 > capture.latest.load(Ordering::Relaxed) / 1_000_000
            }
        }
    }

    /// Advances a capture's clock to a packet's time, in microseconds since 1970.
    pub(super) fn observe(&self, packet: u64) {
        if let Self::Packets(capture) = self {
            capture.latest.fetch_max(packet, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_clock_follows_the_packets_and_never_goes_back() {
        let clock = Clock::packets();
        clock.observe(7_000_000);
        clock.observe(5_000_000);
        assert_eq!(clock.now(), Duration::from_secs(7));
        assert!(clock.begins_second(8_000_000) && !clock.begins_second(7_999_999));
        clock.end();
        let end = clock.now();
        assert!(end >= Duration::from_secs(7));
        while clock.now() == end {
            std::hint::spin_loop();
        }
    }
}
