//! The two budgets of a family: series at once, divided among the rungs of the ladder, and new series per hour.

use std::{collections::VecDeque, time::Duration};

use super::{Dimension, MAX_LABELS};

/// Maximum number of rungs: from no label folded to every label folded.
pub const MAX_RUNGS: usize = MAX_LABELS + 1;

/// The time span over which new series are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// New series are counted per minute. A minute is removed only when all of it is more than an hour ago, so that no
/// span of 3600 seconds has more new series than the budget.
const MINUTE: Duration = Duration::from_secs(60);

/// While more than one of so many places for full keys is free, every new key gets one.
pub const SCARCE: usize = 4;

/// One count for each rung.
pub type ByRung = [usize; MAX_RUNGS];

/// The places for series, divided among rungs, so that detailed keys cannot use up the room of less detailed ones.
///
/// Each rung between the first and the last has a reserve: as many series as its labels usually have values, but at
/// most two fifths of the budget for the first of these rungs, a fifth of that for the second, and so on. A rung may
/// use the whole budget except for the unused reserves of less detailed rungs. A family whose first label is the country
/// has a reserve for every country, whatever its budget.
#[derive(Clone, Debug)]
pub struct Places {
    total: usize,
    reserve: ByRung,
    /// The rung whose only exact label is the country, if every country has a place.
    countries: Option<usize>,
}

impl Places {
    /// Divides `total` places among the rungs of a family with these labels.
    #[must_use]
    pub fn new(total: usize, labels: &[Dimension]) -> Self {
        let mut reserve = [0; MAX_RUNGS];
        let mut limit = total * 2 / 5;
        for (rung, kept) in reserve.iter_mut().enumerate().take(labels.len()).skip(1) {
            let exact = &labels[..labels.len() - rung];
            let usual = exact
                .iter()
                .fold(1_usize, |product, label| product.saturating_mul(label.usual_values()));
            *kept = usual.min(if *exact == [Dimension::Country] {
                total.saturating_sub(1)
            } else {
                limit
            });
            limit /= 5;
        }
        let has_countries = labels.first() == Some(&Dimension::Country)
            && total > Dimension::Country.usual_values();
        let countries = has_countries.then(|| labels.len() - 1);
        Self { total, reserve, countries }
    }

    /// About the smallest number of places with room for this many keys without folded labels.
    #[must_use]
    pub fn needed(keys: usize, labels: &[Dimension]) -> usize {
        let mut last = [0; MAX_RUNGS];
        last[labels.len()] = 1;
        // At least one place in three is for full keys.
        let (mut few, mut enough) = (keys, keys.saturating_mul(3).saturating_add(1000));
        while few < enough {
            let middle = few.midpoint(enough);
            if Self::new(middle, labels).free(&last, 0) < keys {
                few = middle + 1;
            } else {
                enough = middle;
            }
        }
        enough
    }

    /// Maximum number of series at once.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Places that `rung` may take now, given the number of series on each rung.
    #[must_use]
    pub fn free(&self, used: &ByRung, rung: usize) -> usize {
        self.total.saturating_sub(used.iter().sum::<usize>() + self.kept(used, rung))
    }

    /// The unused reserves of the rungs that are less detailed than `rung`.
    #[must_use]
    pub fn kept(&self, used: &ByRung, rung: usize) -> usize {
        self.reserve[rung + 1..]
            .iter()
            .zip(&used[rung + 1..])
            .map(|(reserve, used)| reserve.saturating_sub(*used))
            .sum()
    }

    /// Whether the series on `rung` are more than its reserve.
    #[must_use]
    pub fn exceeds_reserve(&self, used: &ByRung, rung: usize) -> bool {
        used[rung] > self.reserve[rung]
    }

    /// Whether a key on `rung` is a country that has a place for certain.
    #[must_use]
    pub fn is_for_country(&self, rung: usize) -> bool {
        self.countries == Some(rung)
    }
}

/// Who claims a new series after the first fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A key without folded labels: at most four fifths of the budget.
    Detailed,
    /// A key with folded labels: at most nine tenths.
    Folded,
    /// A key with a considerable share of all packets: the whole budget.
    Heavy,
}

/// The new series of the last hour, and the budget of those that are not free.
#[derive(Clone, Debug)]
pub struct Turnover {
    limit: usize,
    /// Minutes since the clock's start, and the series created in them.
    minutes: VecDeque<(u64, Births)>,
    hour: Births,
}

#[derive(Clone, Copy, Debug, Default)]
struct Births {
    /// Series of the first fill.
    free: usize,
    rationed: usize,
}

impl Turnover {
    /// At most `limit` new series in any hour.
    pub fn new(limit: usize) -> Self {
        Self { limit, minutes: VecDeque::new(), hour: Births::default() }
    }

    /// Changes the budget.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The part of the budget for this claim that is used, if `promised` more series are to come. From 1 on, nothing is
    /// left.
    #[expect(clippy::cast_precision_loss, reason = "a budget is far below 2^52")]
    pub fn used(&mut self, claim: Claim, promised: usize, now: Duration) -> f64 {
        let limit = match claim {
            Claim::Detailed => (self.limit * 4).div_ceil(5),
            Claim::Folded => (self.limit * 9).div_ceil(10),
            Claim::Heavy => self.limit,
        };
        self.forget(now);
        (self.hour.rationed + promised) as f64 / limit as f64
    }

    /// New series per hour, over the last hour, or over the time since the first one if that is shorter.
    #[expect(clippy::cast_precision_loss, reason = "a budget is far below 2^52")]
    pub fn pace(&mut self, now: Duration) -> f64 {
        self.forget(now);
        let first = self.minutes.front().map_or(0, |(minute, _)| *minute);
        let minutes = (minute(now).saturating_sub(first) + 1).min(60);
        (self.hour.free + self.hour.rationed) as f64 * 60.0 / minutes as f64
    }

    /// Counts a new series. The time must be monotonic.
    pub fn add(&mut self, is_free: bool, now: Duration) {
        let minute = minute(now);
        if self.minutes.back().is_none_or(|(counted, _)| *counted != minute) {
            self.minutes.push_back((minute, Births::default()));
        }
        let last = self.minutes.back_mut().map(|(_, births)| births);
        for births in last.into_iter().chain([&mut self.hour]) {
            births.free += usize::from(is_free);
            births.rationed += usize::from(!is_free);
        }
    }

    fn forget(&mut self, now: Duration) {
        let span = HOUR.as_secs() / MINUTE.as_secs();
        while let Some(&(counted, births)) = self.minutes.front()
            && minute(now).saturating_sub(counted) > span
        {
            self.hour.free -= births.free;
            self.hour.rationed -= births.rationed;
            self.minutes.pop_front();
        }
    }
}

fn minute(now: Duration) -> u64 {
    now.as_secs() / MINUTE.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAFFIC: [Dimension; 4] =
        [Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port];

    /// Fills one rung after another, the most detailed first, and checks the number of series of each.
    fn check(total: usize, labels: &[Dimension], expect: &[usize]) {
        let places = Places::new(total, labels);
        let mut used = [0; MAX_RUNGS];
        used[labels.len()] = 1;
        for rung in 0..labels.len() {
            used[rung] = places.free(&used, rung);
        }
        assert_eq!(&used[..=labels.len()], expect);
        assert!(used.iter().sum::<usize>() <= total);
    }

    #[test]
    fn less_detailed_rungs_keep_their_reserve() {
        check(2000, &TRAFFIC, &[1119, 800, 64, 16, 1]);
        check(500, &TRAFFIC, &[251, 200, 40, 8, 1]);
        check(2000, &[Dimension::Prefix, Dimension::Network], &[1983, 16, 1]);
        check(2000, &[Dimension::Port], &[1999, 1]);
        check(10, &TRAFFIC, &[5, 4, 0, 0, 1]);
        check(2, &TRAFFIC, &[1, 0, 0, 0, 1]);
        check(1, &TRAFFIC, &[0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_places_that_a_demand_needs_have_room_for_it() {
        let network = [Dimension::Prefix, Dimension::Network];
        let country = [Dimension::Country, Dimension::Prefix];
        for labels in [&TRAFFIC[..], &network, &country, &[Dimension::Port]] {
            for keys in [0, 1, 10, 500, 4970, 300_000] {
                let needed = Places::needed(keys, labels);
                let mut used = [0; MAX_RUNGS];
                used[labels.len()] = 1;
                assert!(Places::new(needed, labels).free(&used, 0) >= keys, "{keys} {labels:?}");
                // Both reserves may round up at the same number.
                let fewer = Places::new(needed.saturating_sub(2), labels).free(&used, 0);
                assert!(keys == 0 || fewer < keys, "{keys} {labels:?}: {needed}");
            }
        }
        assert_eq!(Places::needed(1119, &TRAFFIC), 1999);
    }

    #[test]
    fn every_country_has_a_place_in_its_family() {
        let labels = [Dimension::Country, Dimension::Prefix, Dimension::Port];
        for (total, labels) in [(1000, &labels[..2]), (254, &labels[..2]), (254, &labels)] {
            let places = Places::new(total, labels);
            let mut used = [0; MAX_RUNGS];
            used[labels.len()] = 1;
            for rung in 0..labels.len() - 1 {
                used[rung] = places.free(&used, rung);
            }
            let countries = places.free(&used, labels.len() - 1);
            assert_eq!(countries, Dimension::Country.usual_values(), "{total} {labels:?}");
        }
    }

    /// The number of new series that this claim gets at `now`.
    fn claim_all(turnover: &mut Turnover, claim: Claim, now: Duration) -> usize {
        let mut claimed = 0;
        while turnover.used(claim, 0, now) < 1.0 {
            turnover.add(false, now);
            claimed += 1;
        }
        claimed
    }

    #[test]
    fn folded_and_heavy_keys_have_a_part_of_the_turnover_to_themselves() {
        let mut turnover = Turnover::new(500);
        let claims = [Claim::Detailed, Claim::Folded, Claim::Heavy];
        let now = Duration::from_secs(1);
        assert_eq!(claims.map(|claim| claim_all(&mut turnover, claim, now)), [400, 50, 50]);
        let mut smallest = Turnover::new(1);
        assert_eq!(claims.map(|claim| claim_all(&mut smallest, claim, now)), [1, 0, 0]);
    }

    #[test]
    fn free_series_do_not_use_the_budget() {
        let mut turnover = Turnover::new(1);
        (0..10).for_each(|_| turnover.add(true, Duration::ZERO));
        assert!(turnover.used(Claim::Detailed, 0, Duration::ZERO) < 1e-9);
    }

    #[test]
    fn the_pace_is_that_of_the_last_hour() {
        let mut turnover = Turnover::new(1);
        let mut pace = |births: usize, minute: u64| {
            let now = Duration::from_secs(60 * minute);
            (0..births).for_each(|_| turnover.add(true, now));
            turnover.pace(now)
        };
        assert!((pace(10, 100) - 600.0).abs() < 1e-9);
        assert!((pace(10, 109) - 120.0).abs() < 1e-9);
        assert!((pace(0, 168) - 10.0).abs() < 1e-9);
        assert!(pace(0, 500).abs() < 1e-9);
    }

    #[test]
    fn a_promise_is_part_of_the_turnover() {
        let mut turnover = Turnover::new(1);
        assert!(turnover.used(Claim::Heavy, 1, Duration::ZERO) >= 1.0);
        assert!(turnover.used(Claim::Heavy, 0, Duration::ZERO) < 1.0);
    }

    #[test]
    fn a_new_series_counts_for_one_hour_and_less_than_two_minutes_more() {
        let mut turnover = Turnover::new(2);
        let mut used = |births: &[u64], now: u64| {
            for &birth in births {
                turnover.add(false, Duration::from_secs(birth));
            }
            turnover.used(Claim::Heavy, 0, Duration::from_secs(now))
        };
        assert!(used(&[59, 60], 60) >= 1.0);
        assert!(used(&[], 59 + 3600) >= 1.0);
        assert!((used(&[], 61 * 60) - 0.5).abs() < 1e-9);
        assert!(used(&[], 62 * 60) < 1e-9);
    }
}
