//! Checks this host step by step for what keeps packets from being counted, and says how to fix it.
//!
//! It looks, and changes nothing but what the exporter itself would change at its start: tables that
//! the mirror lacks are made.

mod databases;
mod exporter;
mod flow;
mod group;
mod host;
mod logging_rules;
mod peers;
mod report;
mod rights;
mod unit;
mod word;

use std::time::Duration;

use self::exporter::{Exporter, Voice};
use crate::config::{Config, Flags};

pub use report::{Finding, Status, to_json, to_text};

/// Goes through all checks, and waits so long for a packet; a wrong configuration is the first that fails,
/// and the last.
#[must_use]
pub fn examine(flags: &Flags, wait: Duration) -> Vec<Finding> {
    let config = match flags.load() {
        Ok(config) => config,
        Err(error) => {
            let fix = "correct the configuration; `nflog_exporter config show` prints every key";
            return vec![Finding::failed("config", error.to_string(), fix)];
        }
    };
    let exporter = Exporter::find(&config);
    let exporter = exporter.as_ref();
    let mut findings = vec![looked_at(flags)];
    findings.push(exporter::exporter(&config, exporter));
    findings.push(peers::web_config(&config));
    findings.push(host::kernel(&config));
    findings.push(host::capability());
    findings.push(rights::rights(flags, &config, exporter));
    findings.extend(unit::sandbox(flags, &config));
    findings.extend(config.nflog.groups.iter().map(|group| group::group(*group, exporter)));
    findings.extend(logging_rules::check(&config, exporter.is_some()));
    findings.push(host::receive_buffer(&config));
    findings.push(host::interfaces(&config));
    findings.extend(packets(&config, exporter, wait));
    findings.extend(databases::geoip(&config));
    findings.push(databases::spool(&config));
    findings.extend(databases::mirror(&config));
    findings.extend(peers::ports(&config, exporter));
    findings.push(peers::prometheus(exporter));
    findings
}

/// Which configuration all else is about.
fn looked_at(flags: &Flags) -> Finding {
    let what = match &flags.config_file {
        Some(file) => format!("{} is valid", file.display()),
        None => {
            "no file: the defaults, and flags; name the service's file with --config.file".into()
        }
    };
    Finding::ok("config", what)
}

/// Whether packets come, and what the exporter that runs says of itself while they do.
fn packets(config: &Config, exporter: Option<&Exporter>, wait: Duration) -> Vec<Finding> {
    let Some(exporter) = exporter else { return vec![flow::own(config, wait)] };
    match &exporter.voice {
        Voice::Closed(why) => vec![flow::closed(exporter, why)],
        Voice::Metrics(before) => {
            let (mut findings, after) = flow::through(config, exporter, before, wait);
            findings.extend(word::of(config, before, after.as_ref().unwrap_or(before)));
            findings
        }
    }
}
