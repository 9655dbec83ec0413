//! The flags that set configuration keys: they win over the file.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, builder::BoolishValueParser};

use super::{Config, ConfigErrors, ListenAddress, Source, combine, read};
use crate::{
    mirror::config::{MirrorUrl, URL_VARIABLE},
    settings::InvalidSetting,
    system::logging::{LogFormat, LogLevel},
};

/// Which key a flag set: the key with dots, and the flag.
pub(super) type Given = (&'static str, &'static str);

/// The configuration file and the flags over it: all that is needed to load the configuration, and
/// to load it again later.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Configuration")]
pub struct Flags {
    /// Configuration file, TOML; `config show` prints every key [default: none]
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    pub config_file: Option<PathBuf>,

    /// NFLOG group to read, 0 to 65535: the number after `group` in nftables and after
    /// `--nflog-group` in iptables; repeatable [default: 1]
    #[arg(long = "nflog.group", value_name = "GROUP", global = true)]
    pub groups: Vec<u16>,

    /// Install the nftables table `inet nflog_exporter`, which logs inbound packets to the group and has no
    /// verdicts; the kernel removes it when this process ends [default: false]
    #[arg(long = "rules.install", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub rules_install: Option<bool>,

    /// Interface whose packets that table logs; repeatable [default: all but loopback]
    #[arg(long = "rules.interface", value_name = "NAME", global = true)]
    pub rules_interfaces: Vec<String>,

    /// GeoIP database, .mmdb: country, city or ASN; repeatable, reloaded when the file is
    /// replaced [default: the embedded country database]
    #[arg(long = "geoip.database", value_name = "FILE", global = true)]
    pub databases: Vec<PathBuf>,

    /// Database for one row per packet.
    #[arg(
        long = "mirror.url",
        value_name = "URL",
        global = true,
        env = URL_VARIABLE,
        hide_env_values = true,
        value_parser = |url: &str| Ok::<_, std::convert::Infallible>(MirrorUrl::from(url)),
        help = "Database that keeps each packet as a row: mysql://USER:PASSWORD@HOST/DATABASE, \
                postgres://USER:PASSWORD@HOST/DATABASE or sqlite:PATH [default: none]"
    )]
    pub mirror_url: Option<MirrorUrl>,

    /// Addresses to serve HTTP on.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        global = true,
        // Brackets would be a link in the documentation.
        help = "Address to serve HTTP on: HOST:PORT, [IPv6]:PORT, or :PORT for all addresses; \
                repeatable [default: 127.0.0.1:10239]"
    )]
    pub listen_addresses: Vec<ListenAddress>,

    /// Use the listening sockets of a systemd socket unit instead of these addresses
    /// [default: false]
    #[arg(long = "web.systemd-socket", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub systemd_socket: Option<bool>,

    /// TLS and basic authentication: a file in the format of Prometheus's exporter-toolkit, reloaded when
    /// it changes [default: none]
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    pub web_config_file: Option<PathBuf>,

    /// Path of the metrics [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH", global = true)]
    pub telemetry_path: Option<String>,

    /// Serve POST /-/reload, which reloads the configuration like SIGHUP [default: false]
    #[arg(long = "web.enable-reload", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub enable_reload: Option<bool>,

    /// User to switch to after start-up, if started as root; `root` stays root
    /// [default: `nflog_exporter` if that user exists, else `nobody`]
    #[arg(long = "privileges.user", value_name = "USER", global = true)]
    pub user: Option<String>,

    /// Minimum severity of logged messages [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", value_enum, global = true)]
    pub log_level: Option<LogLevel>,

    /// Format of log lines [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT", value_enum, global = true)]
    pub log_format: Option<LogFormat>,
}

impl Flags {
    /// The validated configuration: flags override the file, which overrides the defaults. Each call reads the
    /// file.
    ///
    /// # Errors
    /// Every error of the file and the flags.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        self.load_checked(|_| Vec::new())
    }

    /// The same, with rules of the caller's: each broken one is a key and what is wrong with its value.
    ///
    /// # Errors
    /// Everything wrong with the file and the flags, the caller's rules among it.
    pub fn load_checked(
        &self,
        rules: impl FnOnce(&Config) -> Vec<(String, String)>,
    ) -> Result<Config, ConfigErrors> {
        let rules = |config: &Config| {
            rules(config).into_iter().map(|(key, text)| InvalidSetting { key, text }).collect()
        };
        let Some(path) = &self.config_file else { return combine(Source::Nothing, self, rules) };
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => combine(Source::read(&text, &name), self, rules),
            Err(error) => combine(Source::Unusable(vec![error]), self, rules),
        }
    }

    /// The configuration file if it is empty, which a failed write leaves.
    #[must_use]
    pub fn empty_file(&self) -> Option<&Path> {
        let path = self.config_file.as_deref()?;
        read(path).is_ok_and(|text| text.trim().is_empty()).then_some(path)
    }

    /// Sets what was given, and tells which keys that were.
    pub(super) fn apply(&self, config: &mut Config) -> Vec<Given> {
        let mut given = Vec::new();
        let Config { nflog, geoip, family: _, rules, mirror, web, privileges, log } = config;
        set(&mut given, "nflog.groups", "--nflog.group", list(&self.groups), &mut nflog.groups);
        set(&mut given, "rules.install", "--rules.install", self.rules_install, &mut rules.install);
        let interfaces = list(&self.rules_interfaces);
        set(&mut given, "rules.interfaces", "--rules.interface", interfaces, &mut rules.interfaces);
        let databases = list(&self.databases);
        set(&mut given, "geoip.databases", "--geoip.database", databases, &mut geoip.databases);
        if let Some(url) = self.mirror_url.clone().filter(|url| !url.is_empty()) {
            // It wins over the file's `url_file` too.
            mirror.url_file = PathBuf::new();
            set(&mut given, "mirror.url", "--mirror.url", Some(url), &mut mirror.url);
        }
        let addresses = list(&self.listen_addresses);
        let target = &mut web.listen_addresses;
        set(&mut given, "web.listen_addresses", "--web.listen-address", addresses, target);
        let path = self.telemetry_path.clone();
        let target = &mut web.telemetry_path;
        set(&mut given, "web.telemetry_path", "--web.telemetry-path", path, target);
        let target = &mut web.systemd_socket;
        set(&mut given, "web.systemd_socket", "--web.systemd-socket", self.systemd_socket, target);
        let file = self.web_config_file.clone();
        set(&mut given, "web.config_file", "--web.config.file", file, &mut web.config_file);
        let target = &mut web.enable_reload;
        set(&mut given, "web.enable_reload", "--web.enable-reload", self.enable_reload, target);
        let target = &mut privileges.user;
        set(&mut given, "privileges.user", "--privileges.user", self.user.clone(), target);
        set(&mut given, "log.level", "--log.level", self.log_level, &mut log.level);
        set(&mut given, "log.format", "--log.format", self.log_format, &mut log.format);
        given
    }
}

/// A repeatable flag: given at least once, or not at all.
fn list<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

fn set<T>(
    given: &mut Vec<Given>,
    key: &'static str,
    flag: &'static str,
    value: Option<T>,
    target: &mut T,
) {
    if let Some(value) = value {
        *target = value;
        given.push((key, flag));
    }
}
