//! The command line: sub-commands, flags and help.

mod arguments;

use std::{os::fd::AsFd as _, sync::LazyLock, time::Duration};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub use self::arguments::{
    ColorChoice, GeoIpUpdate, Migrate, MigrateCommand, MigrateRows, Replay, Report, Rules, Schema,
    Top,
};
use crate::config::Flags;

/// The revision of the sources; `None` if it was not set at build time.
pub const REVISION: Option<&str> = option_env!("NFLOG_EXPORTER_REVISION");

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The output of `--version` after the name.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| match REVISION {
    Some(revision) => format!("{VERSION} (revision {revision})"),
    None => VERSION.to_owned(),
});

/// Exports a Linux firewall's packet log (NFLOG) as Prometheus metrics, by country, port, protocol and log prefix.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "nflog_exporter",
    version = LONG_VERSION.as_str(),
    after_help = "Flags may appear before or after the command, and override the configuration file.\n\
        If a flag appears in both places, the value after the command counts.\n\
        Exit codes: 0 success, 1 failure at run time, 2 invalid usage or configuration."
)]
pub struct Cli {
    /// The configuration file, and the flags that override it.
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The sub-command.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the exporter; the default command
    Run,
    /// Count the packets of captures and log files as if they had been logged, and print the metrics
    ///
    /// Reads pcap and pcapng, plain or compressed with gzip, zstd, xz or bzip2, of the link types that
    /// carry IP: NFLOG, Ethernet, Linux cooked, raw IP, PPP, 802.11 and others. The metrics go to
    /// stdout, the progress to stderr.
    Replay(Replay),
    /// Report on the packets of captures and log files, or of the rows of the database
    ///
    /// Lists the countries, ports, prefixes, networks and sources with the most packets, port scans, and what was first
    /// seen in the last 24 hours. Prints nothing but the report, so that cron can mail it.
    Report(Report),
    /// Show a running exporter, or captures and log files, in the terminal
    ///
    /// Shows rates, losses, the state of the mirror, and the countries, ports, networks, prefixes and protocols with the
    /// most packets, as the built-in page does. ? explains the keys. With an exporter, it retries until the exporter
    /// responds; with --once, the exit code is 1 if it does not.
    Top(Top),
    /// Print the SQL that creates the mirror's tables
    ///
    /// The exporter creates them if its database user has the privileges. Otherwise an administrator creates them:
    /// `nflog_exporter schema --for mysql | mysql DATABASE`.
    Schema(Schema),
    /// Diagnose why packets are not counted, and suggest fixes
    ///
    /// Waits a few seconds for a packet. The exit code is 1 if a check failed. Run it as root, with the
    /// configuration of the exporter. The exporter can be running or stopped.
    Doctor {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,

        /// Maximum time to wait for a packet
        #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Print, load, verify or remove the firewall rules that send packets here
    ///
    /// Without --apply, --verify or --remove, prints the rules: a script for sh, or a file for nft -f (nft,
    /// except with --log dropped). Scripts verify the loaded rules, and fail if packets do not reach them. If no
    /// rules can log the requested packets, the exit code is 1 and the printed text fails too. Group, copy range
    /// and queue threshold are those of the configuration.
    Rules(Rules),
    /// Convert a ulogd.conf or firewall rules, or copy the rows of ulogd's database
    ///
    /// Reads a ulogd.conf as ulogd does, and prints a configuration. An invalid value is an error, and then nothing
    /// is written. With --rules, prints the rules on stdout, and the changes and what has no equivalent on stderr.
    Migrate(Migrate),
    /// Download GeoIP databases
    #[command(name = "geoip", subcommand)]
    GeoIp(GeoIpCommand),
    /// Check or print the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// Name of the shell
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// Print the manual page, as in `nflog_exporter man | man -l -`
    Man,
}

/// The sub-commands of `geoip`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum GeoIpCommand {
    /// Download the newest GeoIP databases, verify them, and replace the files
    ///
    /// Downloads DB-IP Lite, which needs no account, or GeoLite2 with an account of MaxMind (geoip.update). Replaces the
    /// files of geoip.databases, or without that key those of geoip.directory, which the exporter then uses. A running
    /// exporter loads them within seconds. A file that fails a check changes nothing, and the exit code is 1.
    Update(GeoIpUpdate),
}

/// The sub-commands of `config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Validate the configuration file, the flags and the files they name, and print every error
    ///
    /// Prints one line per error: file and line, key, error and fix. The exit code is 2 if there are errors.
    Check,
    /// Print the effective configuration as TOML, defaults and flags included
    Show,
}

impl Cli {
    /// Parses the process's arguments. Help, version and usage errors are printed, and end the process.
    #[must_use]
    pub fn parse() -> Self {
        <Self as Parser>::try_parse().unwrap_or_else(|error| {
            // `rules … | sh` and `rules … | nft -f -` must fail, too.
            if error.use_stderr() && std::env::args().any(|word| word == "rules") && !writes_file()
            {
                println!("exit 2");
            }
            error.exit()
        })
    }

    /// The sub-command; [`Command::Run`] by default.
    #[must_use]
    pub fn chosen(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }
}

/// Whether standard output is a regular file, which may be part of a firewall that is loaded at the next boot.
#[must_use]
pub fn writes_file() -> bool {
    let output = std::io::stdout().as_fd().try_clone_to_owned();
    let metadata = output.and_then(|output| std::fs::File::from(output).metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests;
