//! The metrics of the `GeoIP` databases.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::DatabaseStatus;
use crate::exposition::MetricWriter;

/// Shows the databases.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics(pub Vec<DatabaseStatus>);

impl Collector for DatabaseMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauges(
            "nflog_exporter_geoip_build_timestamp_seconds",
            "When the GeoIP database in use was built.",
            self.0
                .iter()
                .map(|database| ([("database", &*database.name)], database.build_timestamp)),
        )?;
        writer.counters(
            "nflog_exporter_geoip_reloads",
            "Attempts to replace the GeoIP database while running, by result.",
            self.0.iter().flat_map(|database| {
                let results =
                    [("failure", database.reloads_failed), ("success", database.reloads_ok)];
                results.map(|(result, count)| {
                    ([("database", &*database.name), ("result", result)], count)
                })
            }),
        )
    }
}
