//! Rules for firewalld: a script of `firewall-cmd` calls.

use std::fmt::Write as _;

use super::{CHAIN, NOT_DROPPED, RulesPlan, Wanted};

/// The limit that is kept where no lower one is asked for, the highest there is.
const HIGHEST: u32 = 10_000;

pub(super) fn text(plan: &RulesPlan) -> String {
    match plan.wanted {
        Wanted::All => direct(plan, "raw"),
        Wanted::New => direct(plan, "mangle"),
        Wanted::Dropped => rich(plan),
    }
}

/// Direct rules: those of a zone see the packets of that zone only, none of an accepted connection, and
/// their limits let no burst through.
fn direct(plan: &RulesPlan, table: &str) -> String {
    let mut rules = String::new();
    for spared in plan.xtables_spared() {
        // Writing to a string does not fail.
        let _ = writeln!(rules, "    add {spared} -j RETURN");
    }
    format!(
        "#!/bin/sh\n\
         {title}\
         {usage}\
         # Direct rules, which see the packets of every zone.\n\
         # Not needed any more: firewall-cmd --set-log-denied=off\n\
         set -e\n\
         table={table}\n\
         chain={CHAIN}\n\
         rules() {{\n\
         {rules}    \
             add {rule}\n\
         }}\n\
         {body}",
        title = plan.title(plan.xtables_limit()),
        usage = plan.usage("firewalld"),
        rule = plan.xtables_rule(),
        body = include_str!("firewalld_direct.sh"),
    )
}

/// Rich rules behind all others of their zones. One for each protocol, because zones accept ICMP only
/// behind them.
fn rich(plan: &RulesPlan) -> String {
    // Its bursts are of 5 packets: at the highest rate, too, most of a burst would be passed over.
    let limit = plan.limit.filter(|limit| *limit < HIGHEST);
    let (words, element) = match limit {
        Some(limit) => (
            "# A limit in a zone lets bursts of 5 packets through and no more: --limit 0 counts all.\n",
            format!(" limit value=\"{limit}/s\""),
        ),
        None => ("", String::new()),
    };
    let threshold = plan.queue_threshold.min(u32::from(u16::MAX));
    format!(
        "#!/bin/sh\n\
         {title}\
         {NOT_DROPPED}\
         # TCP and UDP only: zones answer pings behind all rules. Inbound packets only. A policy object of\n\
         # yours with a positive priority comes later still, and could accept what was logged.\n\
         {words}\
         {usage}\
         # For the default zone and those in use, but such as accept everything.\n\
         # Not needed any more: firewall-cmd --set-log-denied=off\n\
         set -e\n\
         log='nflog group=\"{group}\" prefix=\"{prefix}\" queue-size=\"{threshold}\"{element}'\n\
         {body}",
        title = plan.title(limit),
        usage = plan.usage("firewalld"),
        group = plan.group,
        prefix = plan.prefix,
        body = include_str!("firewalld_dropped.sh"),
    )
}
