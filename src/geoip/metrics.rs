//! The metrics of the `GeoIP` databases.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::DatabaseStatus;
use crate::exposition::MetricWriter;

/// The collector of the databases.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics(pub Vec<DatabaseStatus>);

impl Collector for DatabaseMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauges(
            "nflog_exporter_geoip_build_timestamp_seconds",
            "Build time of the GeoIP database in use, as a Unix timestamp.",
            self.0
                .iter()
                .map(|database| ([("database", &*database.name)], database.build_timestamp)),
        )?;
        writer.counters(
            "nflog_exporter_geoip_reloads",
            "Reloads of the GeoIP database, by result.",
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
