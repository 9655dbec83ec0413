//! The metrics of the files of networks and lists.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::FileStatus;
use crate::exposition::MetricWriter;

/// The collector of the files.
#[derive(Clone, Debug)]
pub struct NetworkMetrics(pub Vec<FileStatus>);

impl Collector for NetworkMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        let lists = || self.0.iter().filter_map(|file| Some((file.list.as_deref()?, file)));
        let networks = || self.0.iter().find(|file| file.list.is_none());
        writer.gauges(
            "nflog_exporter_list_entries",
            "Entries of the list in use.",
            lists().map(|(list, file)| ([("list", list)], file.entries as u64)),
        )?;
        writer.gauges(
            "nflog_exporter_list_file_timestamp_seconds",
            "Time of the last change of the list's file in use, as a Unix timestamp.",
            lists().map(|(list, file)| ([("list", list)], file.modified)),
        )?;
        writer.counters(
            "nflog_exporter_list_reloads",
            "Reloads of the list, by result.",
            lists().flat_map(|(list, file)| {
                results(file).map(|(result, count)| ([("list", list), ("result", result)], count))
            }),
        )?;
        writer.gauge(
            "nflog_exporter_networks_entries",
            "Prefixes of the file of named networks in use.",
            networks().map(|file| file.entries as u64),
        )?;
        writer.gauge(
            "nflog_exporter_networks_file_timestamp_seconds",
            "Time of the last change of the file of named networks in use, as a Unix timestamp.",
            networks().map(|file| file.modified),
        )?;
        writer.counters(
            "nflog_exporter_networks_reloads",
            "Reloads of the file of named networks, by result.",
            networks().into_iter().flat_map(|file| {
                results(file).map(|(result, count)| ([("result", result)], count))
            }),
        )
    }
}

fn results(file: &FileStatus) -> [(&'static str, u64); 2] {
    [("failure", file.reloads_failed), ("success", file.reloads_ok)]
}
