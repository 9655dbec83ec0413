//! Who reads a group: nobody, the exporter of this configuration, or somebody who is in its way.

use super::{
    Finding,
    exporter::{Exporter, RECEIVED, Voice, is_ours},
};
use crate::{
    source::nflog::{Holder, holder},
    system::socket_owner::ports_of,
};

pub(super) fn group(group: u16, exporter: Option<&Exporter>) -> Finding {
    // Only who reads a group counts its packets.
    let reader = exporter.filter(|exporter| {
        exporter.metrics().is_some_and(|metrics| metrics.of_group(RECEIVED, group).is_some())
    });
    match (holder(group), reader) {
        (Ok(Some(holder)), _) => held(group, &holder, exporter, reader),
        (Ok(None), Some(exporter)) => Finding::failed(
            "group",
            format!(
                "nobody reads group {group} here: the exporter that answers at {} does it in another \
                 network namespace",
                exporter.address
            ),
            "run it in the namespace whose firewall logs (containers: --network host), or the doctor in \
             the exporter's",
        ),
        (Ok(None), None) => Finding::ok("group", format!("group {group} is free")),
        (Err(_), Some(exporter)) => read_by_answer(group, exporter),
        (Err(why), None) => {
            Finding::skipped("group", format!("who reads group {group} cannot be told: {why}"))
        }
    }
}

fn held(
    group: u16,
    holder: &Holder,
    exporter: Option<&Exporter>,
    reader: Option<&Exporter>,
) -> Finding {
    let ok = || Finding::ok("group", format!("group {group} is read by {holder}"));
    let Some((pid, name)) = &holder.program else {
        return match (reader, exporter.map(|exporter| &exporter.voice)) {
            // It runs where its process cannot be seen.
            (Some(exporter), _) => read_by_answer(group, exporter),
            (None, Some(Voice::Closed(why))) => Finding::unknown(
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
        "stop that instance, or read another group; if it is the one you mean, give the doctor its \
         configuration (--config.file, --web.listen-address)",
    )
}

fn read_by_answer(group: u16, exporter: &Exporter) -> Finding {
    let what =
        format!("group {group} is read by the exporter that answers at {}", exporter.address);
    Finding::ok("group", what)
}

fn taken(group: u16, holder: &Holder) -> Finding {
    Finding::failed(
        "group",
        format!("group {group} is held by {holder}; a group has one reader"),
        "stop that program, or let the rules log to another group and read that with --nflog.group",
    )
}
