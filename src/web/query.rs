//! The errors of queries, and how a value is parsed, which all live resources share.

use crate::history::Range;

/// The parameter of the range of time.
pub(super) const RANGE: &str = "range";

/// The names of all ranges, for errors.
pub(super) const RANGES: &str = "10m, 1h, 24h, 7d or 30d";

/// A query that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// A parameter that the resource does not have.
    #[error("unknown parameter {name:?}: expected {expected}")]
    Unknown {
        /// The parameter.
        name: String,
        /// The parameters that the resource has.
        expected: &'static str,
    },
    /// A parameter given twice.
    #[error("duplicate parameter {0:?}: give it once")]
    Duplicate(String),
    /// A value that the parameter does not allow.
    #[error("invalid value {value:?} for {name}: expected {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The value.
        value: String,
        /// The values that are valid.
        expected: &'static str,
    },
}

/// The value of a parameter.
///
/// # Errors
/// `parse` returns `None`.
pub(super) fn parse<T>(
    name: &'static str,
    value: &str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, BadQuery> {
    parse(value).ok_or_else(|| BadQuery::Value { name, value: value.into(), expected })
}

/// The value of the parameter [`RANGE`].
///
/// # Errors
/// There is no such range.
pub(super) fn parse_range(value: &str) -> Result<Range, BadQuery> {
    parse(RANGE, value, RANGES, Range::from_name)
}
