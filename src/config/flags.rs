//! The flags that set configuration keys. They override the file.

use std::path::PathBuf;

use clap::{ArgAction, Args, builder::BoolishValueParser};

use super::Config;
use crate::{
    mirror::config::{MirrorUrl, URL_VARIABLE},
    source::kernel_log::syslog::{SenderNetwork, SyslogAddress},
    system::logging::{LogFormat, LogLevel},
    web::ListenAddress,
};

/// A key that a flag set: the key with dots, and the flag with its dashes.
pub(super) type SetByFlag = (&'static str, &'static str);

/// The configuration file and the flags that override it: all that is needed to load the configuration, and to reload
/// it later.
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

    /// Read firewall log lines of the kernel from /dev/kmsg: rules with LOG, nftables `log`, ufw [default: false]
    #[arg(long = "kernel-log.kmsg", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub kmsg: Option<bool>,

    /// Follow a log file with firewall log lines, such as /var/log/kern.log; the last part of the path can contain
    /// * and ?; - is standard input; repeatable [default: none]
    #[arg(long = "kernel-log.file", value_name = "PATTERN", global = true)]
    pub log_files: Vec<PathBuf>,

    /// Receive syslog messages, of routers for example: udp://ADDRESS:PORT, tcp:// or tls://; repeatable
    /// [default: none]
    #[arg(long = "kernel-log.syslog", value_name = "URL", global = true)]
    pub syslog: Vec<SyslogAddress>,

    /// Network whose hosts can send syslog messages, such as 192.0.2.0/24; repeatable [default: this host]
    #[arg(long = "kernel-log.allow", value_name = "NETWORK", global = true)]
    pub allow: Vec<SenderNetwork>,

    /// Install the nftables table `inet nflog_exporter`, which logs inbound packets to the group and has no
    /// verdicts; the kernel removes it when this process ends [default: false]
    #[arg(long = "rules.install", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub rules_install: Option<bool>,

    /// Interface whose packets that table logs; repeatable [default: all except loopback]
    #[arg(long = "rules.interface", value_name = "NAME", global = true)]
    pub rules_interfaces: Vec<String>,

    /// GeoIP database, .mmdb: country, city or ASN; repeatable, reloaded when the file is
    /// replaced [default: those of `geoip update`, or the embedded country database]
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
                postgres://USER:PASSWORD@HOST/DATABASE, clickhouse://USER:PASSWORD@HOST/DATABASE or sqlite:PATH; MySQL and PostgreSQL take several hosts, \
                HOST1:PORT,HOST2:PORT [default: none]"
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

    /// Show sources and packets of the mirror's database on the page, to clients on loopback or with a password
    /// [default: true]
    #[arg(long = "web.drilldown", value_name = "BOOL", global = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub drilldown: Option<bool>,

    /// User to switch to after start-up, if started as root; `root` stays root
    /// [default: `nflog_exporter` if that user exists, otherwise `nobody`]
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
    /// Sets the keys of the given flags; returns these keys.
    pub(super) fn apply(&self, config: &mut Config) -> Vec<SetByFlag> {
        let mut keys = Vec::new();
        let Config {
            nflog,
            kernel_log,
            geoip,
            networks: _,
            list: _,
            family: _,
            rules,
            mirror,
            output: _,
            history: _,
            web,
            privileges,
            log,
        } = config;
        set(&mut keys, "nflog.groups", "--nflog.group", list(&self.groups), &mut nflog.groups);
        set(&mut keys, "kernel_log.kmsg", "--kernel-log.kmsg", self.kmsg, &mut kernel_log.kmsg);
        let files = list(&self.log_files);
        set(&mut keys, "kernel_log.files", "--kernel-log.file", files, &mut kernel_log.files);
        let addresses = list(&self.syslog);
        set(
            &mut keys,
            "kernel_log.syslog",
            "--kernel-log.syslog",
            addresses,
            &mut kernel_log.syslog,
        );
        let networks = list(&self.allow);
        set(&mut keys, "kernel_log.allow", "--kernel-log.allow", networks, &mut kernel_log.allow);
        set(&mut keys, "rules.install", "--rules.install", self.rules_install, &mut rules.install);
        let interfaces = list(&self.rules_interfaces);
        set(&mut keys, "rules.interfaces", "--rules.interface", interfaces, &mut rules.interfaces);
        let databases = list(&self.databases);
        set(&mut keys, "geoip.databases", "--geoip.database", databases, &mut geoip.databases);
        if let Some(url) = self.mirror_url.clone().filter(|url| !url.is_empty()) {
            // The flag overrides `url_file` too.
            mirror.url_file = PathBuf::new();
            set(&mut keys, "mirror.url", "--mirror.url", Some(url), &mut mirror.url);
        }
        let addresses = list(&self.listen_addresses);
        let target = &mut web.listen_addresses;
        set(&mut keys, "web.listen_addresses", "--web.listen-address", addresses, target);
        let path = self.telemetry_path.clone();
        let target = &mut web.telemetry_path;
        set(&mut keys, "web.telemetry_path", "--web.telemetry-path", path, target);
        let target = &mut web.systemd_socket;
        set(&mut keys, "web.systemd_socket", "--web.systemd-socket", self.systemd_socket, target);
        let file = self.web_config_file.clone();
        set(&mut keys, "web.config_file", "--web.config.file", file, &mut web.config_file);
        let target = &mut web.enable_reload;
        set(&mut keys, "web.enable_reload", "--web.enable-reload", self.enable_reload, target);
        set(&mut keys, "web.drilldown", "--web.drilldown", self.drilldown, &mut web.drilldown);
        let target = &mut privileges.user;
        set(&mut keys, "privileges.user", "--privileges.user", self.user.clone(), target);
        set(&mut keys, "log.level", "--log.level", self.log_level, &mut log.level);
        set(&mut keys, "log.format", "--log.format", self.log_format, &mut log.format);
        keys
    }
}

/// The values of a repeatable flag; `None` if the flag is not given.
fn list<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

fn set<T>(
    keys: &mut Vec<SetByFlag>,
    key: &'static str,
    flag: &'static str,
    value: Option<T>,
    target: &mut T,
) {
    if let Some(value) = value {
        *target = value;
        keys.push((key, flag));
    }
}
