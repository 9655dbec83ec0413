//! The two budgets of a family: series at once, and new series per hour. Each is divided among the rungs of the
//! ladder, so that detailed keys cannot use up the room of less detailed ones.

use std::{collections::VecDeque, time::Duration};

use super::{Dimension, MAX_LABELS};

/// Maximum number of rungs: from no label folded to every label folded.
const MAX_RUNGS: usize = MAX_LABELS + 1;

/// The time span over which new series are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// New series are counted per minute. A minute is removed only when all of it is more than an hour ago, so that no
/// span of 3600 seconds has more new series than the budget.
const MINUTE: Duration = Duration::from_secs(60);

/// One count for each rung.
type ByRung = [usize; MAX_RUNGS];

/// A budget divided among rungs.
///
/// Each rung between the first and the last has a reserve: as many series as its labels usually have values, but at
/// most two fifths of the budget for the first of these rungs, a fifth of that for the second, and so on. A rung may
/// use the whole budget except for the unused reserves of less detailed rungs.
#[derive(Clone, Debug)]
pub struct Budget {
    total: usize,
    /// Reserved for [`Claim::Replacement`].
    spare: usize,
    reserve: ByRung,
}

/// The reason for a new series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A packet with a new key.
    Newcomer,
    /// A heavy hitter that replaces another series.
    Replacement,
}

impl Budget {
    /// Divides `total` series among the rungs of a family with these labels; `spare` of them are reserved for
    /// replacements.
    #[must_use]
    pub fn new(total: usize, spare: usize, labels: &[Dimension]) -> Self {
        let mut reserve = [0; MAX_RUNGS];
        let mut limit = total * 2 / 5;
        for (rung, kept) in reserve.iter_mut().enumerate().take(labels.len()).skip(1) {
            let usual = labels[..labels.len() - rung]
                .iter()
                .fold(1_usize, |product, label| product.saturating_mul(label.usual_values()));
            *kept = usual.min(limit);
            limit /= 5;
        }
        Self { total, spare, reserve }
    }

    /// Whether one more series is allowed on `rung`, given the number of series on each rung.
    #[must_use]
    pub fn allows(&self, used: &ByRung, rung: usize, claim: Claim) -> bool {
        let spare = if claim == Claim::Replacement { 0 } else { self.spare };
        let kept: usize = self.reserve[rung + 1..]
            .iter()
            .zip(&used[rung + 1..])
            .map(|(reserve, used)| reserve.saturating_sub(*used))
            .sum();
        used.iter().sum::<usize>() + kept + spare < self.total
    }
}

/// The number of series created on each rung in the last hour.
#[derive(Clone, Debug, Default)]
pub struct Births {
    /// Minutes since the clock's start, and the series created in them on each rung.
    minutes: VecDeque<(u64, ByRung)>,
    sum: ByRung,
}

impl Births {
    /// Series created on each rung in the hour before `now`.
    pub fn within_an_hour(&mut self, now: Duration) -> &ByRung {
        let minute = now.as_secs() / MINUTE.as_secs();
        let span = HOUR.as_secs() / MINUTE.as_secs();
        while let Some((counted, births)) = self.minutes.front().copied() {
            if minute.saturating_sub(counted) <= span {
                break;
            }
            for (sum, births) in self.sum.iter_mut().zip(births) {
                *sum -= births;
            }
            self.minutes.pop_front();
        }
        &self.sum
    }

    /// Counts a new series. The time must be monotonic.
    pub fn add(&mut self, rung: usize, now: Duration) {
        let minute = now.as_secs() / MINUTE.as_secs();
        match self.minutes.back_mut() {
            Some((counted, births)) if *counted == minute => births[rung] += 1,
            _ => {
                let mut births = [0; MAX_RUNGS];
                births[rung] = 1;
                self.minutes.push_back((minute, births));
            }
        }
        self.sum[rung] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAFFIC: [Dimension; 4] =
        [Dimension::Prefix, Dimension::Proto, Dimension::Country, Dimension::Port];

    /// Fills one rung after another, the most detailed first, and checks the number of series of each.
    fn check(total: usize, labels: &[Dimension], expect: &[usize]) {
        let budget = Budget::new(total, 0, labels);
        let mut used = [0; MAX_RUNGS];
        used[labels.len()] = 1;
        for rung in 0..labels.len() {
            while budget.allows(&used, rung, Claim::Newcomer) {
                used[rung] += 1;
            }
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
    fn the_spare_is_reserved_for_replacements() {
        let budget = Budget::new(10, 3, &[Dimension::Port]);
        let mut used = [0; MAX_RUNGS];
        used[0] = 7;
        assert!(!budget.allows(&used, 0, Claim::Newcomer));
        assert!(budget.allows(&used, 0, Claim::Replacement));
        used[0] = 10;
        assert!(!budget.allows(&used, 0, Claim::Replacement));
    }

    #[test]
    fn a_new_series_counts_for_one_hour_and_less_than_two_minutes_more() {
        let mut births = Births::default();
        births.add(0, Duration::from_secs(59));
        births.add(2, Duration::from_secs(60));
        assert_eq!(births.within_an_hour(Duration::from_secs(60))[..3], [1, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(59 + 3600))[..3], [1, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(61 * 60))[..3], [0, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(62 * 60))[..3], [0, 0, 0]);
    }
}
