//! The metrics of the outputs.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    account::{OutputDropReason, filtered_names},
    status::OutputStatus,
};
use crate::exposition::MetricWriter;

/// The collector of the outputs' metrics.
#[derive(Clone, Debug, Default)]
pub struct OutputMetrics(pub Vec<OutputStatus>);

impl Collector for OutputMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        let outputs = || self.0.iter().map(|output| ([("output", output.name.clone())], output));
        writer.gauges(
            "nflog_exporter_output_up",
            "Whether an output's file or receiver accepts rows: 1 or 0.",
            outputs().map(|(labels, output)| (labels, u64::from(output.is_up))),
        )?;
        writer.counters(
            "nflog_exporter_output_written_rows",
            "Rows written by an output to its file or socket.",
            outputs().map(|(labels, output)| (labels, output.account.written)),
        )?;
        writer.counters(
            "nflog_exporter_output_dropped_rows",
            "Packets lost by an output, by reason.",
            self.0.iter().flat_map(|output| {
                let reasons = OutputDropReason::ALL.map(OutputDropReason::name);
                by_reason(&output.name, reasons, output.account.dropped)
            }),
        )?;
        writer.counters(
            "nflog_exporter_output_filtered_rows",
            "Packets without a row because of the configuration of an output, by reason.",
            self.0.iter().flat_map(|output| {
                by_reason(&output.name, filtered_names(), output.account.filtered)
            }),
        )?;
        writer.gauges(
            "nflog_exporter_output_queued_rows",
            "Packets in memory that an output has not written yet.",
            outputs().map(|(labels, output)| (labels, output.account.queued)),
        )
    }
}

/// The counts of one output with their labels.
fn by_reason<const N: usize>(
    output: &str,
    reasons: [&'static str; N],
    counts: [u64; N],
) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
    let output = output.to_owned();
    let labels = move |reason: &str| [("output", output.clone()), ("reason", reason.to_owned())];
    reasons.into_iter().map(labels).zip(counts)
}
