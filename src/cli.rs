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

/// The revision this was built from, where the build told.
pub const REVISION: Option<&str> = option_env!("NFLOG_EXPORTER_REVISION");

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints behind the name.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| match REVISION {
    Some(revision) => format!("{VERSION} (revision {revision})"),
    None => VERSION.to_owned(),
});

/// Counts the packets a Linux firewall logs (NFLOG), by country, port, protocol and prefix, for
/// Prometheus.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "nflog_exporter",
    version = LONG_VERSION.as_str(),
    after_help = "Flags may stand before or behind the command, and win over the configuration file;\n\
        of a flag that stands on both sides, what stands behind the command counts.\n\
        Exit codes: 0 fine, 1 failure at run time, 2 wrong usage or configuration."
)]
pub struct Cli {
    /// The configuration file and the flags over it.
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the exporter: the default without a command
    Run,
    /// Count the packets of capture files as if they had been logged, and print the metrics
    ///
    /// Reads pcap and pcapng, plain or compressed with gzip, zstd, xz or bzip2, of the link types that
    /// carry IP: NFLOG, Ethernet, Linux cooked, raw IP, PPP, 802.11 and others. The metrics go to
    /// stdout, the progress to stderr.
    Replay(Replay),
    /// Print the SQL that makes the mirror's tables
    ///
    /// The exporter makes them itself where its database user may; this is for an administrator
    /// who does it instead, as in `nflog_exporter schema --for mysql | mysql DATABASE`.
    Schema(Schema),
    /// Look this host over, step by step, and say how to mend what keeps packets from being counted
    ///
    /// Waits a few seconds for a packet. Exit code 1 if any check failed. Best run as root, while the
    /// exporter runs or instead of it, with the same configuration.
    Doctor {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,

        /// How long to wait for a packet
        #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Print, load, verify or remove the firewall rules that send packets here
    ///
    /// Without --apply, --verify or --remove it prints them, ready to load: a script for sh, or, with nft
    /// and anything but --log dropped, a file for nft -f. Scripts verify what they have loaded, and fail
    /// where packets do not get to it. Where no rules can do what is asked, the exit code is 1 and the
    /// text that is printed fails too. The group, the copy range and the threshold are those of the
    /// configuration.
    Rules(Rules),
    /// Print a configuration that does what a ulogd.conf did, and what could not be carried over
    ///
    /// Reads the file as ulogd does. A value that cannot be read is an error, and nothing is written.
    Migrate(Migrate),
    /// Check or print the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands and flags in a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// Print the page of the manual, as in `nflog_exporter man | man -l -`
    Man,
}

/// `replay`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Capture files, read one behind the other; - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Keep serving the metrics over HTTP instead of printing them
    #[arg(long)]
    pub serve: bool,
    /// Log prefix of packets whose capture carries none
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// `migrate`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// The file
    #[arg(value_name = "ULOGD.CONF")]
    pub file: PathBuf,
    /// Write the configuration to this file at once, and print what could not be carried over; a file
    /// that is there keeps its owner and mode, a new one has mode 0600
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `rules`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(group(clap::ArgGroup::new("action").args(["apply", "verify", "remove"])))]
pub struct Rules {
    /// The tool that loads them
    #[arg(long = "for", value_name = "TOOL", value_enum)]
    pub tool: Tool,
    /// Which packets are logged
    #[arg(long, value_enum, default_value_t = Wanted::New)]
    pub log: Wanted,
    /// Most packets logged in a second, 1 to 10000; 0 for no limit
    #[arg(long, value_name = "PACKETS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub limit: u32,
    /// Log prefix: letters, digits, spaces and - _ . : [default: what is logged]
    #[arg(long, value_name = "TEXT", value_parser = prefix)]
    pub prefix: Option<String>,
    /// Load the rules in place of those of an earlier time, then verify them
    #[arg(long)]
    pub apply: bool,
    /// Verify that the rules are loaded as planned and that packets get to them; exit 1 otherwise
    #[arg(long)]
    pub verify: bool,
    /// Remove every rule that this command made by the tool, and no other
    #[arg(long)]
    pub remove: bool,
}

/// Takes a prefix that every tool and shell takes as it is: 63 bytes at most, as iptables.
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

/// Takes the name of a database.
fn database() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(|kind| {
        PossibleValue::new(kind.name()).help(match kind {
            Kind::MySql => "MySQL and MariaDB",
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
        })
    }));
    names.try_map(|name| {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("it is not known")
    })
}

/// `config …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Validate the configuration file, the flags and the files they name, and print all that is wrong
    ///
    /// Prints one line each: the file and line, the key, what is wrong and how to fix it. Exit code 2 if
    /// there is any.
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

    /// What to do: [`Command::Run`] when nothing else was said.
    #[must_use]
    pub fn chosen(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }
}

/// Whether standard output is a regular file. What is written there may be part of a firewall that is
/// loaded at the next start, and must not break it.
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

    /// Parses arguments behind the program's name.
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
        // Clap gives a repeatable flag no way to add up over both sides: the help says so.
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
    fn help_tells_the_defaults() {
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
