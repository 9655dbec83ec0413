//! The two budgets of a family: label sets at once, and births in any hour, each shared out among
//! the rungs of the ladder so that fine keys cannot eat the room of coarse ones.

use std::{collections::VecDeque, time::Duration};

use super::{Dimension, MAX_LABELS};

/// Rungs a ladder can have: nothing folded, up to every label folded.
const MAX_RUNGS: usize = MAX_LABELS + 1;

/// The span over which births are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// Births are booked by the minute. A minute leaves the books only when all of it is an hour past,
/// so that no span of 3600 seconds ever sees more births than the budget.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts, one for each rung.
type ByRung = [usize; MAX_RUNGS];

/// A budget shared out among rungs.
///
/// Each rung between the first and the last has a reserve: as many places as its labels usually
/// have values, but at most two fifths of the budget for the first of them, a fifth of that for
/// the second, and so on. A rung may use every place but those that coarser rungs have reserved
/// and not yet taken.
#[derive(Clone, Debug)]
pub struct Budget {
    total: usize,
    /// Kept out of everybody's reach but [`Claim::Replacement`]'s.
    spare: usize,
    reserve: ByRung,
}

/// Who asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A key that came by.
    Newcomer,
    /// A key that was seen to outweigh an admitted series.
    Replacement,
}

impl Budget {
    /// Shares out `total` places for a family with these labels, `spare` of them kept for
    /// replacements.
    #[must_use]
    pub fn new(total: usize, spare: usize, labels: &[Dimension]) -> Self {
        let mut reserve = [0; MAX_RUNGS];
        let mut most = total * 2 / 5;
        for (rung, kept) in reserve.iter_mut().enumerate().take(labels.len()).skip(1) {
            let usual = labels[..labels.len() - rung]
                .iter()
                .fold(1_usize, |product, label| product.saturating_mul(label.usual_values()));
            *kept = usual.min(most);
            most /= 5;
        }
        Self { total, spare, reserve }
    }

    /// Whether one more place may be taken on `rung`, when `used` are.
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

/// The books of births: how many on each rung in the last hour.
#[derive(Clone, Debug, Default)]
pub struct Births {
    /// The minute a page is for, counted from the clock's beginning, and the births on each rung.
    pages: VecDeque<(u64, ByRung)>,
    sum: ByRung,
}

impl Births {
    /// Births on each rung in the hour up to `now`.
    pub fn within_an_hour(&mut self, now: Duration) -> &ByRung {
        let minute = now.as_secs() / MINUTE.as_secs();
        let span = HOUR.as_secs() / MINUTE.as_secs();
        while let Some((page, births)) = self.pages.front().copied() {
            if minute.saturating_sub(page) <= span {
                break;
            }
            for (sum, births) in self.sum.iter_mut().zip(births) {
                *sum -= births;
            }
            self.pages.pop_front();
        }
        &self.sum
    }

    /// Books a birth. The clock never goes back.
    pub fn book(&mut self, rung: usize, now: Duration) {
        let minute = now.as_secs() / MINUTE.as_secs();
        match self.pages.back_mut() {
            Some((page, births)) if *page == minute => births[rung] += 1,
            _ => {
                let mut births = [0; MAX_RUNGS];
                births[rung] = 1;
                self.pages.push_back((minute, births));
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

    /// Fills rung after rung, finest first, and tells how many places each got.
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
    fn coarse_rungs_keep_their_room() {
        check(2000, &TRAFFIC, &[1119, 800, 64, 16, 1]);
        check(500, &TRAFFIC, &[251, 200, 40, 8, 1]);
        check(2000, &[Dimension::Prefix, Dimension::Network], &[1983, 16, 1]);
        check(2000, &[Dimension::Port], &[1999, 1]);
        check(10, &TRAFFIC, &[5, 4, 0, 0, 1]);
        check(2, &TRAFFIC, &[1, 0, 0, 0, 1]);
        check(1, &TRAFFIC, &[0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_spare_is_for_replacements() {
        let budget = Budget::new(10, 3, &[Dimension::Port]);
        let mut used = [0; MAX_RUNGS];
        used[0] = 7;
        assert!(!budget.allows(&used, 0, Claim::Newcomer));
        assert!(budget.allows(&used, 0, Claim::Replacement));
        used[0] = 10;
        assert!(!budget.allows(&used, 0, Claim::Replacement));
    }

    #[test]
    fn a_birth_stays_booked_for_more_than_an_hour_and_less_than_two_minutes_more() {
        let mut births = Births::default();
        births.book(0, Duration::from_secs(59));
        births.book(2, Duration::from_secs(60));
        assert_eq!(births.within_an_hour(Duration::from_secs(60))[..3], [1, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(59 + 3600))[..3], [1, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(61 * 60))[..3], [0, 0, 1]);
        assert_eq!(births.within_an_hour(Duration::from_secs(62 * 60))[..3], [0, 0, 0]);
    }
}
