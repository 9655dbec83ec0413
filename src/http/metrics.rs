//! The metrics of the HTTP server: rejections, and whether the web configuration is current.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Rejections, WebConfigWatcher};
use crate::exposition::MetricWriter;

/// Shows the rejections of a server and the state of its web configuration.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    rejections: Arc<Rejections>,
    web_config: Arc<WebConfigWatcher>,
}

impl ServerMetrics {
    /// The metrics of the server that has these.
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
            "Whether the web configuration was last loaded without an error: 1 or 0.",
            self.web_config.is_current().map(u32::from),
        )?;
        let counts = self.rejections.counts().into_iter();
        writer.counters(
            "nflog_exporter_http_refused",
            "Requests and connections that the HTTP server rejected, by reason.",
            counts.map(|(reason, count)| ([("reason", reason)], count)),
        )
    }
}
