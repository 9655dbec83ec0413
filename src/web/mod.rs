//! The built-in page: what its requests ask for, and the JSON, XML and HTML that answer them.

pub(crate) mod markers;
mod overview;

pub use overview::Overview;

use crate::recent::{MarkerQuery, Markers};

/// Where the figures of the page come from.
pub trait LatestPage: Send + Sync {
    /// The latest minutes as JSON, of what has these values (label and value); called on a thread
    /// that may block for a moment.
    fn overview(&self, filter: &[(String, String)]) -> Result<String, BadFilter>;

    /// The newest packets as markers on a map; called on a thread that may block for a moment.
    fn markers(&self, query: &MarkerQuery) -> Markers;
}

/// A filter that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// Not a label that the page counts by.
    #[error("unknown parameter {0:?}: there are country, port, prefix, proto and network")]
    Unknown(String),
    /// A parameter given twice.
    #[error("the parameter {0:?} stands there twice")]
    Repeated(String),
}
