//! What a scrape reads: the aggregate at one moment, copied out under its lock, ids still unrendered.

use std::sync::Arc;

use super::{Dimension, Key, ScanFigures};
use crate::{event::NameId, geoip::CountryId, packet::DecodeIssue};

/// The aggregate at one moment. For every family: its series + retired + pending = received.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which snapshot this is; given back when its scrape was delivered.
    pub generation: u64,
    /// Packets received, by NFLOG group, in the order of the groups.
    pub received: Vec<(u16, u64)>,
    /// Packets that could not be read in full, by [`DecodeIssue`].
    pub undecoded: [u64; DecodeIssue::ALL.len()],
    /// The families, in the order of the configuration.
    pub families: Vec<FamilySnapshot>,
    /// Estimated distinct source addresses of the last 10 minutes, by prefix.
    pub source_addresses: Vec<(NameId, f64)>,
    /// Packets whose source went to the estimate of `other`.
    pub source_addresses_folded_packets: u64,
    /// Scans in the last 10 minutes, for the same prefixes.
    pub scans: Vec<ScanFigures>,
    /// How often the table of scans had no room for a source.
    pub scan_displaced_sources: u64,
    /// Countries seen so far, in the order of the table.
    pub countries: Vec<CountryId>,
}

/// One family at one moment.
#[derive(Clone, Debug)]
pub struct FamilySnapshot {
    /// Name of the family: value of the label `family`.
    pub name: Arc<str>,
    /// Its labels, most important first.
    pub labels: Arc<[Dimension]>,
    /// Every exposed series, in no order. Their number never exceeds [`Self::series_limit`].
    pub series: Vec<Series>,
    /// The hard budget.
    pub series_limit: usize,
    /// Whether the hard budget has no room for a series whose labels are all exact.
    pub is_full: bool,
    /// Packets folded to `other`, for each label of [`Self::labels`].
    pub folded: Vec<u64>,
    /// Packets of series that are no longer exposed.
    pub retired_packets: u64,
    /// Packets of series whose count is still held back.
    pub pending_packets: u64,
    /// Series that gave their place to a heavier one.
    pub replaced_series: u64,
}

/// One exposed series.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Its label values.
    pub key: Key,
    /// Packets, as exposed.
    pub packets: u64,
    /// Bytes, as exposed.
    pub bytes: u64,
}
