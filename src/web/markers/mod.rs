//! `/markers.xml` and `/markers.geojson`: the newest packets as markers on a map.
//!
//! A marker shows a location, never an address.

pub(super) mod geojson;
mod query;
mod search;
#[cfg(test)]
mod tests;
pub(super) mod xml;

pub(super) use query::MarkerQuery;
pub(super) use search::MarkerList;

/// Seconds since 1970 out of microseconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "exact for times of this age")]
fn seconds(time: u64) -> f64 {
    time as f64 / 1e6
}
