//! `run`: the exporter on the kernel's packet log.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;

use super::{check, listeners, runtime::block_on, sandbox::confine, warnings::warnings};
use crate::{
    config::{Config, Flags},
    daemon::{self, Parts, Reloader},
    firewall::{self, InstallPlan, Installed},
    geoip::GeoIp,
    history::SharedHistory,
    http::WebConfigWatcher,
    metrics::{Aggregate, SharedAggregate},
    mirror::{Mirror, QueueObserver, RowMark, config::ResolvedConfig},
    networks::{LocationLookup, Networks},
    output::{OutputResources, RunningOutputs},
    pipeline::{Clock, Route},
    sort::sort_by_key,
    source::{
        LiveSource, Source,
        kernel_log::{KernelLog, KernelLogResources, LINES_GROUP, Positions, SpoolMark},
        nflog::{GroupMeter, Nflog},
    },
    system::{
        logging, privileges::Confinement, random, service_manager::Service, signals::RequestSignals,
    },
};

/// The log prefix of our own rules.
const INSTALLED_PREFIX: &str = "inbound";

/// Runs until a signal or a failure ends the program. SIGTERM and SIGINT end it at once before the runtime is started: nothing
/// is to be saved then, and the kernel removes the table of our own rules with the process.
pub(super) fn run(flags: Flags, config: Config, requests: RequestSignals) -> anyhow::Result<()> {
    let level = logging::start(config.log.level, config.log.format);
    if let Some(warning) = check::empty(&flags) {
        tracing::warn!("{warning}");
    }
    let resources = PrivilegedResources::open(&config)?;
    // Before other threads start, because privileges belong to a thread, and before the first packet is parsed.
    let servers = resources.mirror.as_ref().map(|resolved| &resolved.servers);
    let confined = confine(&flags, &config, &resources.web_config, servers)?;
    confined.log();
    block_on(|signals| async {
        let reloader = Reloader::new(flags, config.clone(), Some(level));
        let parts = assemble(config, reloader, resources, confined.confinement)?;
        let (_, termination) = signals.split();
        daemon::run(parts, (requests, termination)).await.context("the packet log failed")
    })
}

/// The parts that need privileges to open. Dropping it removes them from the host.
struct PrivilegedResources {
    service: Service,
    listeners: Vec<TcpListener>,
    web_config: WebConfigWatcher,
    addresses: Vec<SocketAddr>,
    mirror: Option<ResolvedConfig>,
    outputs: OutputResources,
    /// One source for each reading thread.
    nflog: Vec<Nflog>,
    kernel_log: Option<KernelLogResources>,
    rules: Option<Installed>,
}

impl PrivilegedResources {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let service = Service::from_environment();
        // Its files may be readable only by root.
        let web_config = WebConfigWatcher::open(&config.web.config_file)?;
        let listeners = listeners::open(&config.web, config.kernel_log.max_descriptors())?;
        let addresses = listeners::addresses(&listeners)?;
        let mirror = config.resolve_mirror()?;
        let outputs = config.open_outputs()?;
        let nflog = if config.nflog.groups.is_empty() {
            Vec::new()
        } else {
            Nflog::open_for_threads(&config.nflog, processors())?
        };
        let log = &config.kernel_log;
        let kernel_log = log.has_source().then(|| KernelLogResources::open(log)).transpose()?;
        let rules = match install_plan(config, &addresses) {
            Some(plan) if config.rules.install => Some(firewall::install(&plan)?),
            _ => None,
        };
        Ok(Self {
            service,
            listeners,
            web_config,
            addresses,
            mirror,
            outputs,
            nflog,
            kernel_log,
            rules,
        })
    }
}

/// Number of processors that this process may use.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Assembles the parts of the exporter.
fn assemble(
    config: Config,
    reloader: Reloader,
    resources: PrivilegedResources,
    confinement: Confinement,
) -> anyhow::Result<Parts> {
    let PrivilegedResources {
        service,
        listeners,
        web_config,
        addresses,
        mirror,
        outputs,
        nflog,
        kernel_log,
        rules,
    } = resources;
    let geoip = GeoIp::open_configured(&config.geoip)?;
    for warning in warnings(&config, &geoip.status()) {
        tracing::warn!("{warning}");
    }
    let networks = Networks::open(&config.networks, &config.list)?;
    let mut groups = config.nflog.groups.clone();
    if kernel_log.is_some() && !groups.contains(&LINES_GROUP) {
        groups.push(LINES_GROUP);
    }
    let mut route = Route::new(
        geoip.locator(),
        SharedAggregate::new(Aggregate::new(
            &config.family,
            &groups,
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
    let locations = || networks.locations(geoip.city_lookup());
    let outputs = RunningOutputs::start(outputs, &route.current_names(), &locations)?;
    if let Some(outputs) = &outputs {
        route.output_to(outputs.outputs());
    }
    listeners::log_urls(&config, &web_config, &addresses);
    let has_spooled = |SpoolMark { writer, end }| {
        mirror.as_ref().is_some_and(|mirror| mirror.has_spooled(RowMark { writer, end }))
    };
    let history = SharedHistory::start(&route, config.history.directory().as_deref())
        .context("cannot start the thread of the history")?;
    let kernel_log = kernel_log
        .map(|resources| KernelLog::start(&config.kernel_log, resources, &has_spooled))
        .transpose()
        .context("cannot start reading the kernel log")?;
    if let Some(positions) = kernel_log.as_ref().and_then(KernelLog::positions)
        && let Some(mirror) = &mirror
    {
        mirror.queue().observe(SavePositions(positions));
    }
    let meters = meters(&config, &nflog);
    let mut nflog = nflog.into_iter();
    let first = nflog.next();
    let further = nflog.map(|nflog| {
        let source: Box<dyn Source> = Box::new(LiveSource::new(Some(nflog), None));
        (source, route.another(geoip.locator(), networks.lookup()))
    });
    Ok(Parts {
        meters,
        further: further.collect(),
        lines: kernel_log.as_ref().map(KernelLog::meter),
        positions: kernel_log.as_ref().and_then(KernelLog::positions),
        is_recorded: false,
        source: Box::new(LiveSource::new(first, kernel_log)),
        route,
        mirror,
        outputs,
        history: Some(history),
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

/// The meters of all groups, in the order of the configuration.
fn meters(config: &Config, nflog: &[Nflog]) -> Vec<Arc<GroupMeter>> {
    let mut meters: Vec<_> = nflog.iter().flat_map(Nflog::meters).collect();
    sort_by_key(&mut meters, |meter| {
        config.nflog.groups.iter().position(|group| *group == meter.group)
    });
    meters
}

/// Saves the positions in followed files as their packets reach the spool.
struct SavePositions(Arc<Positions>);

impl QueueObserver for SavePositions {
    fn offered(&self, accepted: u64) {
        self.0.offered(accepted);
    }

    fn appending(&self, events: u64, RowMark { writer, end }: RowMark) {
        self.0.appending(events, SpoolMark { writer, end });
    }

    fn processed(&self, events: u64) {
        self.0.spooled(events);
    }
}

fn start_mirror(
    resolved: ResolvedConfig,
    route: &mut Route,
    locations: LocationLookup,
) -> anyhow::Result<Mirror> {
    let (database, spool) = (resolved.servers.to_string(), resolved.config.spool.directory.clone());
    let mirror = Mirror::start(resolved, &route.current_names(), locations)?;
    route.mirror_to(mirror.queue());
    tracing::info!(database, spool = %spool.display(), "mirroring each packet as a row");
    Ok(mirror)
}

/// The rules to install; `None` without a group.
fn install_plan(config: &Config, addresses: &[SocketAddr]) -> Option<InstallPlan> {
    Some(InstallPlan {
        group: *config.nflog.groups.first()?,
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
    })
}

/// Logs the sources, the databases and the installed rules.
fn log_start(config: &Config, geoip: &GeoIp) {
    let version = crate::cli::VERSION;
    let log = &config.kernel_log;
    let syslog: Vec<_> = log.syslog.iter().map(ToString::to_string).collect();
    tracing::info!(
        version,
        groups = ?config.nflog.groups,
        kmsg = log.kmsg,
        log_files = ?log.files,
        ?syslog,
        "reading the packet log"
    );
    for database in geoip.status() {
        database.log("GeoIP database");
    }
    if config.rules.install {
        tracing::info!(
            table = "inet nflog_exporter",
            group = config.nflog.groups.first(),
            prefix = INSTALLED_PREFIX,
            "installed an nftables table; the kernel removes it when this process ends"
        );
    } else if !config.rules.interfaces.is_empty() {
        tracing::warn!("rules.interfaces has no effect: rules.install is off");
    }
}
