//! The errors of queries, which all live resources share.

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
