//! The metric of dropped log lines.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::dropped_lines;
use crate::exposition::MetricWriter;

/// The collector of dropped log lines.
#[derive(Clone, Copy, Debug)]
pub struct LogMetrics;

impl Collector for LogMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        MetricWriter::new(encoder).counter(
            "nflog_exporter_log_lines_dropped",
            "Log lines that were dropped because of the rate limit or because the log reader was too slow.",
            Some(dropped_lines()),
        )
    }
}
