//! The metrics of the history.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::exposition::MetricWriter;

/// The state of a history, which is also the collector of its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// Size of all slices in memory, bytes.
    pub size: u64,
    /// Slices that were removed early because of the maximum size.
    pub removed_slices: u64,
    /// Files of which a part was left out at the start.
    pub damaged_files: u64,
    /// Slices that could not be written to their files.
    pub write_errors: u64,
}

impl Collector for HistoryStatus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauge(
            "nflog_exporter_history_size_bytes",
            "Size of the page's counts of the last 30 days in memory.",
            Some(self.size),
        )?;
        writer.counter(
            "nflog_exporter_history_removed_slices",
            "Slices of the page's history that were removed early because of its maximum size.",
            Some(self.removed_slices),
        )?;
        writer.counter(
            "nflog_exporter_history_damaged_files",
            "Files of the page's history of which a part was left out at the start.",
            Some(self.damaged_files),
        )?;
        writer.counter(
            "nflog_exporter_history_write_errors",
            "Slices of the page's history that could not be written to its files.",
            Some(self.write_errors),
        )
    }
}
