//! The word of the exporter that runs: whether its configuration, its mirror and its packets are well.

use super::{Finding, exporter::Metrics};
use crate::config::Config;

/// What it says, by its metrics at the begin and at the end of the doctor's look.
pub(super) fn of(config: &Config, before: &Metrics, after: &Metrics) -> Vec<Finding> {
    let mut findings = vec![reload(after), loss(&config.nflog.groups, before, after)];
    if config.mirror_target().is_ok_and(|target| target.is_some()) {
        findings.extend(mirror(after));
    }
    findings
}

fn reload(metrics: &Metrics) -> Finding {
    match metrics.value("nflog_exporter_config_last_reload_successful") {
        Some(0.0) => Finding::failed(
            "reload",
            "the exporter could not load its configuration again, and goes on with the old one",
            "its log says why, and so does `nflog_exporter config check`; fix the file and reload it",
        ),
        _ => Finding::ok(
            "reload",
            "the exporter has the configuration that it was last told to load",
        ),
    }
}

fn loss(groups: &[u16], before: &Metrics, after: &Metrics) -> Finding {
    const LOST: &str = "nflog_exporter_lost_packets_total";
    let lost = after.of_groups(LOST, groups);
    let more = lost.saturating_sub(before.of_groups(LOST, groups));
    if more > 0 {
        return Finding::failed(
            "loss",
            format!("{more} packets were lost while we looked, {lost} since the exporter's start"),
            "raise nflog.receive_buffer, and log less: a limit in the rule, or only new connections",
        );
    }
    let all = lost + after.of_groups(super::exporter::RECEIVED, groups);
    Finding::ok("loss", format!("{lost} of {all} packets lost since the exporter's start"))
}

/// Why the rows of the exporter that runs are not written, if they are not.
fn mirror(metrics: &Metrics) -> Option<Finding> {
    match metrics.value("nflog_exporter_mirror_up") {
        Some(0.0) => Some(Finding::failed(
            "mirror",
            "the exporter that runs cannot write its rows now (nflog_exporter_mirror_up is 0)",
            "its log says why; rows wait in the spool meanwhile",
        )),
        Some(_) => None,
        None => Some(Finding::failed(
            "mirror",
            "the exporter that runs writes no rows: it has another configuration than this one",
            "restart it (a change of the mirror takes that), or give the doctor its configuration",
        )),
    }
}
