//! Checks which process has a group bound: none, the exporter of this configuration, or another one.

use super::{
    Finding,
    running_exporter::{RunningExporter, is_ours},
};
use crate::{
    source::nflog::{GroupHolder, holder},
    system::socket_owner::ports_of,
};

pub(super) fn check(group: u16, exporter: Option<&RunningExporter>) -> Finding {
    let reader = exporter.filter(|exporter| exporter.reads(group));
    match (holder(group), reader) {
        (Ok(Some(holder)), _) => held(group, &holder, exporter, reader),
        (Ok(None), Some(exporter)) => Finding::failed(
            "group",
            format!(
                "no process reads group {group} in this network namespace: the exporter that answers at {} \
                 runs in another one",
                exporter.address
            ),
            "run the exporter in the namespace whose firewall logs (containers: --network host), or the \
             doctor in the exporter's",
        ),
        (Ok(None), None) => Finding::ok("group", format!("group {group} is free")),
        (Err(_), Some(exporter)) => read_by_answer(group, exporter),
        (Err(why), None) => {
            Finding::skipped("group", format!("cannot find the reader of group {group}: {why}"))
        }
    }
}

fn held(
    group: u16,
    holder: &GroupHolder,
    exporter: Option<&RunningExporter>,
    reader: Option<&RunningExporter>,
) -> Finding {
    let ok = || Finding::ok("group", format!("group {group} is read by {holder}"));
    let Some((pid, name)) = &holder.program else {
        return match (reader, exporter.map(|exporter| &exporter.scraped)) {
            // Its process is invisible here.
            (Some(exporter), _) => read_by_answer(group, exporter),
            (None, Some(Err(why))) => Finding::unknown(
                "group",
                format!("group {group} is held by {holder}, perhaps by the exporter, but {why}"),
            ),
            (None, _) => taken(group, holder),
        };
    };
    if !is_ours(name) {
        return taken(group, holder);
    }
    if exporter.is_some_and(|exporter| exporter.may_be(*pid)) {
        return ok();
    }
    let ports: Vec<String> = ports_of(*pid).iter().map(ToString::to_string).collect();
    let ports =
        if ports.is_empty() { "no port".into() } else { format!("port {}", ports.join(", ")) };
    Finding::failed(
        "group",
        format!("group {group} is held by another instance, {holder}, which serves {ports}"),
        "stop that instance, or read another group; to check that instance, run the doctor with its \
         configuration (--config.file, --web.listen-address)",
    )
}

fn read_by_answer(group: u16, exporter: &RunningExporter) -> Finding {
    let what =
        format!("group {group} is read by the exporter that answers at {}", exporter.address);
    Finding::ok("group", what)
}

fn taken(group: u16, holder: &GroupHolder) -> Finding {
    Finding::failed(
        "group",
        format!("group {group} is held by {holder}; a group has one reader"),
        "stop that program, or change the rules to log to another group and read it with --nflog.group",
    )
}
