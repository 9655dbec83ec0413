//! Warnings about settings that are valid, and have no effect or count packets twice.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    config::Config,
    geoip::DatabaseStatus,
    metrics::Dimension,
    output::OutputConfig,
    source::kernel_log::{KernelLogConfig, Pattern, config::StartAt, syslog::SyslogTlsConfig},
};

/// Files in which a syslog daemon writes the kernel's messages by default.
const COPIES_OF_THE_KERNEL_LOG: [&str; 6] =
    ["kern.log", "syslog", "messages", "ufw.log", "firewall", "firewalld"];

/// Directory of the log files that have this host's kernel messages.
const LOGS: &str = "/var/log";

/// The warnings, each with its key, what follows, and what to do.
pub(super) fn warnings(config: &Config, databases: &[DatabaseStatus]) -> Vec<String> {
    let mut warnings = empty_labels(config, databases);
    warnings.extend(double_lines(&config.kernel_log));
    warnings.extend(unused_keys(&config.kernel_log));
    warnings.extend(outputs_without_rows(config));
    warnings.extend(unused_interfaces(config));
    warnings
}

/// Labels that no packet can have.
fn empty_labels(config: &Config, databases: &[DatabaseStatus]) -> Vec<String> {
    let mut warnings = Vec::new();
    for family in &*config.family {
        for label in &family.labels {
            let Some((reason, action)) = why_empty(*label, config, databases) else { continue };
            warnings.push(format!(
                "family.{}.labels: the label {} is always empty, because {reason}: {action}, or remove the label",
                family.name,
                label.name()
            ));
        }
    }
    warnings
}

/// Why a label has no value with this configuration, and what to set.
fn why_empty(
    label: Dimension,
    config: &Config,
    databases: &[DatabaseStatus],
) -> Option<(&'static str, &'static str)> {
    let lines = &config.kernel_log;
    let has_groups = !config.nflog.groups.is_empty();
    Some(match label {
        Dimension::Host if lines.syslog.is_empty() && lines.files.is_empty() => (
            "only syslog messages and log files name another host",
            "set kernel_log.syslog or kernel_log.files",
        ),
        Dimension::CtState | Dimension::CtZone if !has_groups => {
            ("only NFLOG has data of conntrack", "set nflog.groups and nflog.conntrack")
        }
        Dimension::CtState | Dimension::CtZone if !config.nflog.conntrack => {
            ("nflog.conntrack is false", "set nflog.conntrack = true")
        }
        Dimension::Hook if !has_groups => {
            ("lines of the kernel log do not name the hook", "set nflog.groups")
        }
        Dimension::SourceNetworkName | Dimension::DestinationNetworkName
            if config.networks.file.as_os_str().is_empty() =>
        {
            ("networks.file is not set", "set networks.file")
        }
        Dimension::List if config.list.is_empty() => ("there is no [[list]]", "add a [[list]]"),
        Dimension::Asn if !databases.iter().any(|it| it.provides.contains("ASN")) => (
            "no GeoIP database provides AS numbers",
            "run `nflog_exporter geoip update --edition asn`, or add one to geoip.databases",
        ),
        _ => return None,
    })
}

/// Outputs whose format needs the bytes of packets, of which no source has any.
fn outputs_without_rows(config: &Config) -> Vec<String> {
    if !config.nflog.groups.is_empty() {
        return Vec::new();
    }
    let without = config.output.iter().filter(|output| output.format.needs_bytes());
    let warning = |output: &OutputConfig| {
        format!(
            "output.{}.format: it has no rows, because lines of the kernel log do not have the bytes of packets: use \"json\" \
             or \"ecs\", or set nflog.groups",
            output.name
        )
    };
    without.map(warning).collect()
}

/// Sources that have the same lines.
fn double_lines(config: &KernelLogConfig) -> Vec<String> {
    let mut by_directory: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for pattern in config.patterns() {
        for file in copies(&pattern) {
            let known = by_directory.entry(pattern.directory().to_owned()).or_default();
            if !known.contains(&file) {
                known.push(file);
            }
        }
    }
    let mut warnings = Vec::new();
    let own = by_directory.get(Path::new(LOGS)).filter(|_| config.kmsg);
    if let Some(files) = own {
        warnings.push(format!(
            "kernel_log.kmsg: a syslog daemon writes the lines of /dev/kmsg to {} too, so packets count twice: remove \
             these files from kernel_log.files, or set kernel_log.kmsg = false",
            list(files)
        ));
    }
    for files in by_directory.values().filter(|files| files.len() > 1) {
        warnings.push(format!(
            "kernel_log.files: a syslog daemon writes the same lines to {}, so packets count twice: keep one of them",
            list(files)
        ));
    }
    warnings
}

/// The files of a pattern that have the kernel's messages by default: those that exist, or the one that is named.
fn copies(pattern: &Pattern) -> Vec<PathBuf> {
    let files = pattern.path().map_or_else(|| pattern.files(), |path| vec![path]);
    let is_copy = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        COPIES_OF_THE_KERNEL_LOG.iter().any(|copy| name == *copy)
    };
    files.into_iter().filter(is_copy).collect()
}

fn list(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    files.join(" and ")
}

/// Interfaces without the table that they are for.
fn unused_interfaces(config: &Config) -> Option<String> {
    let is_unused = !config.rules.interfaces.is_empty() && !config.rules.install;
    is_unused.then(|| {
        "rules.interfaces: it has no effect, because rules.install is false: set rules.install = true, or remove the key"
            .to_owned()
    })
}

/// Keys of `[kernel_log]` without a source that uses them.
fn unused_keys(config: &KernelLogConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut unused = |is_set: bool, is_used: bool, key: &str, source: &str| {
        if is_set && !is_used {
            warnings.push(format!(
                "kernel_log.{key}: it has no effect, because {source} is not set: set it, or remove the key"
            ));
        }
    };
    unused(!config.allow.is_empty(), !config.syslog.is_empty(), "allow", "kernel_log.syslog");
    let has_start = config.kmsg || !config.patterns().is_empty();
    let sources = "kernel_log.kmsg or a file in kernel_log.files";
    unused(config.from != StartAt::End, has_start, "from", sources);
    let address = "an address tls:// in kernel_log.syslog";
    unused(config.tls != SyslogTlsConfig::default(), config.uses_tls(), "tls", address);
    let state_file = KernelLogConfig::default().state_file;
    let has_files = !config.patterns().is_empty();
    unused(config.state_file != state_file, has_files, "state_file", "a file in kernel_log.files");
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    /// The keys of the warnings about a configuration.
    fn keys(toml: &str) -> Vec<String> {
        let config = parse(toml, "config.toml").unwrap();
        let warnings = warnings(&config, &[]);
        warnings.iter().map(|warning| warning.split(": ").next().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn check(toml: &str, expect: &[&str]) {
        assert_eq!(keys(toml), expect, "{toml}");
    }

    #[test]
    fn interfaces_without_the_table() {
        check("[rules]\ninterfaces = ['eth0']", &["rules.interfaces"]);
        check("[rules]\ninstall = true\ninterfaces = ['eth0']", &[]);
    }

    #[test]
    fn labels_without_a_source() {
        check("", &[]);
        let family = |label: &str| format!("[[family]]\nname = 'x'\nlabels = ['{label}']\n");
        for (label, remedy) in [
            ("host", "[kernel_log]\nsyslog = ['udp://127.0.0.1:514']"),
            ("host", "[kernel_log]\nfiles = ['/var/log/routers.log']"),
            ("ct_state", "[nflog]\nconntrack = true"),
            ("ct_zone", "[nflog]\nconntrack = true"),
            ("source_network_name", "[networks]\nfile = 'a'"),
            ("destination_network_name", "[networks]\nfile = 'a'"),
            ("list", "[[list]]\nname = 'a'\nfile = 'a'"),
        ] {
            check(&family(label), &["family.x.labels"]);
            check(&[&family(label), remedy].concat(), &[]);
        }
        check(&family("asn"), &["family.x.labels"]);
        let lines = "[nflog]\ngroups = []\nconntrack = true\n[kernel_log]\nkmsg = true";
        check(&[&family("hook"), lines].concat(), &["family.x.labels"]);
        check(&[&family("ct_state"), lines].concat(), &["family.x.labels"]);
        check(&family("hook"), &[]);
    }

    #[test]
    fn an_asn_database_gives_the_label_a_value() {
        let config = parse("[[family]]\nname = 'x'\nlabels = ['asn']", "config.toml").unwrap();
        let database = DatabaseStatus {
            name: "a".into(),
            build_timestamp: 0,
            edition: "GeoLite2-ASN".into(),
            provides: "ASN".into(),
            reloads_ok: 0,
            reloads_failed: 0,
        };
        assert_eq!(warnings(&config, &[database]), Vec::<String>::new());
    }

    #[test]
    fn lines_that_are_read_twice() {
        check("[kernel_log]\nkmsg = true\nfiles = ['/var/log/kern.log']", &["kernel_log.kmsg"]);
        check("[kernel_log]\nkmsg = true\nfiles = ['/srv/gw1/kern.log']", &[]);
        check(
            "[kernel_log]\nfiles = ['/var/log/kern.log', '/var/log/ufw.log']",
            &["kernel_log.files"],
        );
        check("[kernel_log]\nfiles = ['/srv/gw1/kern.log', '/srv/gw2/kern.log']", &[]);
        let directory = tempfile::tempdir().unwrap();
        let pattern = directory.path().join("*.log");
        let toml = format!("[kernel_log]\nfiles = ['{}']", pattern.display());
        std::fs::write(directory.path().join("kern.log"), "").unwrap();
        check(&toml, &[]);
        std::fs::write(directory.path().join("ufw.log"), "").unwrap();
        check(&toml, &["kernel_log.files"]);
    }

    #[test]
    fn outputs_of_lines() {
        let output = |format: &str| {
            format!("[[output]]\nname = 'x'\ntarget = 'stdout:'\nformat = '{format}'\n")
        };
        let lines = "[kernel_log]\nkmsg = true\n";
        check(&output("logemu"), &[]);
        check(&[lines, &output("json")].concat(), &[]);
        check(&[lines, &output("logemu")].concat(), &["output.x.format"]);
    }

    #[test]
    fn keys_without_a_source() {
        check("[kernel_log]\nallow = ['192.0.2.0/24']", &["kernel_log.allow"]);
        check("[kernel_log]\nfrom = 'start'", &["kernel_log.from"]);
        check("[kernel_log]\nfrom = 'start'\nkmsg = true", &[]);
        check("[kernel_log]\nfrom = 'start'\nfiles = ['-']", &["kernel_log.from"]);
        check("[kernel_log]\ntls.cert_file = 'a'", &["kernel_log.tls"]);
        check(
            "[kernel_log]\nstate_file = '/a/b'\nsyslog = ['udp://127.0.0.1:514']",
            &["kernel_log.state_file"],
        );
    }
}
