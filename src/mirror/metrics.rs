//! The mirror's metrics.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{account::DropReason, select::Filtered, status::MirrorStatus};
use crate::exposition::MetricWriter;

impl Collector for MirrorStatus {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        self.encode_rows(&mut writer)?;
        self.encode_state(&mut writer)
    }
}

impl MirrorStatus {
    fn encode_rows(&self, writer: &mut MetricWriter<'_>) -> fmt::Result {
        writer.gauge(
            "nflog_exporter_mirror_up",
            "Whether the mirror's database accepts rows: 1 or 0.",
            Some(u64::from(self.up)),
        )?;
        writer.gauges(
            "nflog_exporter_mirror_server_connected",
            "Whether the mirror is connected to this server of its URL: 1 or 0.",
            self.servers.iter().enumerate().map(|(index, server)| {
                ([("server", server.as_str())], u64::from(self.connected == Some(index)))
            }),
        )?;
        writer.counter(
            "nflog_exporter_mirror_written_rows",
            "Rows written to the mirror's database.",
            Some(self.account.written),
        )?;
        writer.counter(
            "nflog_exporter_mirror_reverted_rows",
            "Rows that the mirror's database confirmed and lost in a failover or a restored backup; also counted as written.",
            Some(self.reverted),
        )?;
        writer.counters(
            "nflog_exporter_mirror_dropped_rows",
            "Rows lost, by reason.",
            DropReason::ALL
                .into_iter()
                .map(|reason| ([("reason", reason.name())], self.account.dropped[reason as usize])),
        )?;
        writer.counters(
            "nflog_exporter_mirror_filtered_rows",
            "Packets without a row because of the configuration, by reason.",
            Filtered::ALL.into_iter().map(|reason| {
                ([("reason", reason.name())], self.account.filtered[reason as usize])
            }),
        )?;
        writer.counter(
            "nflog_exporter_mirror_recovered_rows",
            "Rows that an earlier run left in the spool; also counted as written, spooled or dropped.",
            Some(self.account.recovered),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_queued_rows",
            "Packets in memory that have no row yet.",
            Some(self.account.queued),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spooled_rows",
            "Rows in the spool that are not in the database yet.",
            Some(self.account.spooled),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_other_target_rows",
            "Rows in the spool for another database than the configured one.",
            Some(self.other_target_rows),
        )
    }

    fn encode_state(&self, writer: &mut MetricWriter<'_>) -> fmt::Result {
        writer.gauge(
            "nflog_exporter_mirror_lag_seconds",
            "Age of the oldest packet that is not in the database yet; 0 if there is none.",
            Some(self.lag.as_secs_f64()),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spool_size_bytes",
            "Size of the spool on disk.",
            Some(self.spool_size),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spool_size_limit_bytes",
            "Maximum size of the spool on disk; 0 when rows wait in memory only.",
            Some(self.spool_limit),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_retention_held",
            "Whether expired rows are kept because a clock looks wrong: 1 or 0.",
            Some(u64::from(self.retention_held)),
        )?;
        writer.counter(
            "nflog_exporter_mirror_panics",
            "Panics caught in the mirror's threads; each is a bug.",
            Some(self.panics),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_last_maintenance_timestamp_seconds",
            "Time of the last successful maintenance of the database: retention and partitions; 0 if there was none.",
            Some(self.maintenance_timestamp),
        )
    }
}
