//! The texts of values, in lists and in filters.

use crate::{event::Names, metrics::Dimension};

/// The text for packets that do not have the label, such as the port of ICMP.
const NONE: &str = "none";

/// The text of a value.
pub(super) fn text(dimension: Dimension, value: u64, names: &Names) -> String {
    dimension.text(value, names).map_or_else(|| NONE.into(), Into::into)
}
