//! This host looked over, step by step: what keeps packets from being counted, and how to mend it.
//!
//! It looks, and changes nothing but what the exporter itself would change at its start: tables that
//! the mirror lacks are made.

mod databases;
mod flow;
mod host;
mod logging_rules;
mod peers;
mod report;

use crate::config::{Config, ConfigError};

pub use report::{Finding, Status, to_json, to_text};

/// Goes through all checks; a wrong configuration is the first that fails, and the last.
#[must_use]
pub fn examine(config: Result<Config, ConfigError>) -> Vec<Finding> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let mend = "correct the configuration; `nflog_exporter config show` prints every key";
            return vec![Finding::failed("config", error.to_string(), mend)];
        }
    };
    let mut findings = vec![Finding::ok("config", "the configuration is valid")];
    findings.push(peers::web_config(&config));
    findings.push(host::kernel());
    findings.push(host::capability());
    findings.extend(config.nflog.groups.iter().map(|group| host::group(*group)));
    findings.extend(logging_rules::check(&config, false));
    findings.push(host::receive_buffer(&config));
    findings.push(host::interfaces(&config));
    let running = peers::running(&config);
    findings.push(flow::packets(&config, running.as_ref()));
    findings.extend(databases::geoip(&config));
    findings.push(databases::spool(&config));
    findings.extend(databases::mirror(&config));
    findings.extend(peers::ports(&config, running.as_ref()));
    findings.push(peers::prometheus(&config, running.as_ref()));
    findings
}
