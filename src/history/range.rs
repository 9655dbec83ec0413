//! The ranges of time that the page shows, and the slices that each of them consists of.

/// Lengths of the slices of each tier, seconds, from the finest to the coarsest. Each is a multiple of the one before.
pub(super) const WIDTHS: [u64; TIERS] = [10, 60, 600, 3600];

/// Number of tiers.
pub(super) const TIERS: usize = 4;

/// Slices that each tier keeps: those of its longest range, and as many before it.
pub(super) const SLICES: [u64; TIERS] = [120, 120, 288, 1440];

/// A range of time that ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// Ten minutes, by ten seconds.
    #[default]
    TenMinutes,
    /// An hour, by minutes.
    Hour,
    /// 24 hours, by 20 minutes.
    Day,
    /// 7 days, by two hours.
    Week,
    /// 30 days, by twelve hours.
    Month,
}

impl Range {
    /// All ranges, the shortest first.
    pub const ALL: [Self; 5] = [Self::TenMinutes, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name in a query.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TenMinutes => "10m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The range with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    /// Its length, seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.parts() * self.part_seconds()
    }

    /// Number of parts of equal length in which it is shown.
    #[must_use]
    pub fn parts(self) -> u64 {
        match self {
            Self::TenMinutes | Self::Hour | Self::Month => 60,
            Self::Day => 72,
            Self::Week => 84,
        }
    }

    /// Length of a part, seconds: a multiple of the slices that it is made of.
    #[must_use]
    pub fn part_seconds(self) -> u64 {
        match self {
            Self::TenMinutes => 10,
            Self::Hour => 60,
            Self::Day => 1200,
            Self::Week => 7200,
            Self::Month => 43_200,
        }
    }

    /// The tier that has its slices.
    pub(super) fn tier(self) -> usize {
        match self {
            Self::TenMinutes => 0,
            Self::Hour => 1,
            Self::Day => 2,
            Self::Week | Self::Month => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_lengths() {
        let seconds = [600, 3600, 86_400, 7 * 86_400, 30 * 86_400];
        for (range, seconds) in Range::ALL.into_iter().zip(seconds) {
            assert_eq!(range.seconds(), seconds);
            assert_eq!(Range::from_name(range.name()), Some(range));
        }
        assert_eq!(Range::from_name("1d"), None);
    }

    #[test]
    fn a_tier_has_whole_parts_of_a_range_and_the_range_before() {
        for range in Range::ALL {
            let width = WIDTHS[range.tier()];
            assert_eq!(range.part_seconds() % width, 0);
            assert!(2 * range.seconds() <= SLICES[range.tier()] * width);
        }
        for pair in WIDTHS.windows(2) {
            assert_eq!(pair[1] % pair[0], 0);
        }
    }
}
