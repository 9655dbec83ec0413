//! Checks on the metrics of the running exporter: its last reload, its losses, its outputs and its mirror.

use super::{
    Finding,
    response::{Metrics, RECEIVED},
};
use crate::config::Config;

/// Checks the metrics scraped at the beginning and at the end of the wait for packets.
pub(super) fn check(config: &Config, before: &Metrics, after: &Metrics) -> Vec<Finding> {
    let mut findings = vec![reload(after), loss(&config.nflog.groups, before, after)];
    findings.extend(rejected_senders(before, after));
    findings.extend(outputs(config, after));
    if config.mirror_servers().is_ok_and(|servers| servers.is_some()) {
        findings.extend(mirror(after));
    }
    findings
}

fn reload(metrics: &Metrics) -> Finding {
    match metrics.value("nflog_exporter_config_last_reload_successful") {
        Some(0.0) => Finding::failed(
            "reload",
            "the last reload of the configuration failed; the previous configuration is active",
            "see its log or `nflog_exporter config check` for the reason; fix the file and reload it",
        ),
        _ => Finding::ok("reload", "the last reload of the configuration succeeded"),
    }
}

fn loss(groups: &[u16], before: &Metrics, after: &Metrics) -> Finding {
    const LOST: &str = "nflog_exporter_lost_packets_total";
    let lost = after.of_groups(LOST, groups);
    let new = lost.saturating_sub(before.of_groups(LOST, groups));
    if new > 0 {
        return Finding::failed(
            "loss",
            format!("{new} packets lost during this check, {lost} since the exporter's start"),
            "raise nflog.receive_buffer, and log less: a limit in the rule, or only new connections",
        );
    }
    let all = lost + after.of_groups(RECEIVED, groups);
    Finding::ok("loss", format!("{lost} of {all} packets lost since the exporter's start"))
}

/// Reports senders of syslog messages that are not allowed; `None` if there were none. Anyone who can reach the listener can
/// send to it, so earlier ones are only a hint.
fn rejected_senders(before: &Metrics, after: &Metrics) -> Option<Finding> {
    let count = |metrics: &Metrics| {
        let metric = "nflog_exporter_kernel_log_rejected_senders_total";
        metrics.of_label(metric, "reason", "not_allowed").unwrap_or(0)
    };
    let (all, new) = (count(after), count(after).saturating_sub(count(before)));
    if all == 0 {
        return None;
    }
    let what = format!(
        "{all} syslog datagrams or connections of senders that are not allowed were rejected since the exporter's start, \
         {new} of them during this check"
    );
    let fix = "if these hosts should send, add their networks to kernel_log.allow (the exporter's log names an address); \
               otherwise let the firewall accept the port only from the senders";
    Some(match new {
        0 => Finding::hint("kernel_log_senders", what, fix),
        _ => Finding::failed("kernel_log_senders", what, fix),
    })
}

/// Checks whether the running exporter's outputs accept rows; `None` if all do, or there are none.
fn outputs(config: &Config, metrics: &Metrics) -> Option<Finding> {
    let is_down =
        |name: &&str| metrics.of_label("nflog_exporter_output_up", "output", name) == Some(0);
    let down: Vec<_> =
        config.output.iter().map(|output| output.name.as_str()).filter(is_down).collect();
    (!down.is_empty()).then(|| {
        Finding::failed(
            "outputs",
            format!(
                "these outputs of the running exporter accept no rows (nflog_exporter_output_up is 0): {}",
                down.join(", ")
            ),
            "see its log for the reason; packets wait in the queue of the output, and the newest are dropped when it is full",
        )
    })
}

/// Checks whether the running exporter writes rows; `None` if it does.
fn mirror(metrics: &Metrics) -> Option<Finding> {
    match metrics.value("nflog_exporter_mirror_up") {
        Some(0.0) => Some(Finding::failed(
            "mirror",
            "the running exporter cannot write rows (nflog_exporter_mirror_up is 0)",
            "see its log for the reason; rows wait in the spool meanwhile",
        )),
        Some(_) => None,
        None => Some(Finding::failed(
            "mirror",
            "the running exporter writes no rows: its configuration differs from this one",
            "restart it (a reload does not apply changes of the mirror), or run the doctor with its \
             configuration",
        )),
    }
}
