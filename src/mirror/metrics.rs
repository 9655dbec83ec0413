//! The metrics of the mirror: where every row is.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{account::Dropped, queue::Figures, select::Filtered};
use crate::exposition::MetricWriter;

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauge(
            "nflog_exporter_mirror_up",
            "Whether the mirror's database takes rows: 1, or 0.",
            Some(u64::from(self.up)),
        )?;
        writer.counter(
            "nflog_exporter_mirror_written_rows",
            "Rows that the mirror's database holds.",
            Some(self.account.written),
        )?;
        writer.counters(
            "nflog_exporter_mirror_dropped_rows",
            "Rows that are lost, by reason.",
            Dropped::ALL
                .into_iter()
                .map(|reason| ([("reason", reason.name())], self.account.dropped[reason as usize])),
        )?;
        writer.counters(
            "nflog_exporter_mirror_filtered_rows",
            "Packets that were to have no row, by what the configuration says.",
            Filtered::ALL.into_iter().map(|reason| {
                ([("reason", reason.name())], self.account.filtered[reason as usize])
            }),
        )?;
        writer.counter(
            "nflog_exporter_mirror_recovered_rows",
            "Rows that an earlier run left in the spool; they are written and spooled rows too.",
            Some(self.account.recovered),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_queued_rows",
            "Packets in memory that no row was made of yet.",
            Some(self.account.queued),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spooled_rows",
            "Rows in the spool that the database does not hold yet.",
            Some(self.account.spooled),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_other_target_rows",
            "Rows in the spool that wait for another database than the configured one.",
            Some(self.other_target_rows),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_lag_seconds",
            "Age of the oldest packet that the database does not hold yet; 0 when it holds all.",
            Some(self.lag.as_secs_f64()),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spool_size_bytes",
            "Size of the spool on disk.",
            Some(self.spool_size),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_spool_size_limit_bytes",
            "Most the spool may take on disk; 0 when rows wait in memory only.",
            Some(self.spool_limit),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_retention_held",
            "Whether expired rows are kept because a clock looks wrong: 1 or 0.",
            Some(u64::from(self.retention_held)),
        )?;
        writer.counter(
            "nflog_exporter_mirror_panics",
            "Panics in the threads of the mirror, which went on after them; each is a bug.",
            Some(self.panics),
        )?;
        writer.gauge(
            "nflog_exporter_mirror_last_upkeep_timestamp_seconds",
            "When the database's retention and partitions were last looked after; 0 for never.",
            Some(self.upkeep_timestamp),
        )
    }
}
