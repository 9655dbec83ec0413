//! One scrape: the snapshots of all parts, collected and rendered.

mod audience;
mod build;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::collector::Collector;

use self::{
    audience::{Audience, LastScrape},
    build::Build,
};
use super::reload::SharedStatus;
use crate::{
    event::CurrentNames,
    exposition::{self, Format},
    geoip::{DatabaseMetrics, GeoIp},
    history::SharedHistory,
    http::{Client, MetricsPage, Rejections, Rendered, ServerMetrics, WebConfigWatcher},
    metrics::{SharedAggregate, SnapshotMemory, SnapshotMetrics, process},
    mirror::{Drilldown, Queue},
    networks::{NetworkMetrics, Networks},
    output::{OutputMetrics, Outputs},
    pipeline::{Clock, Route},
    source::{
        kernel_log::{LineMeter, LineMetrics, Positions},
        nflog::{GroupMeter, GroupMetrics},
    },
    system::{logging::LogMetrics, privileges::Confinement},
};

/// Approximate size of the metrics whose number does not depend on the packets, bytes.
const FIXED_LENGTH: usize = 8 * 1024;

/// Maximum time for which a scrape waits for positions in log files: a broken disk must not break it.
const SAVE_LIMIT: Duration = Duration::from_millis(100);

/// The metrics of a running exporter.
#[derive(Debug)]
pub struct ScrapePage {
    aggregate: SharedAggregate,
    clock: Clock,
    names: CurrentNames,
    groups: GroupMetrics,
    lines: LineMetrics,
    positions: Option<Arc<Positions>>,
    mirror: Option<Queue>,
    drilldown: Option<Drilldown>,
    outputs: Option<Outputs>,
    history: Option<SharedHistory>,
    geoip: GeoIp,
    networks: Networks,
    reload: SharedStatus,
    confinement: Option<Confinement>,
    server: Option<ServerMetrics>,
    audience: Audience,
}

impl ScrapePage {
    /// Creates the page for the packets of `route`.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        geoip: GeoIp,
        networks: Networks,
        reload: SharedStatus,
    ) -> Self {
        Self {
            aggregate: route.aggregate(),
            clock: route.clock(),
            names: route.current_names(),
            mirror: route.mirror(),
            drilldown: None,
            outputs: route.outputs(),
            groups: GroupMetrics(meters),
            lines: LineMetrics::default(),
            positions: None,
            history: None,
            geoip,
            networks,
            reload,
            confinement: None,
            server: None,
            audience: Audience::default(),
        }
    }

    /// Adds the metrics of lines of the kernel log.
    #[must_use]
    pub fn with_lines(mut self, meter: Option<Arc<LineMeter>>) -> Self {
        self.lines = LineMetrics(meter);
        self
    }

    /// Also waits for the positions in log files to be saved.
    #[must_use]
    pub fn with_positions(mut self, positions: Option<Arc<Positions>>) -> Self {
        self.positions = positions;
        self
    }

    /// Adds the metrics of the drill-down.
    #[must_use]
    pub fn with_drilldown(mut self, drilldown: Option<Drilldown>) -> Self {
        self.drilldown = drilldown;
        self
    }

    /// Adds the metrics of the page's history.
    #[must_use]
    pub fn with_history(mut self, history: Option<SharedHistory>) -> Self {
        self.history = history;
        self
    }

    /// Adds the metrics of the confinement.
    #[must_use]
    pub fn confined(mut self, confinement: Option<Confinement>) -> Self {
        self.confinement = confinement;
        self
    }

    /// Adds the metrics of the HTTP server.
    #[must_use]
    pub fn served(
        mut self,
        rejections: Arc<Rejections>,
        web_config: Arc<WebConfigWatcher>,
    ) -> Self {
        self.server = Some(ServerMetrics::new(rejections, web_config));
        self
    }

    /// The current metrics as text.
    #[must_use]
    pub fn text(&self, format: Format) -> Rendered {
        let series_counts = self.aggregate.lock().series_counts();
        let memory = SnapshotMemory::new(&series_counts);
        let mut aggregate = self.aggregate.lock();
        let snapshot = aggregate.snapshot_into(memory, self.clock.now());
        // Under the same lock, so that names and the counts of the mirror and the outputs belong to the snapshot.
        let names = self.names.get();
        let mirror = self.mirror.as_ref().map(Queue::status);
        let outputs = self.outputs.as_ref().map(Outputs::status);
        drop(aggregate);
        let generation = snapshot.generation;
        let pending = snapshot.families.iter().map(|family| family.pending_packets).max();
        let numbers = snapshot.as_numbers().into_iter();
        let as_names = numbers.filter_map(|number| Some((number, self.geoip.as_name(number)?)));
        let as_names = as_names.collect();
        let packets = SnapshotMetrics { snapshot, names, as_names };
        let capacity = FIXED_LENGTH + packets.expected_length();
        let mut collectors: Vec<Box<dyn Collector>> =
            vec![Box::new(packets), Box::new(self.groups.clone()), Box::new(self.lines.clone())];
        collectors.extend(mirror.map(boxed));
        collectors.extend(self.drilldown.clone().map(boxed));
        collectors.extend(outputs.map(OutputMetrics).map(boxed));
        collectors.extend(self.history.as_ref().map(SharedHistory::status).map(boxed));
        collectors.push(Box::new(DatabaseMetrics(self.geoip.status())));
        collectors.push(Box::new(NetworkMetrics(self.networks.status())));
        collectors.push(Box::new(self.reload.get()));
        collectors.extend(self.server.clone().map(boxed));
        collectors.push(Box::new(LastScrape(self.audience.last_scrape())));
        collectors.extend(self.confinement.clone().map(boxed));
        collectors.push(Box::new(LogMetrics));
        collectors.push(Box::new(Build::this()));
        collectors.push(Box::new(process::read()));
        // Writing to a string does not fail.
        let openmetrics = exposition::render(collectors, capacity).unwrap_or_default();
        let body = match format {
            Format::OpenMetrics => openmetrics,
            Format::Plain => {
                let comment = match pending {
                    None | Some(0) => String::new(),
                    Some(packets) => pending_comment(packets, self.audience.has_prometheus()),
                };
                comment + &exposition::to_plain(&openmetrics)
            }
        };
        if let Some(positions) = &self.positions {
            positions.wait_until_saved(SAVE_LIMIT);
        }
        Rendered { body, generation }
    }
}

impl MetricsPage for ScrapePage {
    fn render(&self, format: Format) -> Rendered {
        self.text(format)
    }

    fn delivered(&self, generation: u64, client: Client) {
        if let Some(generation) = self.audience.delivered(client, generation, Instant::now()) {
            self.aggregate.lock().delivered(generation, self.clock.now());
        }
    }
}

fn boxed(collector: impl Collector) -> Box<dyn Collector> {
    Box::new(collector)
}

/// A comment that explains why new series show 0, for a person who fetches the page. It contains a metric's name, so
/// that a `grep` for the metric finds it.
fn pending_comment(pending_packets: u64, prometheus_scrapes: bool) -> String {
    let next = if prometheus_scrapes {
        "the next scrape by Prometheus shows them"
    } else {
        "fetch this page again to see them"
    };
    format!(
        "# A new series of nflog_packets_total (and of the other families) shows 0 until it has been \
         scraped once, so that increase() counts its first packets. Not shown yet: {pending_packets} \
         packets (nflog_exporter_pending_packets); {next}.\n"
    )
}
