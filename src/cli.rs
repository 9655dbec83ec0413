//! The command line: sub-commands, flags, help. What a command does is not here.

use std::{os::fd::AsFd as _, path::PathBuf, sync::LazyLock, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;

use crate::{
    config::Flags,
    firewall::{Tool, Wanted},
    mirror::store::Kind,
};

/// The revision that this program was built from, if the build set it.
pub const REVISION: Option<&str> = option_env!("NFLOG_EXPORTER_REVISION");

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version that `--version` prints after the name.
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
    /// The configuration file and the flags that override it.
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
    /// Count the packets of capture files as if they had been logged, and print the metrics
    ///
    /// Reads pcap and pcapng, plain or compressed with gzip, zstd, xz or bzip2, of the link types that
    /// carry IP: NFLOG, Ethernet, Linux cooked, raw IP, PPP, 802.11 and others. The metrics go to
    /// stdout, the progress to stderr.
    Replay(Replay),
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
    /// Convert a ulogd.conf to a configuration, and list the settings without an equivalent
    ///
    /// Reads the file as ulogd does. An invalid value is an error, and then nothing is written.
    Migrate(Migrate),
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

/// `replay`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Capture files, read one after another; - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Serve the metrics over HTTP instead of printing them
    #[arg(long)]
    pub serve: bool,
    /// Log prefix for packets from captures without log prefixes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// `migrate`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// Path of the ulogd.conf
    #[arg(value_name = "ULOGD.CONF")]
    pub file: PathBuf,
    /// Write the configuration to this file, and print the settings without an equivalent. A new file has
    /// mode 0600; an existing one keeps its owner, and its mode unless others can read it
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `rules`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(group(clap::ArgGroup::new("action").args(["apply", "verify", "remove"])))]
pub struct Rules {
    /// The tool that loads the rules
    #[arg(long = "for", value_name = "TOOL", value_enum)]
    pub tool: Tool,
    /// The packets to log
    #[arg(long, value_enum, default_value_t = Wanted::New)]
    pub log: Wanted,
    /// Maximum packets logged per second, 1 to 10000; 0 for no limit
    #[arg(long, value_name = "PACKETS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub limit: u32,
    /// Log prefix: letters, digits, spaces and - _ . : [default: the value of --log]
    #[arg(long, value_name = "TEXT", value_parser = prefix)]
    pub prefix: Option<String>,
    /// Load the rules, replacing those loaded before, then verify them
    #[arg(long)]
    pub apply: bool,
    /// Verify that the rules are loaded as planned and that packets reach them; exit 1 otherwise
    #[arg(long)]
    pub verify: bool,
    /// Remove the rules that this command loaded with the tool, and no others
    #[arg(long)]
    pub remove: bool,
}

/// Accepts a prefix that needs no quoting in any tool or shell: at most 63 bytes, the limit of iptables.
fn prefix(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | ':');
    if text.is_empty() || text.len() > 63 || !text.chars().all(plain) {
        return Err("use 1 to 63 letters, digits, spaces and - _ . :");
    }
    Ok(text.to_owned())
}

/// `schema`.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The database: mysql (MariaDB too), postgres or sqlite
    #[arg(long = "for", value_name = "DATABASE", value_parser = database())]
    pub database: Kind,
}

/// Parses the name of a database.
fn database() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(|kind| {
        PossibleValue::new(kind.name()).help(match kind {
            Kind::MySql => "MySQL and MariaDB",
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
        })
    }));
    names.try_map(|name| {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("unknown database")
    })
}

/// `config …`.
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
    /// Reads the process's arguments; prints help, version or a usage error and exits itself.
    #[must_use]
    pub fn parse() -> Self {
        <Self as Parser>::try_parse().unwrap_or_else(|error| {
            // `rules … | sh` has to fail too, and so has `| nft -f -`.
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

/// Whether standard output is a regular file. Such a file can be part of a firewall that is loaded at the next boot,
/// and must stay valid.
#[must_use]
pub fn writes_file() -> bool {
    let output = std::io::stdout().as_fd().try_clone_to_owned();
    let metadata = output.and_then(|output| std::fs::File::from(output).metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Config;

    /// Parses arguments after the program's name.
    fn cli(line: &str) -> Result<Cli, clap::Error> {
        let words = std::iter::once("nflog_exporter").chain(line.split_whitespace());
        <Cli as Parser>::try_parse_from(words)
    }

    #[track_caller]
    fn check(line: &str, expect: &Command) -> Cli {
        let cli = cli(line).unwrap();
        assert_eq!(cli.chosen(), *expect);
        cli
    }

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands() {
        check("", &Command::Run);
        check("run", &Command::Run);
        check("config check", &Command::Config(ConfigCommand::Check));
        check("config show", &Command::Config(ConfigCommand::Show));
        let files = vec!["a.pcap".into(), "-".into()];
        let replay = Replay { files, serve: true, prefix: "web".into() };
        check("replay a.pcap - --serve --prefix web", &Command::Replay(replay));
    }

    #[test]
    fn rules_take_only_what_every_tool_takes() {
        let expect = Rules {
            tool: Tool::Ufw,
            log: Wanted::New,
            limit: 10_000,
            prefix: None,
            apply: false,
            verify: false,
            remove: false,
        };
        check("rules --for ufw", &Command::Rules(expect.clone()));
        let prefix = Some("a:b".into());
        let expect =
            Rules { tool: Tool::Nft, log: Wanted::All, limit: 0, prefix, apply: true, ..expect };
        check("rules --for nft --log all --limit 0 --prefix a:b --apply", &Command::Rules(expect));
        let long = format!("rules --for nft --prefix {}", "x".repeat(64));
        let two = "rules --for nft --apply --remove";
        for line in
            ["rules", two, "rules --for nft --limit 10001", "rules --for nft --prefix '", &long]
        {
            assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn flags_stand_on_either_side() {
        for line in ["--nflog.group 5 run", "run --nflog.group 5", "--nflog.group=5"] {
            assert_eq!(check(line, &Command::Run).flags.groups, [5], "{line}");
        }
        // Clap cannot merge the values of a repeatable flag before and after the command. The help documents this.
        assert_eq!(check("--nflog.group 1 run --nflog.group 2", &Command::Run).flags.groups, [2]);
        let line =
            "--log.level debug config show --web.listen-address :1 --web.listen-address [::1]:2";
        let config = cli(line).unwrap().flags.load().unwrap();
        assert_eq!(config.log.level.name(), "debug");
        let addresses: Vec<_> =
            config.web.listen_addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, [":1", "[::1]:2"]);
    }

    #[test]
    fn switches_can_be_turned_off() {
        for (line, expect) in [
            ("--rules.install", Some(true)),
            ("--rules.install=false", Some(false)),
            ("--rules.install run", Some(true)),
            ("run", None),
        ] {
            assert_eq!(cli(line).unwrap().flags.rules_install, expect, "{line}");
        }
    }

    #[test]
    fn usage_errors_exit_with_2() {
        for line in [
            "replay",
            "config",
            "--nflog.group 65536",
            "--nflog.group x",
            "--log.level loud",
            "--web.listen-address 10239",
            "--no.such.flag",
            "no-such-command",
        ] {
            assert_eq!(cli(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(cli("--help").unwrap_err().exit_code(), 0);
        assert_eq!(cli("--version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn version_names_the_program() {
        let text = cli("--version").unwrap_err().to_string();
        assert!(text.starts_with(&format!("nflog_exporter {VERSION}")), "{text}");
    }

    /// The defaults in the help are text; this holds them against the real ones.
    #[test]
    fn help_shows_the_defaults() {
        let Config { nflog, web, log, rules, .. } = Config::default();
        let command = Cli::command();
        for (flag, default) in [
            ("nflog.group", nflog.groups[0].to_string()),
            ("rules.install", rules.install.to_string()),
            ("web.listen-address", web.listen_addresses[0].to_string()),
            ("web.telemetry-path", web.telemetry_path),
            ("web.enable-reload", web.enable_reload.to_string()),
            ("log.level", log.level.name().to_owned()),
            ("log.format", "logfmt".to_owned()),
        ] {
            let argument = command.get_arguments().find(|it| it.get_long() == Some(flag)).unwrap();
            let help = argument.get_help().unwrap().to_string();
            assert!(help.contains(&format!("[default: {default}]")), "{flag}: {help}");
        }
    }
}
