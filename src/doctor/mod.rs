//! Diagnoses why packets are not counted on this host, and suggests fixes.
//!
//! The checks change nothing except what the exporter changes at its start: missing tables of the mirror are
//! created.

mod databases;
mod exporter_checks;
mod file_access;
mod group;
mod host;
mod kernel_log;
mod logging_rules;
mod packets;
mod peers;
mod report;
mod response;
mod running_exporter;
mod unit;

use std::time::Duration;

use self::running_exporter::RunningExporter;
use crate::config::{Config, ConfigErrors, Flags};

pub use report::{Finding, Status, to_json, to_text};

/// Runs all checks, and waits for packets for at most `wait`. `rules` are those of [`Flags::load_checked`]. A configuration
/// that breaks other rules is the only finding.
#[must_use]
pub fn examine(
    flags: &Flags,
    rules: impl FnOnce(&Config) -> Vec<(String, String)>,
    wait: Duration,
) -> Vec<Finding> {
    let config = match flags.load() {
        Ok(config) => config,
        Err(errors) => return vec![invalid(&errors)],
    };
    let exporter = RunningExporter::find(&config);
    let exporter = exporter.as_ref();
    let mut findings = vec![config_file(flags, rules)];
    findings.push(running_exporter::check(&config, exporter));
    findings.push(peers::web_config(&config));
    let has_groups = !config.nflog.groups.is_empty();
    if has_groups {
        findings.push(host::kernel(&config));
        findings.extend(host::conntrack(&config));
        findings.push(host::capability());
    }
    findings.push(file_access::check(flags, &config, exporter, unit::account(flags)));
    findings.extend(unit::sandbox(flags, &config));
    findings.extend(config.nflog.groups.iter().map(|group| group::check(*group, exporter)));
    if has_groups {
        findings.extend(logging_rules::check(&config, exporter.is_some()));
        findings.push(host::receive_buffer(&config));
    }
    findings.extend(kernel_log::check(&config, exporter));
    findings.push(host::interfaces(&config));
    findings.extend(check_packets(&config, exporter, wait));
    findings.extend(databases::geoip(&config));
    findings.push(databases::spool(&config));
    findings.extend(databases::mirror(&config));
    findings.extend(peers::ports(&config, exporter));
    findings.push(peers::prometheus(exporter));
    findings
}

/// Checks the configuration and the files that it names, and names its file.
fn config_file(flags: &Flags, rules: impl FnOnce(&Config) -> Vec<(String, String)>) -> Finding {
    if let Err(errors) = flags.load_checked(rules) {
        return invalid(&errors);
    }
    if let Some(file) = flags.empty_file() {
        return Finding::hint(
            "config",
            format!("{} is empty, so every key has its default", file.display()),
            "if that is not intended, write it again",
        );
    }
    let what = match &flags.config_file {
        Some(file) => format!("{} is valid", file.display()),
        None => "no file: defaults and flags; to check a service, pass its file with --config.file"
            .into(),
    };
    Finding::ok("config", what)
}

/// The finding for an invalid configuration.
fn invalid(errors: &ConfigErrors) -> Finding {
    let fix = "fix the configuration; `nflog_exporter config show` prints every key";
    Finding::failed("config", errors.to_string(), fix)
}

/// Checks whether packets arrive, and the running exporter's metrics meanwhile.
fn check_packets(
    config: &Config,
    exporter: Option<&RunningExporter>,
    wait: Duration,
) -> Vec<Finding> {
    let Some(exporter) = exporter else {
        let has_groups = !config.nflog.groups.is_empty();
        return has_groups.then(|| packets::of_groups(config, wait)).into_iter().collect();
    };
    match &exporter.scraped {
        Err(why) => vec![packets::unavailable(exporter, why)],
        Ok(before) => {
            let (mut findings, after) = packets::of_exporter(config, exporter, before, wait);
            let after = after.as_ref().unwrap_or(before);
            findings.extend(exporter_checks::check(config, before, after));
            findings
        }
    }
}
