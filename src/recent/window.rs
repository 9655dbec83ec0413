//! The window: sixty slices of time, which move with live traffic or grow with a capture.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    open_slice::{Limits, Lookup, OpenSlice},
    prefixes::KeptPrefixes,
    slice::{Count, Slice},
};
use crate::event::Event;

/// Number of slices in the window, including the running one.
pub const SLICES: usize = 60;

/// Length of a slice of live traffic; the window is ten minutes long.
pub const LIVE_SLICE: Duration = Duration::from_secs(10);

/// Initial length of a capture's slices.
const SHORTEST_SLICE: Duration = Duration::from_secs(1);

/// Whole seconds over which the current rate is measured.
const RATE_SECONDS: usize = 5;

/// The time that the window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowMode {
    /// The last ten minutes.
    Live,
    /// All of a capture; the slices get longer as it grows.
    Capture,
}

/// Counts of slices of time.
#[derive(Debug)]
pub(super) struct Window {
    mode: WindowMode,
    /// Start of slice 0; for a capture, the second of the first packet.
    origin: Option<Duration>,
    width: Duration,
    /// The earlier slices with their numbers, in order; slices without packets are omitted.
    sealed: VecDeque<(u64, Arc<Slice>)>,
    open: (u64, OpenSlice),
    /// The latest seconds, indexed by their number modulo the length.
    seconds: [(u64, Count); RATE_SECONDS + 1],
}

impl Window {
    pub(super) fn new(mode: WindowMode) -> Self {
        let width = match mode {
            WindowMode::Live => LIVE_SLICE,
            WindowMode::Capture => SHORTEST_SLICE,
        };
        Self {
            mode,
            origin: None,
            width,
            sealed: VecDeque::new(),
            open: (0, OpenSlice::new(&Limits::WINDOW)),
            seconds: Default::default(),
        }
    }

    pub(super) fn mode(&self) -> WindowMode {
        self.mode
    }

    /// Counts packets in the open slice.
    #[inline]
    pub(super) fn count(&mut self, packets: &mut [Lookup]) {
        self.open.1.count(packets);
    }

    /// Counts packets in the second of `now`.
    pub(super) fn count_second(&mut self, events: &[Event], now: Duration) {
        let second = now.as_secs();
        let (number, counted) = &mut self.seconds[second_index(second)];
        if *number != second {
            (*number, *counted) = (second, Count::default());
        }
        counted.packets += events.len() as u64;
        counted.bytes += events.iter().map(|event| u64::from(event.headers.length)).sum::<u64>();
    }

    /// Folds prefixes that are not kept. The newest slices have priority.
    pub(super) fn keep(&mut self, kept: &mut KeptPrefixes<'_>) {
        if !self.open.1.is_kept(kept) {
            self.open.1.fold(kept);
        }
        for (_, slice) in self.sealed.iter_mut().rev() {
            if !slice.is_kept(kept) {
                Arc::make_mut(slice).fold(kept);
            }
        }
    }

    pub(super) fn span(&self, now: Duration) -> Span {
        let last = match self.mode {
            WindowMode::Live => self.slice_of(now).max(self.open.0),
            WindowMode::Capture => self.open.0,
        };
        let first = match self.mode {
            WindowMode::Live => oldest(last),
            WindowMode::Capture => 0,
        };
        let open = (self.open.0, Arc::new(self.open.1.clone().seal()));
        let slices = self.sealed.iter().cloned().chain([open]);
        Span {
            mode: self.mode,
            width: self.width,
            length: match self.mode {
                WindowMode::Live => SLICES,
                // A capture ends with its last slice, below SLICES: rates are those of the time that it has.
                WindowMode::Capture => self.index_in_span(self.open.0, last) + 1,
            },
            running: match self.mode {
                WindowMode::Live => {
                    Duration::from_secs_f64(now.as_secs_f64() % self.width.as_secs_f64())
                }
                WindowMode::Capture => self.width,
            },
            // In live mode, the last slice is always the running one.
            slices: slices
                .filter(|(number, _)| *number >= first)
                // Fewer than SLICES slices lie between, so the difference fits.
                .map(|(number, slice)| (self.index_in_span(number, last), slice))
                .collect(),
            rate: self.rate(now),
        }
    }

    /// The slices after a number whose time is over at `now`, with their numbers, in order. The newest of them can still be
    /// open, but no packet is added to it any more.
    pub(super) fn finished(&self, after: Option<u64>, now: Duration) -> Vec<(u64, Arc<Slice>)> {
        let is_after = |number: u64| after.is_none_or(|after| number > after);
        let sealed = self.sealed.iter().filter(|(number, _)| is_after(*number)).cloned();
        let (number, open) = &self.open;
        let is_over = *number < self.slice_of(now) && !open.is_empty() && is_after(*number);
        let open = is_over.then(|| (*number, Arc::new(open.clone().seal())));
        sealed.chain(open).collect()
    }

    /// The slice of `now`, if it has packets.
    pub(super) fn running(&self, now: Duration) -> Option<Arc<Slice>> {
        let (number, open) = &self.open;
        let is_running = *number >= self.slice_of(now) && !open.is_empty();
        is_running.then(|| Arc::new(open.clone().seal()))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the window has 60 slices")]
    fn index_in_span(&self, number: u64, last: u64) -> usize {
        match self.mode {
            WindowMode::Live => SLICES - 1 - (last - number) as usize,
            WindowMode::Capture => number as usize,
        }
    }

    /// Opens the slice of `now` if it is not open.
    pub(super) fn advance(&mut self, now: Duration) {
        let number = self.slice_of(now);
        if number > self.open.0 || self.origin.is_none() {
            self.open_slice(now);
        }
    }

    #[cold]
    fn open_slice(&mut self, now: Duration) {
        if self.origin.is_none() {
            self.origin = Some(match self.mode {
                WindowMode::Live => Duration::ZERO,
                // The packets of a second arrive together.
                WindowMode::Capture => Duration::from_secs(now.as_secs()),
            });
        }
        if self.mode == WindowMode::Capture {
            while self.slice_of(now) >= SLICES as u64 {
                self.coarsen();
            }
        }
        let number = self.slice_of(now);
        if number <= self.open.0 {
            return;
        }
        let successor = self.open.1.successor();
        let (sealed, slice) = std::mem::replace(&mut self.open, (number, successor));
        if !slice.is_empty() {
            self.sealed.push_back((sealed, Arc::new(slice.seal())));
        }
        if self.mode == WindowMode::Live {
            let first = oldest(number);
            self.sealed.retain(|(number, _)| *number >= first);
        }
    }

    /// Doubles the length of all slices.
    fn coarsen(&mut self) {
        self.width *= 2;
        let mut merged: VecDeque<(u64, Arc<Slice>)> = VecDeque::new();
        for (number, slice) in self.sealed.drain(..) {
            match merged.back_mut() {
                Some((last, into)) if *last == number / 2 => {
                    let mut both = OpenSlice::new(&Limits::WINDOW);
                    both.merge(into);
                    both.merge(&slice);
                    *into = Arc::new(both.seal());
                }
                _ => merged.push_back((number / 2, slice)),
            }
        }
        self.sealed = merged;
        self.open.0 /= 2;
        if let Some((last, slice)) = self.sealed.back()
            && *last == self.open.0
        {
            self.open.1.merge(slice);
            self.sealed.pop_back();
        }
    }

    fn slice_of(&self, now: Duration) -> u64 {
        let since = now.saturating_sub(self.origin.unwrap_or_default());
        // At a second or more for each slice, the number always fits.
        u64::try_from(since.as_nanos() / self.width.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The sum of the last whole seconds.
    pub(super) fn rate(&self, now: Duration) -> Count {
        let second = now.as_secs();
        let mut rate = Count::default();
        for (number, count) in self.seconds {
            if number < second && second - number <= RATE_SECONDS as u64 {
                rate.add(count);
            }
        }
        rate
    }
}

/// The first slice of a live window that ends with slice `last`.
fn oldest(last: u64) -> u64 {
    (last + 1).saturating_sub(SLICES as u64)
}

fn second_index(second: u64) -> usize {
    // Smaller than the array's length, so it fits.
    usize::try_from(second % (RATE_SECONDS as u64 + 1)).unwrap_or(0)
}

/// The window at one moment, shared with the writer where it is sealed.
#[derive(Clone, Debug)]
pub struct Span {
    /// The time that it covers.
    pub mode: WindowMode,
    /// Length of a slice.
    pub width: Duration,
    /// Number of slices.
    pub length: usize,
    /// Time since the start of the last slice; for a capture, its whole length.
    pub running: Duration,
    /// The slices that have packets, each with its index, less than the length; oldest first.
    pub slices: Vec<(usize, Arc<Slice>)>,
    /// The sum of the last whole seconds.
    pub(super) rate: Count,
}

impl Span {
    /// A span of live traffic: `length` slices of this width, of which the last began `running` ago, and the packets and
    /// bytes of the last five whole seconds.
    #[must_use]
    pub fn of_live(
        width: Duration,
        length: usize,
        running: Duration,
        slices: Vec<(usize, Arc<Slice>)>,
        latest: Count,
    ) -> Self {
        Self { mode: WindowMode::Live, width, length, running, slices, rate: latest }
    }

    /// Packets and bytes per second, over the last five whole seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    pub fn rate(&self) -> (f64, f64) {
        let seconds = RATE_SECONDS as f64;
        (self.rate.packets as f64 / seconds, self.rate.bytes as f64 / seconds)
    }
}
