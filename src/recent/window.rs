//! The window: sixty slices of time that move on, or that grow with a capture.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Cell,
    prefixes::KeptPrefixes,
    slice::{Count, Slice},
};

/// Slices of the window, the running one among them.
pub const SLICES: usize = 60;

/// Length of a slice of live traffic: ten minutes in all.
const LIVE_SLICE: Duration = Duration::from_secs(10);

/// Length of a capture's first slices.
const SHORTEST_SLICE: Duration = Duration::from_secs(1);

/// Whole seconds over which the present rate is taken.
const RATE_SECONDS: usize = 5;

/// How the window goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It shows the last ten minutes.
    Live,
    /// It shows all of a capture: its slices grow longer as the capture does.
    Capture,
}

/// Counts of slices of time.
#[derive(Debug)]
pub(super) struct Window {
    pace: Pace,
    /// Where slice 0 begins; the first packet's time in a capture.
    origin: Option<Duration>,
    width: Duration,
    /// With their numbers, in order; those without a packet are left out.
    sealed: VecDeque<(u64, Arc<Slice>)>,
    open: (u64, Slice),
    /// The latest seconds, by their number modulo the length.
    seconds: [(u64, Count); RATE_SECONDS + 1],
}

impl Window {
    pub(super) fn new(pace: Pace) -> Self {
        let width = match pace {
            Pace::Live => LIVE_SLICE,
            Pace::Capture => SHORTEST_SLICE,
        };
        Self {
            pace,
            origin: None,
            width,
            sealed: VecDeque::new(),
            open: (0, Slice::default()),
            seconds: Default::default(),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    #[inline]
    pub(super) fn count(&mut self, cell: &Cell, bytes: u32, now: Duration) {
        let count = Count { packets: 1, bytes: bytes.into() };
        self.advance(now);
        self.open.1.add(cell, count);
        let second = now.as_secs();
        let (number, counted) = &mut self.seconds[place(second)];
        if *number != second {
            (*number, *counted) = (second, Count::default());
        }
        counted.add(count);
    }

    /// Folds prefixes that are not kept; the newest slices are asked for first.
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
        let last = match self.pace {
            Pace::Live => self.slice_of(now).max(self.open.0),
            Pace::Capture => self.open.0,
        };
        let first = match self.pace {
            Pace::Live => oldest(last),
            Pace::Capture => 0,
        };
        let open = (self.open.0, Arc::new(self.open.1.clone()));
        let slices = self.sealed.iter().cloned().chain([open]);
        Span {
            pace: self.pace,
            width: self.width,
            running: match self.pace {
                Pace::Live => Duration::from_secs_f64(now.as_secs_f64() % self.width.as_secs_f64()),
                Pace::Capture => self.width,
            },
            // Live, the last slice is always the running one.
            slices: slices
                .filter(|(number, _)| *number >= first)
                // Fewer than SLICES lie between, so it fits.
                .map(|(number, slice)| (self.place_in_span(number, last), slice))
                .collect(),
            rate: self.rate(now),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the window has 60 slices")]
    fn place_in_span(&self, number: u64, last: u64) -> usize {
        match self.pace {
            Pace::Live => SLICES - 1 - (last - number) as usize,
            Pace::Capture => number as usize,
        }
    }

    /// Opens the slice of this moment.
    #[inline]
    fn advance(&mut self, now: Duration) {
        let number = self.slice_of(now);
        if number > self.open.0 || self.origin.is_none() {
            self.turn(now);
        }
    }

    #[cold]
    fn turn(&mut self, now: Duration) {
        if self.origin.is_none() {
            self.origin = Some(match self.pace {
                Pace::Live => Duration::ZERO,
                Pace::Capture => now,
            });
        }
        if self.pace == Pace::Capture {
            while self.slice_of(now) >= SLICES as u64 {
                self.coarsen();
            }
        }
        let number = self.slice_of(now);
        if number <= self.open.0 {
            return;
        }
        let (sealed, slice) = std::mem::replace(&mut self.open, (number, Slice::default()));
        if slice.cells().next().is_some() {
            self.sealed.push_back((sealed, Arc::new(slice)));
        }
        if self.pace == Pace::Live {
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
                Some((last, into)) if *last == number / 2 => Arc::make_mut(into).merge(&slice),
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
        // Six hundred thousand years fit.
        u64::try_from(since.as_nanos() / self.width.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Packets and bytes of the last whole seconds.
    fn rate(&self, now: Duration) -> Count {
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

/// The first slice of a window that ends with this one.
fn oldest(last: u64) -> u64 {
    (last + 1).saturating_sub(SLICES as u64)
}

fn place(second: u64) -> usize {
    // Below the length, so it fits.
    usize::try_from(second % (RATE_SECONDS as u64 + 1)).unwrap_or(0)
}

/// The window at one moment.
#[derive(Clone, Debug)]
pub struct Span {
    /// How it goes along.
    pub pace: Pace,
    /// Length of a slice.
    pub width: Duration,
    /// How long the last slice has run: all of it, in a capture.
    pub running: Duration,
    /// The slices in which packets came, with their place in the window, below [`SLICES`]; oldest first.
    pub slices: Vec<(usize, Arc<Slice>)>,
    rate: Count,
}

impl Span {
    /// Packets and bytes a second, over the last five whole seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate to show")]
    pub fn rate(&self) -> (f64, f64) {
        let seconds = RATE_SECONDS as f64;
        (self.rate.packets as f64 / seconds, self.rate.bytes as f64 / seconds)
    }
}
