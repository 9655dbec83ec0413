//! The metric of the active confinement layers.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Confinement, Layer};
use crate::exposition::MetricWriter;

impl Collector for Confinement {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        MetricWriter::new(encoder).gauges(
            "nflog_exporter_confinement",
            "Whether a confinement layer of the process is active: 1 or 0.",
            Layer::ALL
                .into_iter()
                .map(|layer| ([("layer", layer.name())], u64::from(self.has(layer)))),
        )
    }
}
