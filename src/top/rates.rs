//! Rates, and changes from the previous period, by the rules of the built-in page.

use super::figures::{ListEntry, Tallied, TimeWindow};
use crate::history::Range;

/// Minimum part of the running slice from which a rate can be extrapolated.
const MIN_RUNNING: f64 = 0.2;

/// Number of slices of the shortest range over which a rate is measured.
const RECENT_SLICES: usize = 3;

/// Seconds above which rates are shown per hour.
const LONG: f64 = 3600.0;

/// A comparison with the previous period of the same length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trend {
    /// The previous period is not known, or there are no packets.
    Unknown,
    /// There were no packets in the previous period.
    New,
    /// This many times the packets of the previous period.
    Times(f64),
}

impl TimeWindow {
    /// Length of a slice, seconds.
    #[must_use]
    pub fn slice_seconds(&self) -> f64 {
        self.seconds / self.slices
    }

    /// The seconds of the window that have passed: its last slice is running.
    #[must_use]
    pub fn covered(&self) -> f64 {
        (self.seconds - self.slice_seconds() + self.running).max(1.0)
    }

    /// The unit of rates: its text, and the seconds in it.
    #[must_use]
    pub fn rate_unit(&self) -> (&'static str, f64) {
        if self.seconds > LONG && !self.capture { ("/h", 3600.0) } else { ("/s", 1.0) }
    }

    /// A timeline of full slices. The running slice is extrapolated, or omitted while it is too short.
    #[must_use]
    pub fn full(&self, timeline: &[u64]) -> Vec<u64> {
        let Some((&running, past)) = timeline.split_last() else { return Vec::new() };
        let mut values = past.to_vec();
        if self.running >= MIN_RUNNING * self.slice_seconds() && self.running > 0.0 {
            values.push(rounded(count(running) * self.slice_seconds() / self.running));
        }
        values
    }

    /// Packets per second: of the last half minute in the shortest range, or of all of another one or of a capture.
    #[must_use]
    pub fn recent_rate(&self, entry: &ListEntry) -> f64 {
        let is_short = self.range.as_deref().is_none_or(|name| name == Range::default().name());
        let timeline = entry.timeline.as_deref().filter(|_| is_short && !self.capture);
        let values = timeline.map(|timeline| self.full(timeline)).unwrap_or_default();
        let latest = &values[values.len().saturating_sub(RECENT_SLICES)..];
        if latest.is_empty() {
            return count(entry.packets) / self.covered();
        }
        let packets: f64 = latest.iter().map(|packets| count(*packets)).sum();
        packets / (count(latest.len() as u64) * self.slice_seconds())
    }

    /// Packets against those of the previous period.
    #[must_use]
    pub fn trend(&self, Tallied { packets, before }: Tallied) -> Trend {
        match before {
            None => Trend::Unknown,
            _ if packets == 0 => Trend::Unknown,
            Some(0) => Trend::New,
            Some(before) => {
                Trend::Times(count(packets) / (count(before) * self.covered() / self.seconds))
            }
        }
    }
}

/// Values in at most `width` columns, the newest last: each column is the mean of as many values. Fewer values are spread
/// over the columns if `is_filled`.
#[must_use]
pub fn resample(values: &[u64], width: usize, is_filled: bool) -> Vec<u64> {
    if values.is_empty() || width == 0 {
        return Vec::new();
    }
    if values.len() <= width {
        let column = |at: usize| values[at * values.len() / width];
        return if is_filled { (0..width).map(column).collect() } else { values.to_vec() };
    }
    let size = values.len().div_ceil(width);
    let groups = values.rchunks(size).map(|group| {
        let sum: u128 = group.iter().map(|value| u128::from(*value)).sum();
        u64::try_from(sum.div_ceil(group.len() as u128)).unwrap_or(u64::MAX)
    });
    let mut means: Vec<u64> = groups.collect();
    means.reverse();
    if is_filled { resample(&means, width, true) } else { means }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn count(packets: u64) -> f64 {
    packets as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(super) fn rounded(packets: f64) -> u64 {
    packets.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(running: f64, range: &str) -> TimeWindow {
        let range = Some(range.to_owned());
        TimeWindow { seconds: 600.0, slices: 60.0, running, capture: false, range, since: None }
    }

    fn entry(packets: u64, timeline: &[u64]) -> ListEntry {
        ListEntry { packets, timeline: Some(timeline.to_vec()), ..ListEntry::default() }
    }

    #[test]
    fn the_running_slice_is_extrapolated_or_omitted() {
        assert_eq!(window(5.0, "10m").full(&[4, 6, 3]), [4, 6, 6]);
        assert_eq!(window(1.0, "10m").full(&[4, 6, 3]), [4, 6]);
        assert!(window(0.0, "10m").full(&[]).is_empty());
    }

    #[test]
    fn rates_are_of_the_newest_slices_or_of_the_whole_range() {
        let busy = entry(100, &[80, 10, 10, 5]);
        assert!((window(5.0, "10m").recent_rate(&busy) - 1.0).abs() < 1e-9);
        assert!((window(10.0, "1h").recent_rate(&busy) - 100.0 / 600.0).abs() < 1e-9);
        let capture = TimeWindow { capture: true, range: None, ..window(10.0, "") };
        assert!((capture.recent_rate(&busy) - 100.0 / 600.0).abs() < 1e-9);
        let unlisted = ListEntry { timeline: None, ..busy };
        assert!((window(10.0, "10m").recent_rate(&unlisted) - 100.0 / 600.0).abs() < 1e-9);
    }

    #[test]
    fn trends() {
        let trend = |packets, before| window(10.0, "10m").trend(Tallied { packets, before });
        assert_eq!(trend(5, None), Trend::Unknown);
        assert_eq!(trend(0, Some(5)), Trend::Unknown);
        assert_eq!(trend(5, Some(0)), Trend::New);
        assert_eq!(trend(5, Some(10)), Trend::Times(0.5));
        // Half of the window has passed.
        let half = TimeWindow { seconds: 20.0, slices: 2.0, running: 0.0, ..window(0.0, "10m") };
        assert_eq!(half.trend(Tallied { packets: 5, before: Some(10) }), Trend::Times(1.0));
    }

    #[test]
    fn columns_are_means_of_equal_groups_that_end_with_the_newest() {
        assert_eq!(resample(&[1, 2, 3, 4, 6], 3, false), [1, 3, 5]);
        assert_eq!(resample(&[1, 2], 5, false), [1, 2]);
        assert_eq!(resample(&[1, 2], 4, true), [1, 1, 2, 2]);
        assert_eq!(resample(&[u64::MAX; 9], 2, true), [u64::MAX; 2]);
        assert!(resample(&[1, 2, 3], 0, true).is_empty());
        assert!(resample(&[], 9, true).is_empty());
    }
}
