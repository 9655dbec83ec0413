//! The configuration: a TOML file and flags become one validated [`Config`]; every default lives here.

mod document;
mod error;
mod family;
mod flags;
mod listen;
#[cfg(test)]
mod mirror_tests;
#[cfg(test)]
mod tests;
mod validate;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::document::Document;
use crate::{
    metrics::FamilyPlan,
    mirror::{
        Target,
        config::{MirrorConfig, ResolvedConfig},
    },
    settings::{InvalidSetting, units},
    source::nflog::NflogPlan,
    system::{
        files::read_small,
        logging::{LogFormat, LogLevel},
    },
};

pub use error::{ConfigError, ConfigErrors, Place};
pub use family::{Family, MAX_FAMILIES};
pub use flags::Flags;
pub use listen::{ListenAddress, ListenAddressError};

/// Longest configuration file that is read, in bytes: no hand writes more, and `/dev/zero` would.
const MAX_FILE: u64 = 1024 * 1024;

/// Everything a user can set.
///
/// Each key has a default that shows up in [`Config::to_toml`], an empty one where nothing is set:
/// the names that the parser accepts are read off there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The kernel's packet log.
    pub nflog: Nflog,
    /// The address databases.
    pub geoip: GeoIp,
    /// The metric families: the built-in ones first, then the others as written.
    pub family: Vec<Family>,
    /// Firewall rules of our own.
    pub rules: Rules,
    /// Each packet as a row of a database.
    pub mirror: MirrorConfig,
    /// What is served over HTTP.
    pub web: Web,
    /// The rights that are kept.
    pub privileges: Privileges,
    /// Our own log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nflog: Nflog::default(),
            geoip: GeoIp::default(),
            family: family::complete(Vec::new()),
            rules: Rules::default(),
            mirror: MirrorConfig::default(),
            web: Web::default(),
            privileges: Privileges::default(),
            log: Log::default(),
        }
    }
}

/// `[nflog]`: the kernel's packet log, `nfnetlink_log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nflog {
    /// The groups that are read, each once; default 1.
    pub groups: Vec<u16>,
    /// Bytes of each packet the kernel copies, 60 to 65531; default 128.
    pub copy_range: u32,
    /// Most packets the kernel gathers into one datagram, at least 1; default 100.
    pub queue_threshold: u32,
    /// Longest time a packet waits for its datagram to fill, 10ms to 60s in steps of 10ms;
    /// default 100ms.
    #[serde(with = "units::duration")]
    pub queue_timeout: Duration,
    /// Bytes of one datagram in the kernel (`nlbufsiz`), 4096 to 131072; default 131072.
    #[serde(with = "units::size")]
    pub kernel_buffer: u32,
    /// Bytes asked for the socket's receive buffer, 4096 to 1 GiB; default 16 MiB.
    #[serde(with = "units::size")]
    pub receive_buffer: u32,
}

impl Default for Nflog {
    fn default() -> Self {
        Self {
            groups: vec![1],
            copy_range: 128,
            queue_threshold: 100,
            queue_timeout: Duration::from_millis(100),
            kernel_buffer: 128 * 1024,
            receive_buffer: 16 * 1024 * 1024,
        }
    }
}

impl Nflog {
    /// The plan by which [`crate::source::nflog::Nflog`] opens the groups.
    #[must_use]
    pub fn plan(&self) -> NflogPlan {
        NflogPlan {
            groups: self.groups.clone(),
            copy_range: self.copy_range,
            queue_threshold: self.queue_threshold,
            queue_timeout: self.queue_timeout,
            kernel_buffer: self.kernel_buffer,
            // At most 1 GiB, so it fits into 32 bits too.
            receive_buffer: self.receive_buffer as usize,
        }
    }
}

/// `[geoip]`: the address databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeoIp {
    /// Files in the MaxMind format (`.mmdb`); default empty: the embedded country database.
    pub databases: Vec<PathBuf>,
}

/// `[rules]`: firewall rules of our own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Whether to install a table that logs inbound packets to the group; default false.
    pub install: bool,
    /// Interfaces whose packets it logs; default empty: all but loopback.
    pub interfaces: Vec<String>,
}

/// `[web]`: what is served over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Web {
    /// Where to listen, at least one address; default `127.0.0.1:10239`.
    pub listen_addresses: Vec<ListenAddress>,
    /// Whether to take the listening sockets of a systemd socket unit instead; default false.
    pub systemd_socket: bool,
    /// Path of the metrics; default `/metrics`.
    pub telemetry_path: String,
    /// TLS and basic auth, a file in the format of Prometheus's exporter-toolkit; default empty:
    /// plain HTTP for everybody who gets there.
    pub config_file: PathBuf,
    /// Whether `POST /-/reload` is served; default false.
    pub enable_reload: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen_addresses: vec![ListenAddress { host: "127.0.0.1".into(), port: 10239 }],
            systemd_socket: false,
            telemetry_path: "/metrics".into(),
            config_file: PathBuf::new(),
            enable_reload: false,
        }
    }
}

/// `[privileges]`: the rights that are kept once sockets, rules and listeners stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Privileges {
    /// User to run with when started as root, a name or a number; default empty: `nflog_exporter`
    /// where there is such a user, else `nobody`.
    pub user: String,
    /// Its group; default empty: the user's own.
    pub group: String,
    /// Whether the kernel shall refuse files, ports and system calls that are not needed, by Landlock
    /// and seccomp; default true.
    pub sandbox: bool,
}

impl Default for Privileges {
    fn default() -> Self {
        Self { user: String::new(), group: String::new(), sandbox: true }
    }
}

/// `[log]`: our own log, on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// Minimum severity of logged messages; default `info`.
    pub level: LogLevel,
    /// How a line is written; default `logfmt`.
    pub format: LogFormat,
}

impl Config {
    /// The metric families, ready for the aggregate.
    #[must_use]
    pub fn families(&self) -> Vec<FamilyPlan> {
        self.family.iter().map(Family::plan).collect()
    }

    /// The files that are read again while the program runs: the configuration's own, as the flags name
    /// it, and those that it names; those of the web configuration only its guard knows.
    pub fn files(&self, flags: &Flags) -> impl Iterator<Item = PathBuf> {
        let mirror = &self.mirror;
        let own = flags.config_file.clone().unwrap_or_default();
        let single = [own, mirror.url_file.clone(), mirror.anonymize_key_file.clone()];
        let files = single.into_iter().chain(self.geoip.databases.clone());
        files.filter(|path| !path.as_os_str().is_empty())
    }

    /// The database to mirror to; `None` when there is none. Reads the URL's file.
    ///
    /// # Errors
    /// The file cannot be read any more, or holds no URL.
    pub fn mirror_target(&self) -> Result<Option<Target>, ConfigError> {
        self.mirror.target().map_err(unplaced)
    }

    /// The section `[mirror]` with its files read; `None` when no database is given.
    ///
    /// # Errors
    /// A file cannot be read any more, or holds no valid URL or key.
    pub fn resolve_mirror(&self) -> Result<Option<ResolvedConfig>, ConfigError> {
        self.mirror.clone().resolve().map_err(unplaced)
    }

    /// The whole configuration as TOML, defaults and all; reads back as the same configuration, but
    /// for a password in the mirror's URL, which is not shown.
    ///
    /// # Errors
    /// A path that is not UTF-8, which TOML cannot carry.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self)
            .map_err(|error| ConfigError::Unprintable { reason: error.to_string() })
    }
}

/// The configuration this text describes, validated. `origin` stands for the file in messages.
///
/// # Errors
/// Everything wrong with it.
pub fn parse(text: &str, origin: &str) -> Result<Config, ConfigErrors> {
    combine(Source::read(text, origin), &Flags::default(), |_| Vec::new())
}

/// The source of the values that flags override.
enum Source<'a> {
    /// No file.
    Nothing,
    /// A file that is TOML.
    Document(Document<'a>),
    /// A file that cannot be used at all.
    Unusable(Vec<ConfigError>),
}

impl<'a> Source<'a> {
    fn read(text: &'a str, name: &'a str) -> Self {
        Document::parse(text, name).map_or_else(Self::Unusable, Self::Document)
    }
}

/// Puts the flags over the file and the file over the defaults, and validates what comes out, by the rules
/// here and by `more`.
fn combine(
    source: Source<'_>,
    flags: &Flags,
    more: impl FnOnce(&Config) -> Vec<InvalidSetting>,
) -> Result<Config, ConfigErrors> {
    let (document, (mut config, mut errors)) = match source {
        Source::Nothing => (None, (Config::default(), Vec::new())),
        Source::Document(document) => {
            let read = document.config();
            (Some(document), read)
        }
        Source::Unusable(errors) => (None, (Config::default(), errors)),
    };
    let wrong: Vec<_> = errors.iter().filter_map(ConfigError::line).collect();
    let given = flags.apply(&mut config);
    let mut problems = validate::validate(&config);
    problems.extend(more(&config));
    for InvalidSetting { key, text } in problems {
        let flag = given.iter().find(|(of, _)| *of == key).map(|(_, flag)| Place::Flag(flag));
        let place = flag
            .or_else(|| document.as_ref().map(|document| document.place(&key)))
            .unwrap_or(Place::Default);
        let error = ConfigError::Invalid { place, key, problem: text };
        // A value that could not be read was left out, and that is no error of its own.
        if error.line().is_none_or(|line| !wrong.contains(&line)) {
            errors.push(error);
        }
    }
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::sorted(errors)) }
}

/// A problem that came up after the configuration was validated: a file that changed.
fn unplaced(InvalidSetting { key, text }: InvalidSetting) -> ConfigError {
    ConfigError::Invalid { place: Place::Default, key, problem: text }
}

/// Reads a configuration file, [`MAX_FILE`] bytes at most.
fn read(path: &Path) -> Result<String, ConfigError> {
    read_small(path, MAX_FILE)
        .and_then(|content| String::from_utf8(content).map_err(io::Error::other))
        .map_err(|cause| ConfigError::Read { path: path.into(), cause })
}
