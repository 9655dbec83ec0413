//! The metrics of the HTTP server: rejected clients, and whether the web configuration is loaded.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Rejections, WebConfigWatcher};
use crate::exposition::MetricWriter;

/// The collector of a server's rejections and of its web configuration.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    rejections: Arc<Rejections>,
    web_config: Arc<WebConfigWatcher>,
}

impl ServerMetrics {
    /// Creates the collector of a server.
    #[must_use]
    pub fn new(rejections: Arc<Rejections>, web_config: Arc<WebConfigWatcher>) -> Self {
        Self { rejections, web_config }
    }
}

impl Collector for ServerMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = MetricWriter::new(encoder);
        writer.gauge(
            "nflog_exporter_web_config_last_reload_successful",
            "Whether the last load of the web configuration succeeded: 1 or 0.",
            self.web_config.is_current().map(u32::from),
        )?;
        let counts = self.rejections.counts().into_iter();
        writer.counters(
            "nflog_exporter_http_rejected",
            "Requests and connections rejected by the HTTP server, by reason.",
            counts.map(|(reason, count)| ([("reason", reason)], count)),
        )
    }
}
