//! Packets over time, in slots that become longer when there are too many.

use std::collections::BTreeMap;

/// Seconds of the slots: an hour, a day, a week, and four and 52 weeks. Longer slots double.
const UNITS: [u64; 5] = [3600, 86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400];

/// Maximum number of slots that are kept.
const MAX_KEPT: usize = 4096;

/// Maximum number of slots of a report.
const MAX_SHOWN: u64 = 72;

/// Packets in each slot of time.
#[derive(Debug)]
pub(in crate::report) struct Timeline {
    unit: u64,
    slots: BTreeMap<u64, u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { unit: UNITS[0], slots: BTreeMap::new() }
    }
}

/// Packets in consecutive slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Slots {
    /// Length of a slot, seconds.
    pub(in crate::report) seconds: u64,
    /// Start of the first slot, seconds since 1970.
    pub(in crate::report) start: u64,
    /// Packets of each slot.
    pub(in crate::report) packets: Vec<u64>,
}

impl Timeline {
    /// Counts packets at a time in seconds since 1970.
    pub(super) fn add(&mut self, seconds: u64, packets: u64) {
        let slot = self.slots.entry(seconds / self.unit).or_default();
        *slot = slot.saturating_add(packets);
        while self.slots.len() > MAX_KEPT {
            let unit = longer(self.unit);
            self.slots = coarser(&self.slots, unit / self.unit);
            self.unit = unit;
        }
    }

    /// At most 72 slots, from the first packet to the last: hours up to three days, then days, weeks and more.
    pub(in crate::report) fn slots(&self) -> Slots {
        let span = |slots: &BTreeMap<u64, u64>| {
            let (first, _) = slots.first_key_value()?;
            let (last, _) = slots.last_key_value()?;
            Some((*first, last - first))
        };
        let (mut unit, mut slots) = (self.unit, self.slots.clone());
        while span(&slots).is_some_and(|(_, length)| length >= MAX_SHOWN) {
            let next = longer(unit);
            slots = coarser(&slots, next / unit);
            unit = next;
        }
        let Some((first, length)) = span(&slots) else {
            return Slots { seconds: unit, start: 0, packets: Vec::new() };
        };
        let packets = (first..=first + length).map(|slot| slots.get(&slot).copied().unwrap_or(0));
        Slots { seconds: unit, start: first * unit, packets: packets.collect() }
    }
}

/// The next longer unit, a multiple of this one.
fn longer(unit: u64) -> u64 {
    UNITS.into_iter().find(|&longer| longer > unit).unwrap_or(unit.saturating_mul(2))
}

fn coarser(slots: &BTreeMap<u64, u64>, factor: u64) -> BTreeMap<u64, u64> {
    let mut merged = BTreeMap::<u64, u64>::new();
    for (slot, packets) in slots {
        let sum = merged.entry(slot / factor).or_default();
        *sum = sum.saturating_add(*packets);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(times: impl IntoIterator<Item = u64>) -> Slots {
        let mut timeline = Timeline::default();
        times.into_iter().for_each(|time| timeline.add(time, 1));
        timeline.slots()
    }

    #[test]
    fn hours_then_days_then_longer_slots() {
        assert_eq!(slots([]), Slots { seconds: 3600, start: 0, packets: vec![] });
        let hours = slots([7200, 7201, 14_399, 18_000]);
        assert_eq!(hours, Slots { seconds: 3600, start: 7200, packets: vec![2, 1, 0, 1] });
        assert_eq!(slots([0, 71 * 3600]).packets.len(), 72);
        let days = slots([0, 72 * 3600]);
        assert_eq!((days.seconds, days.packets), (86_400, vec![1, 0, 0, 1]));
        assert_eq!(slots([0, 72 * 86_400]).seconds, 7 * 86_400);
        for unit in UNITS.windows(2) {
            assert!(unit[1].is_multiple_of(unit[0]));
        }
    }

    #[test]
    fn any_times_take_little_memory_and_lose_no_packet() {
        let times = || (0..100_000).map(|step: u64| step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut timeline = Timeline::default();
        for time in times() {
            timeline.add(time, 1);
            assert!(timeline.slots.len() <= MAX_KEPT);
        }
        let shown = timeline.slots();
        assert!(shown.packets.len() <= 72);
        assert_eq!(shown.packets.iter().sum::<u64>(), 100_000);
    }
}
