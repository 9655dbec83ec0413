//! Rules for iptables and ip6tables: a script that fills a chain of our own and jumps to it.

use std::fmt::Write as _;

use super::{CHAIN, NOT_DROPPED, RulesPlan, Wanted};

pub(super) fn text(plan: &RulesPlan) -> String {
    let (table, hooks) = match plan.wanted {
        Wanted::All => ("raw", "PREROUTING"),
        Wanted::New => ("mangle", "PREROUTING"),
        Wanted::Dropped => ("filter", "INPUT FORWARD"),
    };
    let dropped = if plan.wanted == Wanted::Dropped {
        format!(
            "{NOT_DROPPED}\
             # Run it again whenever your rules were changed: rules behind the jump could accept what it has logged.\n"
        )
    } else {
        String::new()
    };
    let mut rules = String::new();
    for spared in plan.xtables_spared() {
        // Writing to a string does not fail.
        let _ = writeln!(rules, "-A {CHAIN} {spared} -j RETURN");
    }
    format!(
        "#!/bin/sh\n\
         {title}\
         {dropped}\
         {usage}\
         # Keep over a restart: netfilter-persistent save (Debian), or what your system has for it.\n\
         # Not needed any more: rules with -j LOG or -j ULOG.\n\
         set -e\n\
         table={table}\n\
         hooks='{hooks}'\n\
         chain={CHAIN}\n\
         rules='{rules}-A {CHAIN} {rule}'\n\
         {body}",
        title = plan.title(plan.xtables_limit()),
        usage = plan.usage("iptables"),
        rule = plan.xtables_rule(),
        body = include_str!("iptables.sh"),
    )
}
