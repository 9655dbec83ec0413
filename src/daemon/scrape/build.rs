//! The metric of the program's version and revision.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{cli, exposition::MetricWriter};

/// Version and revision of a build.
#[derive(Clone, Copy, Debug)]
pub(super) struct Build {
    pub(super) version: &'static str,
    pub(super) revision: &'static str,
}

impl Build {
    /// The build of this program.
    pub(super) fn this() -> Self {
        Self { version: cli::VERSION, revision: cli::REVISION.unwrap_or("unknown") }
    }
}

impl Collector for Build {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = [("version", self.version), ("revision", self.revision)];
        MetricWriter::new(encoder).gauges(
            "nflog_exporter_build_info",
            "Version and revision of this exporter; always 1.",
            [(labels, 1_u64)],
        )
    }
}
