//! The running exporter: its parts joined, reloads, and an orderly end. Everything is injected.

mod file_check;
mod reload;
mod scrape;
mod watchdog;

use std::{
    future::Future,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

pub use reload::{ReloadStatus, Reloader, SharedStatus};
pub use scrape::ScrapePage;

use self::{
    file_check::FileCheck,
    watchdog::{HeartbeatSource, Watchdog},
};
use crate::{
    cli,
    config::Config,
    geoip::GeoIp,
    http::{self, Limits, Rejections, ReloadRequest, Site, WebConfigWatcher},
    mirror::Mirror,
    pipeline::{self, Route, SharedAggregate},
    source::{Source, nflog::GroupMeter},
    system::privileges::Confinement,
    system::{Health, service_manager::Service},
    web::{LiveData, PageInfo},
};

/// Interval of checks whether `GeoIP` files were replaced.
const GEOIP_CHECK: Duration = Duration::from_secs(2);

/// Interval of checks whether the files of the web configuration have changed.
const WEB_CONFIG_CHECK: Duration = Duration::from_secs(1);

/// Requests to reload that may wait; more are refused.
const RELOADS: usize = 4;

/// When a packet log without packets is worth a word.
const FIRST_MINUTE: Duration = Duration::from_secs(60);

/// How long the reader may take to read what the kernel still holds, on top of the time for which
/// the kernel holds packets back.
const DRAIN: Duration = Duration::from_secs(3);

/// How long the database may take for the last rows; what it does not take stays in the spool.
const LAST_ROWS: Duration = Duration::from_secs(5);

/// What a running exporter is made of.
pub struct Parts {
    /// The configuration the parts were made by.
    pub config: Config,
    /// Where packets come from, bound already.
    pub source: Box<dyn Source>,
    /// The meters of its groups; none for captures.
    pub meters: Vec<Arc<GroupMeter>>,
    /// The route from the source's records to the aggregate.
    pub route: Route,
    /// Where each packet becomes a row, if anywhere; the route offers to it.
    pub mirror: Option<Mirror>,
    /// The databases.
    pub geoip: GeoIp,
    /// Where to serve, bound already.
    pub listeners: Vec<TcpListener>,
    /// Who may ask there.
    pub guard: WebConfigWatcher,
    /// Loads the configuration anew.
    pub reloader: Reloader,
    /// What the program is held by; none where nobody asked for it.
    pub confinement: Option<Confinement>,
    /// Who is told how the program is.
    pub service: Service,
    /// Dropped when packets should stop coming, before what is left is read: the firewall rules.
    pub logging: Box<dyn Send>,
}

/// Runs until `shutdown` completes or the source fails; then reads what the kernel still holds and
/// lets requests finish. A source that ends by itself is served on. Each of the `hangups` reloads.
///
/// # Errors
/// A source that fails at run time.
#[allow(clippy::too_many_lines, reason = "a life, told from its beginning to its end")]
pub async fn run(
    parts: Parts,
    (mut hangups, shutdown): (Signal, impl Future<Output = ()>),
) -> anyhow::Result<()> {
    let Parts {
        config,
        source,
        meters,
        route,
        mirror,
        geoip,
        listeners,
        guard,
        mut reloader,
        confinement,
        service,
        logging,
    } = parts;
    let is_capture = meters.is_empty();
    let health = Health::new();
    let info =
        PageInfo { telemetry_path: config.web.telemetry_path.clone(), version: cli::VERSION };
    let live = LiveData::new(&route, meters.clone(), geoip.clone(), health.clone(), info.clone());
    let (rejections, web_config) = (Arc::<Rejections>::default(), Arc::new(guard));
    let page = ScrapePage::new(&route, meters, geoip.clone(), reloader.status())
        .confined(confinement)
        .served(rejections.clone(), web_config.clone());
    let (aggregate, clock) = (route.aggregate(), route.clock());

    let stop = Arc::new(AtomicBool::new(false));
    // A capture may come from a pipe that is in no hurry.
    let source: Box<dyn Source> = if is_capture {
        source
    } else {
        Box::new(HeartbeatSource { source, pulse: health.pulse("the reader thread") })
    };
    let mut reader = start_reader(source, route, Arc::clone(&stop), &health)?;
    let (reload, mut reload_requests) = mpsc::channel::<ReloadRequest>(RELOADS);
    let site = Site {
        page: info,
        web_config: web_config.clone(),
        rejections,
        limits: Limits::default(),
        enable_reload: config.web.enable_reload,
        metrics: Arc::new(page),
        live: Arc::new(move |resource, query| live.render(resource, query)),
        health: health.clone(),
        reload,
    };
    let (close_server, server_closing) = watch::channel(false);
    let mut server = tokio::spawn(http::serve(listeners, Arc::new(site), server_closing));

    let mut ready = std::pin::pin!(until_ready(health.clone()));
    let mut told = false;
    let mut heart = Watchdog::new(&service, health.clone());
    let mut geoip_check = FileCheck::new(GEOIP_CHECK, {
        let geoip = geoip.clone();
        move || geoip.check()
    });
    let mut web_config_check = FileCheck::new(WEB_CONFIG_CHECK, move || web_config.check());
    let mut shutdown = std::pin::pin!(shutdown);
    let mut first_minute = std::pin::pin!(sleep(FIRST_MINUTE));
    let mut looked = is_capture;
    let mut outcome = None;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            ended = &mut reader, if outcome.is_none() => {
                let failed = ended.is_err();
                outcome = Some(ended);
                if failed { break }
            }
            () = &mut ready, if !told => {
                told = true;
                service.ready();
            }
            // From here, so that it tells that this loop goes on; and only while all parts do.
            () = heart.beat() => {}
            () = &mut first_minute, if !looked => {
                looked = true;
                warn_of_silence(&config, &aggregate);
            }
            // A file system that hangs must not keep the program from ending.
            Some(()) = hangups.recv() => {
                service.reloading();
                tokio::select! {
                    // The log and the metric tell; nobody waits for an answer.
                    _ = heart.during(reloader.reload(&geoip, &aggregate, clock.now())) => {
                        service.ready();
                    }
                    () = &mut shutdown => break,
                }
            }
            Some(request) = reload_requests.recv() => tokio::select! {
                // Whoever asked may be gone.
                outcome = heart.during(reloader.reload(&geoip, &aggregate, clock.now())) => {
                    let _ = request.send(outcome);
                }
                () = &mut shutdown => break,
            },
            () = geoip_check.tick() => {}
            () = web_config_check.tick() => {}
            ended = &mut server => {
                ended.context("the HTTP server panicked")?.context("the HTTP server failed")?;
                return Err(anyhow!("the HTTP server ended by itself"));
            }
        }
    }

    tracing::info!("shutting down");
    service.stopping();
    drop(logging);
    stop.store(true, Ordering::Relaxed);
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => timeout(config.nflog.queue_timeout + DRAIN, reader).await.unwrap_or(Ok(())),
    };
    if let Err(error) = &outcome {
        health.fail(format!("{error:#}"));
    }
    if let Some(mirror) = mirror {
        mirror.end(LAST_ROWS).await;
    }
    close_server.send_replace(true);
    server.await.context("the HTTP server panicked")?.context("the HTTP server failed")?;
    let received = aggregate.lock().received_packets();
    tracing::info!(received, "stopped");
    outcome
}

/// Completes when no part is waited for any more.
async fn until_ready(health: Health) {
    while health.ready().is_err() {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Tells an operator whose packet log has no packets.
fn warn_of_silence(config: &Config, aggregate: &SharedAggregate) {
    if aggregate.lock().received_packets() == 0 {
        tracing::warn!(
            groups = ?config.nflog.groups,
            "no packet came in the first minute: does a rule log to one of these groups? \
             (nft: log group N; iptables: -j NFLOG --nflog-group N)"
        );
    }
}

/// Starts the one thread that reads packets. The future completes when it ends.
fn start_reader(
    mut source: Box<dyn Source>,
    mut route: Route,
    stop: Arc<AtomicBool>,
    health: &Health,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Unpin> {
    let starting = health.latch("the reader thread");
    let (end, ended) = oneshot::channel();
    thread::Builder::new()
        .name("reader".into())
        .spawn(move || {
            starting.release();
            // Nobody listens only when the exporter gave up waiting.
            let _ = end.send(pipeline::read(&mut *source, &mut route, &stop));
        })
        .context("start the reader thread")?;
    Ok(Box::pin(async {
        ended.await.unwrap_or_else(|_| Err(anyhow!("the reader thread panicked")))
    }))
}
