//! The arguments of the sub-commands, and the parsers of their values.

use std::{convert::Infallible, path::PathBuf};

use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use crate::{
    firewall::{Tool, Wanted},
    geoip::Edition,
    history::Range,
    mirror::{
        config::{Anonymize, MirrorUrl},
        store::Kind,
    },
    report::{Format, parse_moment},
    top::{ListKind, MIN_HEIGHT, MIN_WIDTH, SortOrder, ValueFilter},
};

/// Arguments of `replay`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Captures and log files, read one after another; - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Serve the metrics over HTTP instead of printing them
    #[arg(long)]
    pub serve: bool,
    /// Log prefix for packets from captures without log prefixes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// Arguments of `report`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Captures and log files, read one after another; - for stdin
    #[arg(required_unless_present = "mirror", conflicts_with = "mirror", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Read the rows of the database of mirror.url instead of files
    #[arg(long)]
    pub mirror: bool,
    /// Format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Replace this file by the report when it is complete, instead of printing it
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Maximum number of rows in each list
    #[arg(long, value_name = "ROWS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
    /// Start of the period: RFC 3339, a date (UTC), or a duration before now, such as 24h
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub since: Option<u64>,
    /// End of the period, not included
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub until: Option<u64>,
    /// Count only packets that this host logged; repeatable. Hosts are those of syslog lines and of rows
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Anonymize addresses as in rows: truncate them (without METHOD), or encrypt them with the configured key
    #[arg(long, value_name = "METHOD", value_enum, num_args = 0..=1, require_equals = true,
          default_value = "none", default_missing_value = "truncate", hide_default_value = true)]
    pub anonymize: Anonymize,
    /// Log prefix for packets from captures without log prefixes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// Arguments of `top`.
#[expect(clippy::doc_markdown, reason = "the help is plain text")]
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// Address of the exporter's page, or captures and log files; - for stdin [default: NFLOG_EXPORTER_TOP_URL, or
    /// http://127.0.0.1:10239]
    #[arg(value_name = "URL|FILE")]
    pub sources: Vec<PathBuf>,
    /// Range of time, if the exporter keeps a history
    #[arg(long, value_name = "RANGE", default_value = Range::default().name(), value_parser = range())]
    pub range: Range,
    /// Show only packets with this value, such as country=DE; repeatable. Labels are country, port, network, prefix, proto
    #[arg(long, value_name = "LABEL=VALUE", value_parser = value_filter)]
    pub filter: Vec<ValueFilter>,
    /// The list with the most room
    #[arg(long, value_enum, default_value_t)]
    pub list: ListKind,
    /// The order of the lists
    #[arg(long, value_enum, default_value_t)]
    pub sort: SortOrder,
    /// Print one frame as plain text. Files are read to their ends first
    #[arg(long)]
    pub once: bool,
    /// Columns of the printed frame [default: those of the terminal, or 80]
    #[arg(long, value_name = "COLUMNS", requires = "once",
          value_parser = clap::value_parser!(u16).range(i64::from(MIN_WIDTH)..=1000))]
    pub width: Option<u16>,
    /// Rows of the printed frame [default: those of the terminal, or 24]
    #[arg(long, value_name = "ROWS", requires = "once",
          value_parser = clap::value_parser!(u16).range(i64::from(MIN_HEIGHT)..=1000))]
    pub height: Option<u16>,
    /// Colours of the live view; auto honours NO_COLOR and TERM
    #[arg(long, value_enum, default_value_t)]
    pub color: ColorChoice,
    /// File with the password of the user in the URL; otherwise NFLOG_EXPORTER_TOP_PASSWORD, or the password in the URL
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Certificate authorities to trust instead of those of the system, a PEM file
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate of the exporter
    #[arg(long)]
    pub insecure: bool,
    /// Log prefix for packets from captures without log prefixes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// If the terminal has them
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Parses the name of a range of time.
fn range() -> impl TypedValueParser<Value = Range> {
    let names = PossibleValuesParser::new(Range::ALL.map(Range::name));
    names.try_map(|name| Range::from_name(&name).ok_or("unknown range"))
}

/// Parses a label and its value.
fn value_filter(text: &str) -> Result<ValueFilter, &'static str> {
    let parts = text.split_once('=');
    let parsed = parts.and_then(|(label, value)| Some((ListKind::with_label(label)?, value)));
    let (kind, value) =
        parsed.ok_or("write LABEL=VALUE with the label country, port, network, prefix or proto")?;
    Ok(ValueFilter { kind, value: value.to_owned(), name: value.to_owned() })
}

/// Arguments of `geoip update`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct GeoIpUpdate {
    /// Database to download; repeatable [default: geoip.update.editions, or those that exist, or country]
    #[arg(long, value_name = "EDITION", value_enum)]
    pub edition: Vec<Edition>,
    /// Download again, and replace also a newer database, or one of another publisher
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `migrate`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Migrate {
    /// Path of the ulogd.conf
    #[arg(value_name = "ULOGD.CONF", required_unless_present = "rules")]
    pub file: Option<PathBuf>,
    /// Convert firewall rules instead: the output of iptables-save, ip6tables-save or nft list ruleset, or a file
    /// of ufw; - for stdin. Prints or writes the rules with NFLOG in place of LOG and ULOG, and loads nothing
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub rules: Option<PathBuf>,
    /// NFLOG group of rules that log with LOG, which has no group
    #[arg(
        long,
        value_name = "GROUP",
        default_value_t = 1,
        requires = "rules",
        conflicts_with = "file"
    )]
    pub group: u16,
    /// Something else than a configuration or rules.
    #[command(subcommand)]
    pub command: Option<MigrateCommand>,
    /// Write the configuration or the rules to this file, and print what has no equivalent. A new file has
    /// mode 0600; an existing one keeps its owner, and its mode unless others can read it
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The sub-commands of `migrate`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum MigrateCommand {
    /// Copy the rows of ulogd's database into the table packets of the mirror
    ///
    /// Each row is copied exactly once: an interrupted copy resumes, and another one copies only new rows. The target
    /// is mirror.url. Rows get their countries and cities from the configured GeoIP databases; the selection of
    /// packets and mirror.sample do not apply. Stop ulogd before the last copy.
    Rows(MigrateRows),
}

/// Arguments of `migrate rows`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct MigrateRows {
    /// Database of ulogd, a URL as in mirror.url; - to read it from stdin, without its password on the command line
    #[arg(value_name = "FROM-URL", value_parser = |url: &str| Ok::<_, Infallible>(MirrorUrl::from(url)))]
    pub from: MirrorUrl,
    /// Table of ulogd, as in the key table of its configuration; searched for by default
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
}

/// Arguments of `rules`.
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
    /// Spread the packets over this many groups, from the first of the configuration on, by a hash of their addresses
    #[arg(long, value_name = "GROUPS", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=MAX_SPREAD))]
    pub spread: u16,
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

/// Maximum number of groups to spread packets over: as many as an exporter reads.
const MAX_SPREAD: i64 = 64;

/// Accepts prefixes that need no quotes in any tool or shell, of at most 63 bytes, the limit of iptables.
fn prefix(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | ':');
    if text.is_empty() || text.len() > 63 || !text.chars().all(plain) {
        return Err("use 1 to 63 letters, digits, spaces and - _ . :");
    }
    Ok(text.to_owned())
}

/// Arguments of `schema`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The database: mysql (MariaDB too), postgres, sqlite or clickhouse
    #[arg(long = "for", value_name = "DATABASE", value_parser = database())]
    pub database: Kind,
    /// Only for clickhouse: replicated and distributed tables on this cluster
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    pub cluster: Option<String>,
}

/// Accepts names that need no escapes in SQL, and macros.
fn cluster(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-{}".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err("use letters, digits and . _ - { }");
    }
    Ok(text.to_owned())
}

/// Parses the name of a database.
fn database() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(|kind| {
        PossibleValue::new(kind.name()).help(match kind {
            Kind::MySql => "MySQL and MariaDB",
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
            Kind::ClickHouse => "ClickHouse",
        })
    }));
    names.try_map(|name| {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("unknown database")
    })
}
