//! One series: its counts, and its phases from creation to retirement.

use std::time::Duration;

use super::Key;

/// A retiring series that is not scraped is dropped after this time.
const UNSCRAPED: Duration = Duration::from_secs(300);

/// The phase of a series.
///
/// Prometheus computes a counter's increase from two samples. So a new series shows zero until a scrape with the
/// zero was delivered, and a retiring series shows its last value until a scrape with that value was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Counts, but is not exposed yet, because the series that it replaces still is.
    Promised,
    /// Not in a delivered scrape yet. Exposed as zero.
    Newborn {
        /// The last snapshot before its creation.
        after: u64,
    },
    /// In a delivered scrape. Exposed as zero until the given time.
    Held {
        /// When its count is exposed.
        until: Duration,
    },
    /// Exposed with its current count.
    Live,
    /// No longer counts. Exposed with its last value.
    Retiring {
        /// The last snapshot before it stopped counting.
        after: u64,
        /// When it is dropped, whether scraped or not.
        until: Duration,
    },
}

/// One series, in two cache lines. In the first one is all that a packet needs of a series with up to four labels.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Series {
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
    /// Its packets, each with the weight of its time; the lightest series is replaced first.
    pub weight: f64,
    /// The slot of the demand to which its key was last added.
    pub demanded: u32,
    /// Number of labels folded, from the last.
    pub rung: u8,
    /// Whether its phase is [`Phase::Retiring`].
    is_retiring: bool,
    /// Its label values.
    pub key: Key,
    phase: Phase,
}

impl Series {
    /// Creates a series without packets, with the weight that its key has so far.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a rung is at most MAX_LABELS")]
    pub fn new(key: Key, rung: usize, weight: f64, phase: Phase) -> Self {
        let is_retiring = matches!(phase, Phase::Retiring { .. });
        let rung = rung as u8;
        Self { packets: 0, bytes: 0, weight, demanded: 0, rung, is_retiring, key, phase }
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Begins a phase.
    pub fn set_phase(&mut self, phase: Phase) {
        self.is_retiring = matches!(phase, Phase::Retiring { .. });
        self.phase = phase;
    }

    /// Counts one packet of this weight.
    pub fn count(&mut self, bytes: u32, weight: f64) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
        self.weight += weight;
    }

    /// Whether its count is not exposed yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Promised | Phase::Newborn { .. } | Phase::Held { .. })
    }

    /// Whether its labels are exposed, with its count or with zero.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.phase != Phase::Promised
    }

    /// Whether it no longer counts.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.is_retiring
    }

    /// Stops counting; `after` is the last snapshot so far. Returns when it is dropped at the latest.
    pub fn retire(&mut self, after: u64, now: Duration) -> Duration {
        let until = now.saturating_add(UNSCRAPED);
        self.set_phase(Phase::Retiring { after, until });
        until
    }

    /// When its phase ends without another call.
    #[must_use]
    pub fn phase_end(&self) -> Duration {
        match self.phase {
            Phase::Held { until } | Phase::Retiring { until, .. } => until,
            Phase::Promised | Phase::Newborn { .. } | Phase::Live => Duration::MAX,
        }
    }

    /// Called when the scrape of snapshot `generation` was delivered.
    pub fn delivered(&mut self, generation: u64, hold: Duration, now: Duration) {
        match &mut self.phase {
            Phase::Newborn { after } if *after < generation => {
                self.phase = Phase::Held { until: now + hold };
            }
            Phase::Retiring { after, until } if *after < generation => {
                *until = (*until).min(now + hold);
            }
            _ => {}
        }
    }

    /// Advances the phase. Returns true if the series is to be dropped.
    pub fn advance(&mut self, now: Duration) -> bool {
        match self.phase {
            Phase::Held { until } if until <= now => {
                self.phase = Phase::Live;
                false
            }
            Phase::Retiring { until, .. } => until <= now,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn a_packet_needs_one_of_two_cache_lines() {
        assert_eq!(size_of::<Series>(), 128);
        assert_eq!(offset_of!(Series, key) + 4 * size_of::<u64>(), 64);
    }
}
