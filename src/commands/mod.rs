//! The sub-commands, each assembled from the other modules.

mod check;
mod completions;
mod directories;
mod doctor;
mod geoip;
mod hand_over;
mod hide_password;
mod listeners;
mod man;
mod migrate;
mod replay;
mod report;
mod rules;
mod run;
mod runtime;
mod sandbox;
mod terminal_style;
mod top;
mod warnings;

use std::{
    io::{ErrorKind, Write as _},
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    cli::{Cli, Command, ConfigCommand, GeoIpCommand},
    config::{ConfigError, ConfigErrors},
    geoip::{GeoIpError, update::UpdateSetupError},
    http::WebConfigError,
    mirror::{
        schema::{clickhouse_cluster, ddl},
        store::Kind,
    },
    networks::NetworksError,
    system::{privileges::PrivilegesError, signals::RequestSignals},
    top::ExporterError,
};

/// Exit code for invalid usage or configuration; clap uses the same.
const USAGE: u8 = 2;

/// Exit code for every other failure.
const FAILURE: u8 = 1;

/// How long a service waits at its end until its last log lines are written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Flags that contradict each other.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(&'static str);

/// Executes the command of a command line.
///
/// # Errors
/// The command failed; [`exit_code`] distinguishes the kinds of errors.
pub fn execute(cli: &Cli) -> anyhow::Result<()> {
    let flags = &cli.flags;
    match cli.chosen() {
        Command::Run => {
            let requests = RequestSignals::before_runtime();
            let requests = requests.context("cannot install the signal handlers")?;
            hide_password::hide_password(flags)?;
            run::run(flags.clone(), check::load(flags)?, requests)
        }
        Command::Replay(replay) => replay::replay(&replay, flags.clone(), check::load(flags)?),
        Command::Report(report) => {
            hide_password::hide_password(flags)?;
            report::report(&report, &check::load(flags)?)
        }
        Command::Top(top) => top::top(&top, flags),
        Command::Completions { shell } => print(&completions::script(shell)),
        Command::Man => print(&man::manual().context("cannot write the manual page")?),
        Command::Doctor { json, wait } => {
            hide_password::hide_password(flags)?;
            doctor::doctor(flags, wait, json)
        }
        Command::Rules(rules) => rules::rules(&rules, flags),
        Command::Migrate(migrate) => migrate::migrate(&migrate, flags),
        Command::GeoIp(GeoIpCommand::Update(update)) => geoip::update(&update, flags),
        Command::Schema(schema) => match (schema.cluster, schema.database) {
            (None, database) => print(ddl(database)),
            (Some(cluster), Kind::ClickHouse) => print(&clickhouse_cluster(&cluster)),
            (Some(_), database) => {
                anyhow::bail!("--cluster is only for clickhouse, not for {database}")
            }
        },
        Command::Config(ConfigCommand::Check) => print(&check::report(flags)?),
        Command::Config(ConfigCommand::Show) => print(&check::load(flags)?.to_toml()?),
    }
}

/// The text of an error for standard error. Lines about an invalid configuration begin with the file, all others
/// with the program's name. `None` if the command has printed the reason.
#[must_use]
pub fn message(error: &anyhow::Error) -> Option<String> {
    if error.is::<doctor::ChecksFailed>() {
        return None;
    }
    if error.is::<ConfigErrors>() {
        return Some(error.to_string());
    }
    let text = format!("{error:#}");
    Some(text.lines().map(|line| format!("nflog_exporter: {line}")).collect::<Vec<_>>().join("\n"))
}

/// How long the process waits at its end until its last log lines are written; `None` for no limit.
///
/// A service ends in time even if its log is not read. Other commands write to a terminal or a pager.
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
    let is_account_invalid = matches!(
        error.downcast_ref(),
        Some(PrivilegesError::Unknown { .. } | PrivilegesError::NotRoot { .. })
    );
    let is_usage = error.is::<UsageError>()
        || error.is::<ConfigErrors>()
        || error.is::<ConfigError>()
        || error.is::<GeoIpError>()
        || error.is::<UpdateSetupError>()
        || error.is::<NetworksError>()
        || error.is::<WebConfigError>()
        || error.is::<ExporterError>()
        || is_account_invalid;
    if is_usage { USAGE } else { FAILURE }
}

/// Writes to standard output. A closed pipe is not an error, so that `| head` works.
fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// As [`print()`], for text in any encoding.
fn print_bytes(text: &[u8]) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
