//! The metrics of one snapshot: families, sources, countries, autonomous systems and packets received.

mod as_names;
mod countries;
mod families;
mod sources;

use std::fmt;

use compact_str::CompactString;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{event::Names, exposition::MetricWriter, metrics::Snapshot, packet::DecodeIssue};

/// The collector of a snapshot. Series are sorted by the text of their labels.
#[derive(Debug)]
pub struct SnapshotMetrics {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The names that its ids refer to.
    pub names: Names,
    /// The names of [`Snapshot::as_numbers`], as far as they are known, in the order of the numbers.
    pub as_names: Vec<(u32, CompactString)>,
}

impl SnapshotMetrics {
    /// The approximate length of the text in bytes.
    #[must_use]
    pub fn expected_length(&self) -> usize {
        /// A packets and a bytes sample with four labels.
        const SERIES: usize = 2 * 96;
        const COUNTRY: usize = 128;
        const AS_NAME: usize = 64;
        let series: usize = self.snapshot.families.iter().map(|family| family.series.len()).sum();
        let names = self.as_names.len() * AS_NAME + self.snapshot.countries.len() * COUNTRY;
        series * SERIES + names
    }
}

impl Collector for SnapshotMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { snapshot, names, as_names } = self;
        let mut writer = MetricWriter::new(encoder);
        for family in &snapshot.families {
            families::traffic(names, &mut writer, family)?;
        }
        sources::source_addresses(snapshot, names, &mut writer)?;
        sources::port_scans(snapshot, names, &mut writer)?;
        countries::country_info(&snapshot.countries, &mut writer)?;
        as_names::asn_info(as_names, &mut writer)?;
        writer.counters(
            "nflog_exporter_received_packets",
            "Packets received, by NFLOG group.",
            self.snapshot.received.iter().map(|&(group, packets)| ([("group", group)], packets)),
        )?;
        writer.counters(
            "nflog_exporter_undecoded_packets",
            "Packets that could not be decoded in full, by reason. They are counted in all families too.",
            DecodeIssue::ALL
                .iter()
                .zip(self.snapshot.undecoded)
                .map(|(issue, packets)| ([("reason", issue.name())], packets)),
        )?;
        families::budgets(&snapshot.families, &mut writer)
    }
}
