//! The phases of the running exporter: start, serve, stop.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle},
    time::{sleep, timeout},
};

use super::{
    Parts,
    periodic_checks::PeriodicChecks,
    reader::Readers,
    reload::Reloader,
    site,
    watchdog::{HeartbeatSource, Watchdog},
};
use crate::{
    conditions::Conditions,
    config::Config,
    geoip::GeoIp,
    history::HistoryThread,
    http::{self, ReloadRequest, WebConfigWatcher},
    metrics::SharedAggregate,
    mirror::Mirror,
    networks::Networks,
    output::{Outputs, RunningOutputs},
    pipeline::Clock,
    source::Source,
    system::{Health, service_manager::Service, signals::RequestSignals},
};

/// Maximum number of waiting requests to reload; further ones are rejected.
const RELOADS: usize = 4;

/// Time after which a packet log without packets causes a warning.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// Time limit for reading the packets that the kernel still holds, in addition to its queue timeout.
const DRAIN: Duration = Duration::from_secs(3);

/// Time limit for writing the last rows to the database, whose other rows stay in the spool, and to the outputs, and the
/// last counts to the history.
const LAST_ROWS: Duration = Duration::from_secs(5);

/// A started exporter.
pub(super) struct Daemon {
    config: Config,
    readers: Readers,
    /// Whether the source reads files that end, and not packets as they are logged.
    is_recorded: bool,
    aggregate: SharedAggregate,
    clock: Clock,
    mirror: Option<Mirror>,
    outputs: Option<RunningOutputs>,
    history: Option<HistoryThread>,
    conditions: Option<Conditions>,
    geoip: GeoIp,
    networks: Networks,
    reloader: Reloader,
    reload_requests: mpsc::Receiver<ReloadRequest>,
    web_config: Arc<WebConfigWatcher>,
    health: Health,
    service: Service,
    server: JoinHandle<std::io::Result<()>>,
    close_server: watch::Sender<bool>,
    rules: Box<dyn Send>,
}

impl Daemon {
    /// Starts the reader threads and the HTTP server.
    pub(super) fn start(mut parts: Parts) -> anyhow::Result<Self> {
        let health = Health::new();
        let web_config = Arc::new(std::mem::take(&mut parts.web_config));
        let (reload, reload_requests) = mpsc::channel(RELOADS);
        let is_recorded = parts.is_recorded;
        let conditions = (!is_recorded).then(|| conditions(&parts));
        let site = site::create(&parts, conditions.clone(), &web_config, &health, reload);
        let (aggregate, clock) = (parts.route.aggregate(), parts.route.clock());
        let all = std::iter::once((parts.source, parts.route)).chain(parts.further);
        let mut readers = Readers::default();
        for (source, route) in all {
            let name = readers.next_name();
            // A file can be a slow pipe, so its reader has no heartbeat.
            let source: Box<dyn Source> = if is_recorded {
                source
            } else {
                Box::new(HeartbeatSource { source, heartbeat: health.heartbeat(&name) })
            };
            readers.start(source, route, health.latch(&name))?;
        }
        let (close_server, server_closing) = watch::channel(false);
        let server = tokio::spawn(http::serve(parts.listeners, Arc::new(site), server_closing));
        Ok(Self {
            config: parts.config,
            readers,
            is_recorded,
            aggregate,
            clock,
            mirror: parts.mirror,
            outputs: parts.outputs,
            history: parts.history.map(|(_, thread)| thread),
            conditions,
            geoip: parts.geoip,
            networks: parts.networks,
            reloader: parts.reloader,
            reload_requests,
            web_config,
            health,
            service: parts.service,
            server,
            close_server,
            rules: parts.rules,
        })
    }

    /// Serves until `shutdown` completes or a reader fails.
    ///
    /// # Errors
    /// The HTTP server ended.
    pub(super) async fn serve(
        &mut self,
        mut requests: RequestSignals,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let Self { readers, geoip, networks, reloader, aggregate, clock, service, health, .. } =
            self;
        let outputs = self.outputs.as_ref().map(RunningOutputs::outputs);
        let mut shutdown = pin!(shutdown);
        let mut ready = pin!(until_ready(health.clone()));
        let mut is_ready = false;
        let mut watchdog = Watchdog::new(service, health.clone());
        let mut periodic_checks = PeriodicChecks::new(
            geoip.clone(),
            networks.clone(),
            Arc::clone(&self.web_config),
            self.conditions.clone(),
        );
        let mut first_minute = pin!(sleep(FIRST_MINUTE));
        let mut is_first_minute = !self.is_recorded;
        loop {
            let request = tokio::select! {
                () = &mut shutdown => return Ok(()),
                failed = readers.end() => if failed { return Ok(()) } else { continue },
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    service.ready();
                    continue;
                }
                // In this loop, so that it also shows that the loop runs.
                () = watchdog.tick() => continue,
                () = &mut first_minute, if is_first_minute => {
                    is_first_minute = false;
                    warn_without_packets(&self.config, aggregate);
                    continue;
                }
                () = periodic_checks.tick() => continue,
                ended = &mut self.server => return Err(unexpected_end(ended)),
                Some(()) = requests.reopenings.recv() => {
                    outputs.iter().for_each(Outputs::reopen);
                    continue;
                }
                Some(()) = requests.hangups.recv() => None,
                Some(request) = self.reload_requests.recv() => Some(request),
            };
            if request.is_none() {
                service.reloading();
                // As logrotate expects, also if the configuration is invalid.
                outputs.iter().for_each(Outputs::reopen);
            }
            let reload = reloader.reload((geoip, networks), aggregate, clock.now());
            // A file system that hangs must not delay the shutdown.
            let outcome = tokio::select! {
                () = &mut shutdown => return Ok(()),
                outcome = watchdog.during(reload) => outcome,
            };
            match request {
                None => service.ready(),
                // There is no receiver if the client has closed its connection.
                Some(request) => drop(request.send(outcome)),
            }
        }
    }

    /// Removes the firewall rules, reads the remaining packets, writes the last rows, and finishes requests.
    ///
    /// # Errors
    /// The source or the HTTP server failed.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        tracing::info!("shutting down");
        self.service.stopping();
        drop(self.rules);
        let outcome = self.readers.stop(self.config.nflog.queue_timeout + DRAIN).await;
        if let Err(error) = &outcome {
            self.health.fail(format!("{error:#}"));
        }
        let mirror = async {
            if let Some(mirror) = self.mirror {
                mirror.end(LAST_ROWS).await;
            }
        };
        let outputs = async {
            if let Some(outputs) = self.outputs {
                outputs.end(LAST_ROWS).await;
            }
        };
        let history = async {
            if let Some(history) = self.history {
                let end = tokio::task::spawn_blocking(|| history.end());
                if timeout(LAST_ROWS, end).await.is_err() {
                    tracing::warn!(
                        limit = LAST_ROWS.as_secs(),
                        "writing the history timed out: its last counts are lost"
                    );
                }
            }
        };
        tokio::join!(mirror, outputs, history);
        self.close_server.send_replace(true);
        server_outcome(self.server.await)?;
        let received = self.aggregate.lock().received_packets();
        tracing::info!(received, "stopped");
        outcome
    }
}

/// The unusual conditions of live packets.
fn conditions(parts: &Parts) -> Conditions {
    let outputs = parts.outputs.as_ref().map(RunningOutputs::outputs);
    let history = parts.history.as_ref().map(|(history, _)| history.clone());
    let (meters, lines) = (parts.meters.clone(), parts.lines.clone());
    Conditions::new(&parts.route, meters, lines, outputs, history)
}

/// The outcome of the HTTP server's task.
fn server_outcome(ended: Result<std::io::Result<()>, JoinError>) -> anyhow::Result<()> {
    ended.context("the HTTP server panicked")?.context("the HTTP server failed")
}

/// The error for a server that ended before the shutdown.
fn unexpected_end(ended: Result<std::io::Result<()>, JoinError>) -> anyhow::Error {
    server_outcome(ended).err().unwrap_or_else(|| anyhow!("the HTTP server ended unexpectedly"))
}

/// Completes when every part has started.
async fn until_ready(health: Health) {
    while health.ready().is_err() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Warns if no packet was received yet.
fn warn_without_packets(config: &Config, aggregate: &SharedAggregate) {
    if aggregate.lock().received_packets() == 0 {
        if config.kernel_log.has_source() {
            tracing::warn!(
                "received no packet in the first minute: check that a firewall rule logs (iptables: -j LOG; nft: log; \
                 ufw: `ufw logging on`) and that its lines are in the sources of [kernel_log]"
            );
            return;
        }
        tracing::warn!(
            groups = ?config.nflog.groups,
            "received no packet in the first minute: check that a rule logs to one of these groups \
             (nft: log group N; iptables: -j NFLOG --nflog-group N)"
        );
    }
}
