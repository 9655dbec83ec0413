//! Which rows of a database are read.

use std::ops::RangeInclusive;

/// Which rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSelection<'a> {
    /// Their times, microseconds since 1970.
    pub period: RangeInclusive<u64>,
    /// The hosts that logged them; empty for all.
    pub hosts: &'a [String],
}
