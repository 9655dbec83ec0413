//! What each sub-command does, put together from the parts.

mod check;
mod hide_password;
mod man;
mod migrate;
mod replay;
mod replay_summary;
mod rules;
mod run;
mod sandbox;

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, anyhow};
use listenfd::ListenFd;
use rustix::{
    net::sockopt::socket_acceptconn,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{Cli, Command, ConfigCommand},
    config::{Config, ConfigError, ConfigErrors, ListenAddress, Web},
    doctor::{self, Finding, Status},
    geoip::GeoIpError,
    http::{WebConfigError, WebConfigWatcher},
    mirror::schema::ddl,
    system::{allocator, logging, privileges::PrivilegesError},
};

/// Exit code of a wrong usage or configuration; clap uses the same.
const USAGE: u8 = 2;

/// Exit code of everything else that fails.
const FAILURE: u8 = 1;

/// How long a service waits for its last log lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Does what the command line asks for.
///
/// # Errors
/// Whatever keeps it from doing so; [`exit_code`] tells the kinds apart.
pub fn execute(cli: &Cli) -> anyhow::Result<()> {
    match cli.chosen() {
        Command::Run => {
            hide_password::hide_password(&cli.flags)?;
            run::run(cli.flags.clone(), check::load(&cli.flags)?)
        }
        Command::Replay(replay) => {
            replay::replay(&replay, cli.flags.clone(), check::load(&cli.flags)?)
        }
        Command::Completions { shell } => print(&man::completions(shell)),
        Command::Man => print(&man::manual().context("cannot write the manual page")?),
        Command::Doctor { json, wait } => {
            hide_password::hide_password(&cli.flags)?;
            diagnose(&doctor::examine(&cli.flags, wait), json)
        }
        Command::Rules(rules) => rules::rules(&rules, &cli.flags),
        Command::Migrate(migrate) => migrate::migrate(&migrate),
        Command::Schema(schema) => print(ddl(schema.database)),
        Command::Config(ConfigCommand::Check) => print(&check::report(&cli.flags)?),
        Command::Config(ConfigCommand::Show) => print(&check::load(&cli.flags)?.to_toml()?),
    }
}

/// What the program says of an error, line by line; those of a wrong configuration begin with the file.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    if error.is::<ConfigErrors>() {
        return error.to_string();
    }
    let text = format!("{error:#}");
    text.lines().map(|line| format!("nflog_exporter: {line}")).collect::<Vec<_>>().join("\n")
}

/// How long the last lines of the log may wait for whoever reads standard error, at the end of the process.
///
/// A service ends in time whether its log is read or not. Other commands write to a person or a
/// pager, who may take their time.
#[must_use]
pub fn log_limit(cli: &Cli) -> Option<Duration> {
    match cli.chosen() {
        Command::Run => Some(LAST_LINES),
        Command::Replay(replay) => replay.serve.then_some(LAST_LINES),
        _ => None,
    }
}

/// The process's exit code for an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let asked_for_nobody = matches!(
        error.downcast_ref(),
        Some(PrivilegesError::Unknown { .. } | PrivilegesError::NotRoot { .. })
    );
    let is_wrong = error.is::<ConfigErrors>()
        || error.is::<ConfigError>()
        || error.is::<GeoIpError>()
        || error.is::<WebConfigError>()
        || asked_for_nobody;
    if is_wrong { USAGE } else { FAILURE }
}

/// Writes to standard output. That nobody reads on is no error: `| head` is a fine thing to do.
fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Most connections that wait to be accepted; the kernel may hold fewer (`net.core.somaxconn`), and
/// drops the attempts of all others.
const BACKLOG: i32 = 1024;

/// Descriptors for all connections and everything else; the usual soft limit.
const DESCRIPTORS: u64 = 1024;

/// The listening sockets: of every address of the configuration, or of systemd.
fn listen(web: &Web) -> anyhow::Result<Vec<TcpListener>> {
    allow_descriptors();
    let listeners = if web.systemd_socket { inherited()? } else { bind(&web.listen_addresses)? };
    for listener in &listeners {
        rustix::net::listen(listener, BACKLOG).context("cannot listen on a socket")?;
    }
    Ok(listeners)
}

/// Raises the limit on descriptors to the required number, or as far as possible: then the server accepts fewer
/// connections.
fn allow_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(now) = current.filter(|now| *now < DESCRIPTORS) {
        let wanted = maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if raised.is_err() || wanted < DESCRIPTORS {
            tracing::warn!(
                descriptors = if raised.is_ok() { wanted } else { now },
                needed = DESCRIPTORS,
                "low file-descriptor limit: fewer connections; raise LimitNOFILE= or `ulimit -n`"
            );
        }
    }
}

/// The sockets that systemd has opened for us: `sd_listen_fds(3)`.
fn inherited() -> anyhow::Result<Vec<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    let found = (0..sockets.len()).filter_map(|index| sockets.take_tcp_listener(index).transpose());
    let found: Vec<_> = found.collect::<Result<_, _>>().context(
        "--web.systemd-socket: a socket that was passed is not a TCP socket; give the socket unit \
         ListenStream= with a port",
    )?;
    if found.is_empty() {
        return Err(anyhow!(
            "--web.systemd-socket: no socket was passed; start the socket unit, not this program"
        ));
    }
    for socket in &found {
        // SO_ACCEPTCONN, socket(7).
        if !socket_acceptconn(socket).context("cannot check whether a socket listens")? {
            return Err(anyhow!(
                "--web.systemd-socket: a socket that was passed does not listen, but is one \
                 connection; give the socket unit Accept=no"
            ));
        }
    }
    Ok(found)
}

/// Binds every address.
fn bind(addresses: &[ListenAddress]) -> anyhow::Result<Vec<TcpListener>> {
    let bind_one = |address: &ListenAddress| {
        if address.host.is_empty() {
            // Both IP versions by one socket, unless this host has no IPv6.
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, address.port))
                .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port)))
        } else {
            TcpListener::bind((address.host.as_str(), address.port))
        }
    };
    let with_advice = |address| {
        bind_one(address).map_err(|cause| {
            let advice = match cause.kind() {
                ErrorKind::AddrInUse => "another program has it: stop that, or choose another",
                ErrorKind::PermissionDenied => "ports below 1024 take a privilege: choose another",
                ErrorKind::AddrNotAvailable => "this host has no such address: choose another",
                _ => "choose another",
            };
            anyhow!("cannot listen on {address}: {cause}; {advice} with --web.listen-address")
        })
    };
    addresses.iter().map(with_advice).collect()
}

/// The addresses that listeners have, also where the system chose the port.
fn bound(listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
    addresses.context("cannot read the address of a listening socket")
}

/// Runs `main` on a new runtime, with the signals caught before it begins, and the log written by a
/// thread of its own. Two threads are plenty for scrapes.
fn block_on<F>(main: impl FnOnce(Signals) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    allocator::bound();
    logging::start_thread().context("cannot start the thread that writes the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async { main(Signals::new()?).await });
    // A thread may still wait for a file that never comes.
    runtime.shutdown_background();
    result
}

/// The signals that mean something.
struct Signals {
    hangups: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangups: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The hang-ups, and a future that completes on SIGTERM or SIGINT.
    fn split(self) -> (Signal, impl Future<Output = ()>) {
        let Self { hangups, mut terminate, mut interrupt } = self;
        let termination = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        (hangups, termination)
    }
}

/// Prints what the doctor found.
///
/// # Errors
/// A check failed.
fn diagnose(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    print(&if json { doctor::to_json(findings) } else { doctor::to_text(findings) })?;
    match findings.iter().filter(|finding| finding.status == Status::Failed).count() {
        0 => Ok(()),
        1 => Err(anyhow!("1 check failed")),
        failed => Err(anyhow!("{failed} checks failed")),
    }
}

/// Says where to look.
fn announce(config: &Config, guard: &WebConfigWatcher, addresses: &[SocketAddr]) {
    let scheme = if guard.is_tls() { "https" } else { "http" };
    for address in addresses {
        let metrics = format!("{scheme}://{address}{}", config.web.telemetry_path);
        tracing::info!(page = %format!("{scheme}://{address}/"), metrics, "serving");
    }
}

/// A number nobody outside can guess: the standard library seeds its hashes from the kernel.
fn unpredictable() -> u64 {
    RandomState::new().hash_one(0)
}
