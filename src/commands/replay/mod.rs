//! `replay`: counts the packets of captures and logs.

pub(super) mod recordings;
mod warnings;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;

use self::{recordings::Recordings, warnings::log_warnings};
use super::{listeners, print, runtime::block_on, sandbox::confine};
use crate::{
    cli::Replay,
    config::{Config, Flags},
    daemon::{self, Parts, Reloader, ScrapePage},
    exposition::Format,
    geoip::GeoIp,
    history::HistoryConfig,
    http::WebConfigWatcher,
    metrics::{Aggregate, SharedAggregate},
    networks::Networks,
    output::OutputConfigs,
    pipeline::{self, Clock, Route},
    source::kernel_log::KernelLogConfig,
    system::{logging, service_manager::Service, signals::Signals},
};

/// The seed of the hash functions. It is fixed, so that two replays of a file have the same estimates of distinct
/// sources.
const SEED: u64 = 0;

/// Counts the packets of the files; prints the metrics, or serves them until a signal ends the program.
pub(super) fn replay(replay: &Replay, flags: Flags, config: Config) -> anyhow::Result<()> {
    let level = logging::start(config.log.level, config.log.format);
    let geoip = GeoIp::open_configured(&config.geoip)?;
    let networks = Networks::open(&config.networks, &config.list)?;
    let files = Recordings::open("replay", &replay.files, &replay.prefix);
    let (web_config, listeners) = if replay.serve {
        (WebConfigWatcher::open(&config.web.config_file)?, listeners::open(&config.web, 0)?)
    } else {
        (WebConfigWatcher::default(), Vec::new())
    };
    // Files can come from anyone, and root often replays them.
    // The sources and outputs of the configuration stay closed: no directory or file is created for them.
    let without_sources = Config {
        kernel_log: KernelLogConfig::default(),
        output: OutputConfigs::default(),
        history: HistoryConfig::default(),
        ..config.clone()
    };
    let confined = confine(&flags, &without_sources, &web_config, None)?;
    let clock = Clock::packets();
    let aggregate = Aggregate::new(&config.family, &[], SEED, clock.now());
    let mut route = Route::new(geoip.locator(), SharedAggregate::new(aggregate), clock);
    route.look_up(networks.lookup());
    let serve = replay.serve;
    let (failures, lines) = (files.failures.clone(), Some(files.meter()));
    let reloader = Reloader::new(flags, config.clone(), Some(level));
    block_on(|signals| async move {
        if !serve {
            return report(files, route, (geoip, networks), &reloader, signals).await;
        }
        confined.log();
        listeners::log_urls(&config, &web_config, &listeners::addresses(&listeners)?);
        let parts = Parts {
            config,
            source: Box::new(files),
            meters: Vec::new(),
            lines,
            positions: None,
            is_recorded: true,
            // The packets are not from this host's log, so they are neither mirrored nor written.
            mirror: None,
            outputs: None,
            history: None,
            route,
            further: Vec::new(),
            geoip,
            networks,
            listeners,
            web_config,
            reloader,
            confinement: Some(confined.confinement),
            service: Service::from_environment(),
            rules: Box::new(()),
        };
        daemon::run(parts, signals.split()).await?;
        failures.result()
    })
}

/// Reads until the end of the files or a signal. Returns whether a signal came first.
pub(super) async fn read_until_signal(
    mut files: Recordings,
    mut route: Route,
    signals: Signals,
) -> anyhow::Result<bool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let mut reading =
        tokio::task::spawn_blocking(move || pipeline::read(&mut files, &mut route, &stopping));
    let (_, termination) = signals.split();
    let read = tokio::select! {
        read = &mut reading => read,
        () = termination => {
            stop.store(true, Ordering::Relaxed);
            reading.await
        }
    };
    read.context("the reader thread panicked")??;
    Ok(stop.load(Ordering::Relaxed))
}

/// Counts until the end or a signal, and prints the metrics. Prints nothing if no file has packets.
async fn report(
    files: Recordings,
    route: Route,
    (geoip, networks): (GeoIp, Networks),
    reloader: &Reloader,
    signals: Signals,
) -> anyhow::Result<()> {
    let (aggregate, clock) = (route.aggregate(), route.clock());
    aggregate.lock().show_at_once();
    let page = ScrapePage::new(&route, Vec::new(), geoip, networks, reloader.status())
        .with_lines(Some(files.meter()));
    let failures = files.failures.clone();
    read_until_signal(files, route, signals).await?;
    // The counts of readable files are printed even if other files failed.
    print(&page.text(Format::Plain).body)?;
    let snapshot = aggregate.lock().snapshot(clock.now());
    log_warnings(&snapshot);
    failures.result()
}
