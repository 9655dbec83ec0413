//! A snapshot of the aggregate for one scrape, copied under its lock. Names are ids and are rendered later.

use std::sync::Arc;

use super::{
    Dimension, Key, ScanFigures,
    budget::{Places, SCARCE},
};
use crate::{event::NameId, geoip::CountryId, packet::DecodeIssue};

/// The aggregate at one moment. For every family: its series + retired + pending = received.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The snapshot's number, which is passed back when its scrape was delivered.
    pub generation: u64,
    /// Packets received, by NFLOG group, in the order of the groups.
    pub received: Vec<(u16, u64)>,
    /// Packets that could not be decoded in full, by [`DecodeIssue`].
    pub undecoded: [u64; DecodeIssue::ALL.len()],
    /// The families, in the order of the configuration.
    pub families: Vec<FamilySnapshot>,
    /// Estimated distinct source addresses of the last 10 minutes, by prefix.
    pub source_addresses: Vec<(NameId, f64)>,
    /// Packets whose source was counted under the prefix `other`.
    pub source_addresses_folded_packets: u64,
    /// Port scans in the last 10 minutes, for the same prefixes.
    pub scans: Vec<ScanFigures>,
    /// Sources that were evicted from the port-scan table or not added to it.
    pub scan_evicted_sources: u64,
    /// Countries seen so far, in the order of the table.
    pub countries: Vec<CountryId>,
}

impl Snapshot {
    /// The numbers of the autonomous systems that have a series in a family, in their order.
    #[must_use]
    pub fn as_numbers(&self) -> Vec<u32> {
        let families = self.families.iter();
        let mut numbers: Vec<u32> = families.flat_map(FamilySnapshot::as_numbers).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// One family at one moment.
#[derive(Clone, Debug)]
pub struct FamilySnapshot {
    /// Name of the family: value of the label `family`.
    pub name: Arc<str>,
    /// Its labels, most important first.
    pub labels: Arc<[Dimension]>,
    /// All exposed series, in no order. Their number never exceeds [`Self::series_limit`].
    pub series: Vec<SeriesSnapshot>,
    /// The maximum number of series.
    pub series_limit: usize,
    /// Estimated number of different full keys in the last hour.
    pub demand: f64,
    /// Packets folded to `other`, for each label of [`Self::labels`].
    pub folded: Vec<u64>,
    /// Packets of series that are no longer exposed.
    pub retired_packets: u64,
    /// Packets of series whose count is not exposed yet.
    pub pending_packets: u64,
    /// Series that were replaced by a heavier one.
    pub replaced_series: u64,
}

impl FamilySnapshot {
    fn as_numbers(&self) -> impl Iterator<Item = u32> {
        let label = self.labels.iter().position(|label| *label == Dimension::Asn);
        let series = label.map(|label| {
            let values = self.series.iter().map(move |series| series.key.values(label + 1)[label]);
            values.filter_map(Dimension::as_number)
        });
        series.into_iter().flatten()
    }

    /// The number of series at which every key of the last hour gets one with its first packet, rounded up to two digits.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a number of keys"
    )]
    pub fn needed_series(&self) -> usize {
        let keys = (self.demand.ceil() as usize).saturating_mul(SCARCE) / (SCARCE - 1) + 1;
        let needed = Places::needed(keys, &self.labels);
        let unit = 10_usize.pow(needed.max(10).ilog10() - 1);
        needed.next_multiple_of(unit)
    }
}

/// Memory for the series of a snapshot, made before the lock of the aggregate is acquired. The first write to a page of
/// new memory waits for the kernel, which takes longer than to copy the series that fit on it.
#[derive(Debug, Default)]
pub struct SnapshotMemory(pub(super) Vec<Vec<SeriesSnapshot>>);

impl SnapshotMemory {
    /// Number of series that may be created before the lock is acquired again, without new memory.
    const SPARE: usize = 64;

    /// Memory for families with so many series.
    #[must_use]
    pub fn new(series_counts: &[usize]) -> Self {
        // Not zero, or the compiler could leave the first write to the copy.
        let written = SeriesSnapshot { packets: 1, ..SeriesSnapshot::default() };
        let memory = |count: &usize| {
            let mut series = vec![written; count + Self::SPARE];
            series.clear();
            series
        };
        Self(series_counts.iter().map(memory).collect())
    }
}

/// One exposed series.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeriesSnapshot {
    /// Its label values.
    pub key: Key,
    /// Packets, as exposed.
    pub packets: u64,
    /// Bytes, as exposed.
    pub bytes: u64,
}
