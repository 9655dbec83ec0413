//! The slices of all tiers in memory: each tier has longer slices than the one before, and keeps them longer.
//!
//! Only the finest tier is filled from outside. When the time of a coarser slice is over, it is the sum of the finer slices
//! of that time. Until then, these stand for it, so a range always has all packets, and a start needs no other state than
//! the slices.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    range::{Range, SLICES, TIERS, WIDTHS},
    stored_slice::{decode, encode},
};
use crate::{
    event::{Interner, Names},
    recent::{Limits, Slice, merge},
    sort::sort_by_key,
};

/// Maximum size of all slices in memory, bytes. Only a long flood with other packets in each slice reaches it.
pub(super) const MAX_SIZE: usize = 64 << 20;

/// Maximum step back of the host's clock, seconds, for which the following slices are counted at the time before the step.
const SMALL_STEP: u64 = 600;

/// A step forward of the host's clock that is doubted, seconds: after it, no slice would be left.
const LARGE_STEP: u64 = SLICES[TIERS - 1] * WIDTHS[TIERS - 1];

/// The end of the year 2099, seconds since 1970: a later slice of a file is left out. The host's clock says nothing about
/// the slices, because it may not be set yet.
const LATEST: u64 = 4_102_444_800;

/// Time for which a larger step of the host's clock is doubted. A host without a battery starts with a wrong clock, which
/// is set when it has a network.
const DOUBT: Duration = Duration::from_secs(600);

/// A slice with its number: its time since 1970-01-01 UTC in lengths of its tier's slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub number: u64,
    pub bytes: Arc<[u8]>,
}

/// All tiers.
#[derive(Debug, Default)]
pub(super) struct Tiers {
    all: [Tier; TIERS],
    size: usize,
    /// Slices that were removed because of [`MAX_SIZE`].
    removed: u64,
    /// Since when the host's clock is doubted, by the clock of the packets.
    doubted: Option<Duration>,
}

#[derive(Debug, Default)]
struct Tier {
    /// In the order of their numbers, which can repeat after a restart.
    slices: VecDeque<Numbered>,
    /// Slices before this number were summed from the finer tier.
    next: u64,
}

/// The slices of a range, each with the number of its part.
pub(super) type Parts = Vec<(u64, Arc<[u8]>)>;

impl Tiers {
    /// The tiers of an earlier run.
    pub fn of(slices: [Vec<Numbered>; TIERS]) -> Self {
        let mut tiers = Self::default();
        for ((tier, mut slices), width) in slices.into_iter().enumerate().zip(WIDTHS) {
            slices.retain(|slice| slice.number <= LATEST / width);
            sort_by_key(&mut slices, |slice| slice.number);
            for slice in slices {
                tiers.add(tier, slice);
            }
            if tier > 0 {
                let last = tiers.all[tier].slices.back();
                tiers.all[tier].next = last.map_or(0, |it| it.number + 1);
            }
        }
        tiers.limit_size();
        tiers
    }

    /// Adds a slice of the finest tier that begins at `start`, seconds since 1970, and at `clock`, the clock of the packets,
    /// which has no steps. Returns the new slices of all tiers, each with its tier.
    pub fn push(
        &mut self,
        start: u64,
        clock: Duration,
        slice: &Slice,
        names: &Names,
    ) -> Vec<(usize, Numbered)> {
        let number = self.believed(start, clock) / WIDTHS[0];
        let mut new = self.sum_up_before(number * WIDTHS[0]);
        let slice = merge([slice], &Limits::HISTORY);
        let slice = Numbered { number, bytes: encode(&slice, names) };
        self.add(0, slice.clone());
        new.push((0, slice));
        self.limit_size();
        new
    }

    /// Sums up the slices of each tier for those of the next one whose time is over at `now`, seconds since 1970. Returns
    /// the new ones.
    pub fn sum_up(&mut self, now: u64, clock: Duration) -> Vec<(usize, Numbered)> {
        let now = self.believed(now, clock);
        self.sum_up_before(now)
    }

    /// The end of what was stored, seconds since 1970: a slice before it would not be summed up any more.
    fn end(&self) -> u64 {
        let summed = self.all.iter().zip(WIDTHS).map(|(tier, width)| tier.next * width);
        let last = self.all[0].slices.back().map_or(0, |last| last.number * WIDTHS[0]);
        summed.fold(last, u64::max)
    }

    /// The time by the host's clock, unless it is before the stored slices or is doubted: then their end.
    fn believed(&mut self, time: u64, clock: Duration) -> u64 {
        let end = self.end();
        let is_back = time + SMALL_STEP < end;
        let is_far = end > 0 && time > end + LARGE_STEP;
        if !is_back && !is_far {
            self.doubted = None;
            return time.max(end);
        }
        let since = *self.doubted.get_or_insert(clock);
        if clock.saturating_sub(since) < DOUBT {
            return end;
        }
        self.doubted = None;
        if is_back {
            self.remove_after(time);
        }
        time
    }

    fn sum_up_before(&mut self, now: u64) -> Vec<(usize, Numbered)> {
        let mut new = Vec::new();
        for tier in 1..TIERS {
            let end = now / WIDTHS[tier];
            let start = self.all[tier].next;
            if start >= end {
                continue;
            }
            let ratio = WIDTHS[tier] / WIDTHS[tier - 1];
            let mut finer = self.all[tier - 1].slices.iter().peekable();
            let mut sums = Vec::new();
            while let Some(first) = finer.next() {
                let number = first.number / ratio;
                if !(start..end).contains(&number) {
                    continue;
                }
                let mut of_number = vec![Arc::clone(&first.bytes)];
                while let Some(next) = finer.next_if(|next| next.number / ratio == number) {
                    of_number.push(Arc::clone(&next.bytes));
                }
                sums.push((number, of_number));
            }
            for (number, finer) in sums {
                let mut interner = Interner::new(Names::default());
                let slice = sum(finer.iter(), &mut interner);
                let slice = Numbered { number, bytes: encode(&slice, &interner.names()) };
                self.add(tier, slice.clone());
                new.push((tier, slice));
            }
            self.all[tier].next = end;
        }
        self.limit_size();
        new
    }

    /// The slices from `start` to before `end`, seconds since 1970, as the tier of a range and the finer ones have them.
    /// `end` is at most the present, rounded up to the end of a part.
    pub fn parts(&self, range: Range, start: u64, end: u64) -> Parts {
        let mut parts = Parts::new();
        // What the coarser tier has is not counted again in a finer one.
        let mut from = start;
        for tier in (0..=range.tier()).rev() {
            let Tier { slices, next } = &self.all[tier];
            let width = WIDTHS[tier];
            for slice in slices {
                let time = slice.number * width;
                if (from..end).contains(&time) {
                    parts.push(((time - start) / range.part_seconds(), Arc::clone(&slice.bytes)));
                }
            }
            from = from.max(next * width);
        }
        parts
    }

    /// The start of the first slice of any tier, seconds since 1970.
    pub fn first(&self) -> Option<u64> {
        let tiers = self.all.iter().zip(WIDTHS);
        tiers.filter_map(|(tier, width)| Some(tier.slices.front()?.number * width)).min()
    }

    /// All slices of a tier.
    pub fn slices(&self, tier: usize) -> impl Iterator<Item = &Numbered> {
        self.all[tier].slices.iter()
    }

    /// Size of all slices, bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of slices that were removed before their time, because all of them were too large.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    fn add(&mut self, tier: usize, slice: Numbered) {
        self.size += slice.bytes.len();
        let slices = &mut self.all[tier].slices;
        let newest = slice.number;
        slices.push_back(slice);
        while slices.front().is_some_and(|first| first.number + SLICES[tier] <= newest) {
            self.size -= slices.pop_front().map_or(0, |slice| slice.bytes.len());
        }
    }

    fn limit_size(&mut self) {
        while self.size > MAX_SIZE {
            let size = |tier: &Tier| tier.slices.iter().map(|it| it.bytes.len()).sum::<usize>();
            let Some(largest) = self.all.iter_mut().max_by_key(|tier| size(tier)) else { return };
            let Some(oldest) = largest.slices.pop_front() else { return };
            self.size -= oldest.bytes.len();
            self.removed += 1;
        }
    }

    /// Removes the slices that begin after `time`, seconds since 1970.
    fn remove_after(&mut self, time: u64) {
        for (tier, width) in self.all.iter_mut().zip(WIDTHS) {
            tier.slices.retain(|slice| slice.number * width <= time);
        }
        for (tier, width) in WIDTHS.into_iter().enumerate().skip(1) {
            let current = time / width;
            if self.all[tier].next > current {
                // A second slice of this time will have the following packets. The first one has those of the finer ones.
                self.all[tier].next = current;
                for (finer, finer_width) in self.all[..tier].iter_mut().zip(WIDTHS) {
                    let start = current * width / finer_width;
                    finer.slices.retain(|slice| slice.number < start);
                }
            }
        }
        let slices = self.all.iter().flat_map(|tier| &tier.slices);
        self.size = slices.map(|slice| slice.bytes.len()).sum();
    }
}

/// The sum of stored slices, which are decoded one by one. One that cannot be decoded is left out; what this program stored
/// can be.
pub(super) fn sum<'a>(
    slices: impl Iterator<Item = &'a Arc<[u8]>>,
    interner: &mut Interner,
) -> Slice {
    merge(slices.filter_map(|bytes| decode(bytes, interner).ok()), &Limits::HISTORY)
}

#[cfg(test)]
mod tests;
