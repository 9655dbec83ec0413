//! The log lines that were left out, as a metric.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::left_out;
use crate::exposition::MetricWriter;

/// Shows the lines left out of this program's log.
#[derive(Clone, Copy, Debug)]
pub struct LogMetrics;

impl Collector for LogMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        MetricWriter::new(encoder).counter(
            "nflog_exporter_log_lines_left_out",
            "Log lines that were not written: they came too often, or nobody read them.",
            Some(left_out()),
        )
    }
}
