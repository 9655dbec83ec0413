//! `run`: the exporter on the kernel's packet log.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context as _;

use super::{check, listeners, runtime::block_on, sandbox::confine};
use crate::{
    config::{Config, Flags},
    daemon::{self, Parts, Reloader},
    firewall::{self, InstallPlan, Installed},
    geoip::GeoIp,
    http::WebConfigWatcher,
    metrics::{Aggregate, SharedAggregate},
    mirror::{Mirror, config::ResolvedConfig},
    networks::{LocationLookup, Networks},
    pipeline::{Clock, Route},
    source::nflog::Nflog,
    system::{logging, privileges::Confinement, random, service_manager::Service},
};

/// The log prefix of our own rules.
const INSTALLED_PREFIX: &str = "inbound";

/// Runs until a signal or a failure ends the program.
pub(super) fn run(flags: Flags, config: Config) -> anyhow::Result<()> {
    let level = logging::start(config.log.level, config.log.format);
    if let Some(warning) = check::empty(&flags) {
        tracing::warn!("{warning}");
    }
    let resources = PrivilegedResources::open(&config)?;
    // Before other threads start, because privileges belong to a thread, and before the first packet is parsed.
    let target = resources.mirror.as_ref().map(|resolved| &resolved.target);
    let confined = confine(&flags, &config, &resources.web_config, target)?;
    confined.log();
    block_on(|signals| async {
        let reloader = Reloader::new(flags, config.clone(), Some(level));
        let parts = assemble(config, reloader, resources, confined.confinement)?;
        daemon::run(parts, signals.split()).await.context("the packet log failed")
    })
}

/// The parts that need privileges to open. Dropping it removes them from the host.
struct PrivilegedResources {
    service: Service,
    listeners: Vec<TcpListener>,
    web_config: WebConfigWatcher,
    addresses: Vec<SocketAddr>,
    mirror: Option<ResolvedConfig>,
    nflog: Nflog,
    rules: Option<Installed>,
}

impl PrivilegedResources {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let service = Service::from_environment();
        // Its files may be readable only by root.
        let web_config = WebConfigWatcher::open(&config.web.config_file)?;
        let listeners = listeners::open(&config.web)?;
        let addresses = listeners::addresses(&listeners)?;
        let mirror = config.resolve_mirror()?;
        let nflog = Nflog::open(&config.nflog)?;
        let plan = install_plan(config, &addresses);
        let rules = config.rules.install.then(|| firewall::install(&plan)).transpose()?;
        Ok(Self { service, listeners, web_config, addresses, mirror, nflog, rules })
    }
}

/// Assembles the parts of the exporter.
fn assemble(
    config: Config,
    reloader: Reloader,
    resources: PrivilegedResources,
    confinement: Confinement,
) -> anyhow::Result<Parts> {
    let PrivilegedResources { service, listeners, web_config, addresses, mirror, nflog, rules } =
        resources;
    let geoip = GeoIp::open(&config.geoip.databases)?;
    let networks = Networks::open(&config.networks, &config.list)?;
    let mut route = Route::new(
        geoip.locator(),
        SharedAggregate::new(Aggregate::new(
            &config.family,
            &config.nflog.groups,
            random::number(),
            Duration::ZERO,
        )),
        Clock::running(),
    );
    route.look_up(networks.lookup());
    log_start(&config, &geoip);
    let mirror = mirror
        .map(|resolved| start_mirror(resolved, &mut route, networks.locations(geoip.city_lookup())))
        .transpose()?;
    listeners::log_urls(&config, &web_config, &addresses);
    Ok(Parts {
        meters: nflog.meters(),
        source: Box::new(nflog),
        route,
        mirror,
        geoip,
        networks,
        listeners,
        web_config,
        service,
        reloader,
        confinement: Some(confinement),
        rules: Box::new(rules),
        config,
    })
}

fn start_mirror(
    resolved: ResolvedConfig,
    route: &mut Route,
    locations: LocationLookup,
) -> anyhow::Result<Mirror> {
    let (database, spool) = (resolved.target.to_string(), resolved.config.spool.directory.clone());
    let mirror = Mirror::start(resolved, &route.current_names(), locations)?;
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
        // The maximum of a rule. The group's own threshold still applies.
        queue_threshold: u16::try_from(config.nflog.queue_threshold).unwrap_or(u16::MAX),
    }
}

/// Logs the groups, the databases and the installed rules.
fn log_start(config: &Config, geoip: &GeoIp) {
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
            "installed an nftables table; the kernel removes it when this process ends"
        );
    } else if !config.rules.interfaces.is_empty() {
        tracing::warn!("rules.interfaces has no effect: rules.install is off");
    }
}
