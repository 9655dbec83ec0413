//! `run`: the exporter on the kernel's packet log.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context;

use super::{announce, block_on, bound, check, listen, sandbox::confine, unpredictable};
use crate::{
    config::{Config, Flags},
    daemon::{self, Parts, Reloader},
    firewall::{self, InstallPlan, Installed},
    geoip::GeoIp,
    http::WebConfigWatcher,
    metrics::{Aggregate, SharedAggregate},
    mirror::{Mirror, config::ResolvedConfig},
    pipeline::{Clock, Route},
    source::nflog::Nflog,
    system::logging,
    system::privileges::Confinement,
    system::service_manager::Service,
};

/// The log prefix of our own rules.
const INSTALLED_PREFIX: &str = "inbound";

/// Runs until told to stop.
pub(super) fn run(flags: Flags, config: Config) -> anyhow::Result<()> {
    let level = logging::start(config.log.level, config.log.format);
    if let Some(warning) = check::empty(&flags) {
        tracing::warn!("{warning}");
    }
    let holds = Holds::take(&config)?;
    // Before any other thread is there, and before the first packet is looked at.
    let target = holds.mirror.as_ref().map(|resolved| &resolved.target);
    let confined = confine(&flags, &config, &holds.guard, target)?;
    confined.tell();
    block_on(|signals| async {
        let reloader = Reloader::new(flags, config.clone(), Some(level));
        let parts = join(config, reloader, holds, confined.confinement)?;
        daemon::run(parts, signals.split()).await.context("the packet log failed")
    })
}

/// The parts that need privileges to open. Dropping them leaves nothing on the host.
struct Holds {
    service: Service,
    listeners: Vec<TcpListener>,
    guard: WebConfigWatcher,
    addresses: Vec<SocketAddr>,
    mirror: Option<ResolvedConfig>,
    nflog: Nflog,
    rules: Option<Installed>,
}

impl Holds {
    fn take(config: &Config) -> anyhow::Result<Self> {
        let service = Service::from_environment();
        // Its files may be for root alone.
        let guard = WebConfigWatcher::open(&config.web.config_file)?;
        let listeners = listen(&config.web)?;
        let addresses = bound(&listeners)?;
        let mirror = config.resolve_mirror()?;
        let nflog = Nflog::open(&config.nflog.plan())?;
        let plan = install_plan(config, &addresses);
        let rules = config.rules.install.then(|| firewall::install(&plan)).transpose()?;
        Ok(Self { service, listeners, guard, addresses, mirror, nflog, rules })
    }
}

/// Joins the parts of a run.
fn join(
    config: Config,
    reloader: Reloader,
    holds: Holds,
    confinement: Confinement,
) -> anyhow::Result<Parts> {
    let Holds { service, listeners, guard, addresses, mirror, nflog, rules } = holds;
    let geoip = GeoIp::open(&config.geoip.databases)?;
    let mut route = Route::new(
        geoip.locator(),
        SharedAggregate::new(Aggregate::new(
            &config.families(),
            &config.nflog.groups,
            unpredictable(),
            Duration::ZERO,
        )),
        Clock::running(),
    );
    say_what_runs(&config, &geoip);
    let mirror = mirror.map(|resolved| start_mirror(resolved, &mut route, &geoip)).transpose()?;
    announce(&config, &guard, &addresses);
    Ok(Parts {
        meters: nflog.meters(),
        source: Box::new(nflog),
        route,
        mirror,
        geoip,
        listeners,
        guard,
        service,
        reloader,
        confinement: Some(confinement),
        logging: Box::new(rules),
        config,
    })
}

fn start_mirror(
    resolved: ResolvedConfig,
    route: &mut Route,
    geoip: &GeoIp,
) -> anyhow::Result<Mirror> {
    let (database, spool) = (resolved.target.to_string(), resolved.config.spool.directory.clone());
    let mirror = Mirror::start(resolved, &route.current_names(), geoip)?;
    route.mirror_to(mirror.queue());
    tracing::info!(database, spool = %spool.display(), "mirroring each packet as a row");
    Ok(mirror)
}

fn install_plan(config: &Config, addresses: &[SocketAddr]) -> InstallPlan {
    InstallPlan {
        group: config.nflog.groups[0],
        prefix: INSTALLED_PREFIX.into(),
        interfaces: config.rules.interfaces.clone(),
        spare_tcp_ports: addresses
            .iter()
            .map(SocketAddr::port)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        copy_range: config.nflog.copy_range,
        // A rule can say no more than this; the group's own threshold still holds.
        queue_threshold: u16::try_from(config.nflog.queue_threshold).unwrap_or(u16::MAX),
    }
}

/// Says in a few lines what runs.
fn say_what_runs(config: &Config, geoip: &GeoIp) {
    let version = crate::cli::VERSION;
    tracing::info!(version, groups = ?config.nflog.groups, "reading the packet log");
    for database in geoip.status() {
        database.log("GeoIP database");
    }
    if config.rules.install {
        tracing::info!(
            table = "inet nflog_exporter",
            group = config.nflog.groups[0],
            prefix = INSTALLED_PREFIX,
            "installed our own nftables table; it goes when this process ends"
        );
    } else if !config.rules.interfaces.is_empty() {
        tracing::warn!("rules.interfaces has no effect, because rules.install is off");
    }
}
