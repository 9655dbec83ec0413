//! The phases of the running exporter: start, serve, stop.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};

use super::{
    Parts, ScrapePage,
    file_check::FileCheck,
    reader::Reader,
    reload::Reloader,
    watchdog::{HeartbeatSource, Watchdog},
};
use crate::{
    cli,
    config::Config,
    geoip::GeoIp,
    http::{self, Limits, Rejections, ReloadRequest, Site, WebConfigWatcher},
    metrics::SharedAggregate,
    mirror::Mirror,
    pipeline::Clock,
    source::Source,
    system::{Health, service_manager::Service},
    web::{LiveData, PageInfo},
};

/// Interval of checks for replaced `GeoIP` files.
const GEOIP_CHECK: Duration = Duration::from_secs(2);

/// Interval of checks for changed files of the web configuration.
const WEB_CONFIG_CHECK: Duration = Duration::from_secs(1);

/// Maximum waiting requests to reload; more are rejected.
const RELOADS: usize = 4;

/// Time after which a packet log without packets causes a warning.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// How long the reader may read packets that the kernel still holds, in addition to the time for which
/// the kernel holds packets back.
const DRAIN: Duration = Duration::from_secs(3);

/// How long the database may take for the last rows; other rows stay in the spool.
const LAST_ROWS: Duration = Duration::from_secs(5);

/// A started exporter.
pub(super) struct Daemon {
    config: Config,
    reader: Reader,
    is_capture: bool,
    aggregate: SharedAggregate,
    clock: Clock,
    mirror: Option<Mirror>,
    geoip: GeoIp,
    reloader: Reloader,
    reload_requests: mpsc::Receiver<ReloadRequest>,
    web_config: Arc<WebConfigWatcher>,
    health: Health,
    service: Service,
    server: JoinHandle<std::io::Result<()>>,
    close_server: watch::Sender<bool>,
    logging: Box<dyn Send>,
}

impl Daemon {
    /// Starts the reader thread and the HTTP server.
    pub(super) fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            config, source, meters, route, mirror, geoip, reloader, service, logging, ..
        } = parts;
        let is_capture = meters.is_empty();
        let health = Health::new();
        let page =
            PageInfo { telemetry_path: config.web.telemetry_path.clone(), version: cli::VERSION };
        let live =
            LiveData::new(&route, meters.clone(), geoip.clone(), health.clone(), page.clone());
        let (rejections, web_config) = (Arc::<Rejections>::default(), Arc::new(parts.guard));
        let scrape = ScrapePage::new(&route, meters, geoip.clone(), reloader.status())
            .confined(parts.confinement)
            .served(Arc::clone(&rejections), Arc::clone(&web_config));
        let (aggregate, clock) = (route.aggregate(), route.clock());
        // A capture may come from a slow pipe: its reader has no heartbeat.
        let source: Box<dyn Source> = if is_capture {
            source
        } else {
            Box::new(HeartbeatSource { source, heartbeat: health.heartbeat("the reader thread") })
        };
        let reader = Reader::start(source, route, &health)?;
        let (reload, reload_requests) = mpsc::channel(RELOADS);
        let site = Site {
            page,
            web_config: Arc::clone(&web_config),
            rejections,
            limits: Limits::default(),
            enable_reload: config.web.enable_reload,
            metrics: Arc::new(scrape),
            live: Arc::new(move |resource, query| live.render(resource, query)),
            health: health.clone(),
            reload,
        };
        let (close_server, server_closing) = watch::channel(false);
        let server = tokio::spawn(http::serve(parts.listeners, Arc::new(site), server_closing));
        Ok(Self {
            config,
            reader,
            is_capture,
            aggregate,
            clock,
            mirror,
            geoip,
            reloader,
            reload_requests,
            web_config,
            health,
            service,
            server,
            close_server,
            logging,
        })
    }

    /// Serves until `shutdown` completes or the reader fails.
    ///
    /// # Errors
    /// The HTTP server ended.
    pub(super) async fn serve(
        &mut self,
        mut hangups: Signal,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let Self { reader, geoip, reloader, aggregate, clock, service, health, .. } = self;
        let mut shutdown = std::pin::pin!(shutdown);
        let mut ready = std::pin::pin!(until_ready(health.clone()));
        let mut is_ready = false;
        let mut watchdog = Watchdog::new(service, health.clone());
        let mut geoip_check = FileCheck::new(GEOIP_CHECK, {
            let geoip = geoip.clone();
            move || geoip.check()
        });
        let mut web_config_check = FileCheck::new(WEB_CONFIG_CHECK, {
            let web_config = Arc::clone(&self.web_config);
            move || web_config.check()
        });
        let mut first_minute = std::pin::pin!(sleep(FIRST_MINUTE));
        let mut is_first_minute = !self.is_capture;
        loop {
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                failed = reader.end() => if failed { return Ok(()) },
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    service.ready();
                }
                // In this loop, so that it also shows that the loop runs.
                () = watchdog.tick() => {}
                () = &mut first_minute, if is_first_minute => {
                    is_first_minute = false;
                    warn_without_packets(&self.config, aggregate);
                }
                // A file system that hangs must not delay the shutdown.
                Some(()) = hangups.recv() => {
                    service.reloading();
                    tokio::select! {
                        // The outcome is in the log and in a metric.
                        _ = watchdog.during(reloader.reload(geoip, aggregate, clock.now())) => {
                            service.ready();
                        }
                        () = &mut shutdown => return Ok(()),
                    }
                }
                Some(request) = self.reload_requests.recv() => tokio::select! {
                    outcome = watchdog.during(reloader.reload(geoip, aggregate, clock.now())) => {
                        // The client may have closed its connection.
                        let _ = request.send(outcome);
                    }
                    () = &mut shutdown => return Ok(()),
                },
                () = geoip_check.tick() => {}
                () = web_config_check.tick() => {}
                ended = &mut self.server => {
                    ended.context("the HTTP server panicked")?.context("the HTTP server failed")?;
                    return Err(anyhow!("the HTTP server ended unexpectedly"));
                }
            }
        }
    }

    /// Removes the firewall rules, reads the remaining packets, and lets rows and requests finish.
    ///
    /// # Errors
    /// The source or the HTTP server failed.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        tracing::info!("shutting down");
        self.service.stopping();
        drop(self.logging);
        let outcome = self.reader.stop(self.config.nflog.queue_timeout + DRAIN).await;
        if let Err(error) = &outcome {
            self.health.fail(format!("{error:#}"));
        }
        if let Some(mirror) = self.mirror {
            mirror.end(LAST_ROWS).await;
        }
        self.close_server.send_replace(true);
        self.server.await.context("the HTTP server panicked")?.context("the HTTP server failed")?;
        let received = self.aggregate.lock().received_packets();
        tracing::info!(received, "stopped");
        outcome
    }
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
        tracing::warn!(
            groups = ?config.nflog.groups,
            "received no packet in the first minute: check that a rule logs to one of these groups \
             (nft: log group N; iptables: -j NFLOG --nflog-group N)"
        );
    }
}
