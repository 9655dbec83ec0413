//! The configuration of a family: its labels and budgets.

use std::time::Duration;

use super::Dimension;

/// Maximum number of labels of a family.
pub const MAX_LABELS: usize = 8;

/// The configuration of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyPlan {
    /// `[a-z][a-z0-9_]*`; the metric names are `nflog_<name>_packets_total`, without the infix
    /// for `traffic`.
    pub name: String,
    /// Most important first, 1 to [`MAX_LABELS`], no duplicates.
    pub labels: Vec<Dimension>,
    /// Maximum number of label sets exposed at once, at least 1.
    pub max_series: usize,
    /// Maximum number of label sets created in any hour, at least 1.
    pub max_new_series_per_hour: usize,
    /// How long a new series shows zero after its first delivered scrape.
    pub newborn_hold: Duration,
}
