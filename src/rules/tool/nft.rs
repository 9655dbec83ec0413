//! Rules for nft: a table of our own for what begins; for what is dropped, a rule in the chains that
//! drop.

use std::fmt::Write as _;

use super::{NOT_DROPPED, RulesPlan, Wanted};

/// The table of our own, which goes beside any other.
const TABLE: &str = "nflog_rules";

pub(super) fn text(plan: &RulesPlan) -> String {
    match plan.wanted {
        // Just before `raw` (-300), so that what a rule there drops is seen too.
        Wanted::All => table(plan, "-310", ""),
        // Behind conntrack, which is at -200.
        Wanted::New => table(plan, "-150", "ct state new "),
        Wanted::Dropped => dropped(plan),
    }
}

fn log(plan: &RulesPlan) -> String {
    let limit = match plan.limit {
        Some(limit) => format!("limit rate {limit}/second burst {limit} packets "),
        None => String::new(),
    };
    format!(
        "{limit}log prefix \"{}\" group {} snaplen {} queue-threshold {}",
        plan.prefix, plan.group, plan.copy_range, plan.queue_threshold
    )
}

fn table(plan: &RulesPlan, priority: &str, state: &str) -> String {
    let mut spare = String::new();
    for port in &plan.spare_tcp_ports {
        // Writing to a string does not fail.
        let _ = writeln!(spare, "        tcp dport {port} return");
    }
    format!(
        "#!/usr/sbin/nft -f\n\
         {title}\
         # Load, as often as you like: nft -f FILE; for good: include \"/path/of/FILE\" at the end of\n\
         # /etc/nftables.conf.\n\
         # Remove: nft delete table inet {TABLE}\n\
         # Not needed any more: rules with `log` and no group, which write to the kernel's log.\n\
         table inet {TABLE}\n\
         delete table inet {TABLE}\n\
         table inet {TABLE} {{\n    \
             chain inbound {{\n        \
                 type filter hook prerouting priority {priority}; policy accept;\n        \
                 iif \"lo\" return\n\
         {spare}        \
                 {state}{log}\n    \
             }}\n\
         }}\n",
        title = plan.title(plan.limit),
        log = log(plan)
    )
}

/// No file for `nft -f`: where the rule belongs, and whether it may stand there at all, only a look at
/// the chains tells.
fn dropped(plan: &RulesPlan) -> String {
    let rule = format!("iif != \"lo\" {} comment \"nflog_exporter\"", log(plan));
    format!(
        "#!/bin/sh\n\
         {title}\
         {NOT_DROPPED}\
         {usage}\
         # Run it again whenever your rules were changed or loaded: rules behind this one could accept what it\n\
         # has logged. Or write it into your own file, as the last rule of a chain that has `policy drop`, or\n\
         # right before a last rule `drop` or `reject`:\n\
         #   {rule}\n\
         # Not needed any more: rules with `log` and no group, which write to the kernel's log.\n\
         set -e\n\
         rule='{rule}'\n\
         {body}",
        title = plan.title(plan.limit),
        usage = plan.usage("nft"),
        body = include_str!("nft_dropped.sh"),
    )
}
