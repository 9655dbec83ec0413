//! Figures for tests of the view.

use super::figures::Figures;

/// An overview of an exporter with traffic.
pub(super) const LIVE: &str = include_str!("testdata/live.json");

/// The figures of [`LIVE`].
pub(super) fn live() -> Figures {
    Figures::parse(LIVE).unwrap()
}
