//! One scrape put together: the aggregate's snapshot and the state of every part.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    cli,
    event::Names,
    exposition::{
        self, Build, CountryRow, DatabaseStatus, Format, GroupStatus, MirrorStatus, Scrape,
    },
    geoip::{CountryId, GeoIp},
    http::{Client, Guard, MetricsPage, Refusals, Rendered},
    logging,
    mirror::{Figures, Queue, account::Dropped, select::Filtered},
    pipeline::{Clock, Route, SharedAggregate},
    privileges::{Confinement, Layer},
    source::nflog::GroupMeter,
    vitals,
};

use super::reload::SharedStatus;

/// Each layer, and whether it is in force.
fn layers(confinement: &Confinement) -> Vec<(&'static str, bool)> {
    Layer::ALL.iter().map(|layer| (layer.name(), confinement.has(*layer))).collect()
}

/// The metrics of a running exporter.
#[derive(Debug)]
pub struct ScrapePage {
    aggregate: SharedAggregate,
    clock: Clock,
    names: Names,
    meters: Vec<Arc<GroupMeter>>,
    mirror: Option<Queue>,
    geoip: GeoIp,
    status: SharedStatus,
    confinement: Option<Confinement>,
    refusals: Option<Arc<Refusals>>,
    guard: Option<Arc<Guard>>,
    audience: Audience,
}

impl ScrapePage {
    /// Shows what comes along `route`.
    #[must_use]
    pub fn new(
        route: &Route,
        meters: Vec<Arc<GroupMeter>>,
        geoip: GeoIp,
        status: SharedStatus,
    ) -> Self {
        Self {
            aggregate: route.aggregate(),
            clock: route.clock(),
            names: route.names(),
            mirror: route.mirror(),
            meters,
            geoip,
            status,
            confinement: None,
            refusals: None,
            guard: None,
            audience: Audience::default(),
        }
    }

    /// Shows how the program is confined, too.
    #[must_use]
    pub fn confined(mut self, confinement: Option<Confinement>) -> Self {
        self.confinement = confinement;
        self
    }

    /// Shows whom the server has turned away, and how its guard stands, too.
    #[must_use]
    pub fn served(mut self, refusals: Arc<Refusals>, guard: Arc<Guard>) -> Self {
        self.refusals = Some(refusals);
        self.guard = Some(guard);
        self
    }

    /// The metrics as they stand, as text.
    #[must_use]
    pub fn text(&self, format: Format) -> Rendered {
        let mut aggregate = self.aggregate.lock();
        let snapshot = aggregate.snapshot(self.clock.now());
        // Under the same lock, so that its account agrees with the packets received.
        let mirror = self.mirror.as_ref().map(Queue::figures);
        drop(aggregate);
        let generation = snapshot.generation;
        let pending = snapshot.families.iter().map(|family| family.pending_packets).max();
        let scrape = Scrape {
            countries: snapshot.countries.iter().map(|id| country_row(*id)).collect(),
            snapshot,
            names: self.names.clone(),
            groups: self.meters.iter().map(|meter| group_status(meter)).collect(),
            mirror: mirror.map(mirror_status),
            databases: self.geoip.status().into_iter().map(database_status).collect(),
            reload: self.status.get(),
            web_config_successful: self.guard.as_ref().and_then(|guard| guard.is_current()),
            last_scrape_timestamp_seconds: self.audience.last_scrape(),
            confinement: self.confinement.as_ref().map(layers).unwrap_or_default(),
            refusals: self.refusals.as_ref().map(|refusals| refusals.counts()).unwrap_or_default(),
            log_lines_left_out: logging::left_out(),
            build: Build { version: cli::VERSION, revision: cli::REVISION.unwrap_or("unknown") },
            vitals: vitals::read(),
        };
        // Writing to a string does not fail.
        let openmetrics = exposition::render(scrape).unwrap_or_default();
        let body = match format {
            Format::OpenMetrics => openmetrics,
            Format::Plain => {
                let comment = match pending {
                    None | Some(0) => String::new(),
                    Some(packets) => {
                        exposition::pending_comment(packets, self.audience.has_prometheus())
                    }
                };
                comment + &exposition::to_plain(&openmetrics)
            }
        };
        Rendered { body, generation }
    }
}

impl MetricsPage for ScrapePage {
    fn render(&self, format: Format) -> Rendered {
        self.text(format)
    }

    fn delivered(&self, generation: u64, client: Client) {
        if self.audience.counts(client, Instant::now()) {
            self.aggregate.lock().delivered(generation, self.clock.now());
        }
    }
}

/// How long after its last scrape a Prometheus is taken to come again: its longest usual interval,
/// and a few scrapes that failed.
const FAITHFUL: Duration = Duration::from_secs(300);

/// Whose fetches count as scrapes, and let a series leave zero.
///
/// Where a Prometheus scrapes, only its scrapes do: else somebody who looks at the page would use up
/// the zero that Prometheus has to see. Where none does, every fetch counts.
#[derive(Debug, Default)]
struct Audience {
    prometheus: Mutex<Option<(Instant, SystemTime)>>,
}

impl Audience {
    /// When a Prometheus last scraped, seconds since 1970-01-01 UTC.
    fn last_scrape(&self) -> Option<f64> {
        let last = *self.lock();
        Some(last?.1.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }

    fn counts(&self, client: Client, now: Instant) -> bool {
        match client {
            Client::Prometheus => {
                *self.lock() = Some((now, SystemTime::now()));
                true
            }
            Client::Other => !self.had_prometheus(now),
        }
    }

    /// Whether a Prometheus scrapes.
    fn has_prometheus(&self) -> bool {
        self.had_prometheus(Instant::now())
    }

    fn had_prometheus(&self, now: Instant) -> bool {
        self.lock().is_some_and(|(last, _)| now.duration_since(last) <= FAITHFUL)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, SystemTime)>> {
        self.prometheus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn country_row(id: CountryId) -> CountryRow {
    let info = id.info();
    CountryRow {
        code: info.code,
        iso3: info.iso3,
        name: info.name,
        latitude: info.latitude,
        longitude: info.longitude,
    }
}

fn group_status(meter: &GroupMeter) -> GroupStatus {
    GroupStatus {
        group: meter.group,
        lost_packets: meter.lost_packets.load(Ordering::Relaxed),
        malformed_messages: meter.malformed_messages.load(Ordering::Relaxed),
        truncated_datagrams: meter.truncated_datagrams.load(Ordering::Relaxed),
        socket_drops: meter.socket_drops.load(Ordering::Relaxed),
        receive_buffer_bytes: meter.receive_buffer_bytes.load(Ordering::Relaxed),
    }
}

fn mirror_status(figures: Figures) -> MirrorStatus {
    let Figures {
        account,
        up,
        lag,
        spool_size,
        other_target_rows,
        spool_limit,
        retention_held,
        panics,
        upkeep_timestamp,
    } = figures;
    MirrorStatus {
        up,
        written: account.written,
        dropped: Dropped::ALL
            .map(|reason| (reason.name(), account.dropped[reason as usize]))
            .into(),
        filtered: Filtered::ALL
            .map(|reason| (reason.name(), account.filtered[reason as usize]))
            .into(),
        recovered: account.recovered,
        queued: account.queued,
        spooled: account.spooled,
        lag_seconds: lag.as_secs_f64(),
        retention_held,
        panics,
        spool_size_bytes: spool_size,
        other_target_rows,
        spool_size_limit_bytes: spool_limit,
        upkeep_timestamp_seconds: upkeep_timestamp,
    }
}

fn database_status(status: crate::geoip::DatabaseStatus) -> DatabaseStatus {
    DatabaseStatus {
        name: status.name,
        build_timestamp: status.build_timestamp,
        reloads_ok: status.reloads_ok,
        reloads_failed: status.reloads_failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prometheus_counts_where_there_is_one() {
        let audience = Audience::default();
        let start = Instant::now();
        assert!(audience.counts(Client::Other, start));
        assert!(!audience.had_prometheus(start));
        assert!(audience.counts(Client::Prometheus, start));
        assert!(audience.had_prometheus(start + FAITHFUL));
        assert!(!audience.counts(Client::Other, start + FAITHFUL));
        assert!(audience.counts(Client::Prometheus, start + FAITHFUL));
        assert!(!audience.counts(Client::Other, start + FAITHFUL + FAITHFUL));
        assert!(audience.counts(Client::Other, start + FAITHFUL * 3));
    }
}
