//! Rules for iptables and ip6tables: our own chain, and jumps to it.

mod restore;

use std::{collections::HashSet, fmt::Write as _, path::Path};

use self::restore::{Jumps, is_jump, load, load_nothing, own_rules, restore, table_name, words};
use super::{
    Script, ToolError, head, missing_group, placement_comment, reached,
    rollback::{Undo, rolled_back},
    unverified,
};
use crate::firewall::{
    CHAIN,
    inspect::{Table, saved},
    plan::{Placement, Placements, RulesPlan, Wanted, placements},
};

/// The comment about the hash: no match of iptables hashes addresses without a conntrack entry, and `statistic` chooses for
/// each packet.
const SPREAD: &str = "\
    # iptables has no match for this hash, so a program of the match `bpf` (kernel module xt_bpf) computes it.\n";

/// iptables, and ip6tables if the kernel has IPv6.
fn programs() -> impl Iterator<Item = &'static str> {
    let has_ipv6 = Path::new("/proc/net/if_inet6").exists();
    ["iptables", "ip6tables"].into_iter().filter(move |name| *name == "iptables" || has_ipv6)
}

pub(super) fn script(plan: &RulesPlan, command: &str) -> Result<Script, ToolError> {
    let spread = if plan.spread == 1 { "" } else { SPREAD };
    let further = format!(
        "{spread}\
         # Keep after a reboot: netfilter-persistent save (Debian), or your system's equivalent.\n\
         # No longer needed: rules with -j LOG or -j ULOG.\n"
    );
    let mut text = head(plan, plan.xtables_limit(), &further, command);
    // Writing to a string does not fail.
    let _ = writeln!(text, "set -e\n{command} --remove");
    let mut warnings = Vec::new();
    if plan.wanted == Wanted::Dropped {
        let all = all_dropped()?;
        for (program, _, jumps) in &all.families {
            for (table, placements) in jumps {
                for placement in placements {
                    text += &placement_comment(&format!("{program} {table}"), placement);
                }
            }
            let _ = write!(
                text,
                "{}",
                here_document(program, &load(&own_rules(plan, program), jumps, &[]))
            );
        }
        warnings = all.warnings;
    } else {
        let jumps = prerouting(plan);
        let _ = write!(
            text,
            "{}if [ -e /proc/net/if_inet6 ]; then\n{}fi\n",
            here_document("iptables", &load(&own_rules(plan, "iptables"), &jumps, &[])),
            here_document("ip6tables", &load(&own_rules(plan, "ip6tables"), &jumps, &[]))
        );
    }
    let _ = writeln!(text, "{command} --verify");
    Ok(Script { text, warnings })
}

fn here_document(program: &str, rules: &str) -> String {
    if rules.is_empty() {
        return String::new();
    }
    format!("{program}-restore -w --noflush <<'RULES'\n{rules}RULES\n")
}

pub(super) fn apply(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let all = if plan.wanted == Wanted::Dropped { all_dropped()? } else { all_prerouting(plan)? };
    for (program, listed, jumps) in &all.families {
        // Each program, and each table, is loaded separately.
        restore(program, &load(&own_rules(plan, program), jumps, listed))
            .map_err(|error| rolled_back(error, &UNDO))?;
    }
    Ok(all.warnings)
}

/// How our rules are removed and listed.
pub(super) const UNDO: Undo = Undo { name: "iptables", remove, remaining };

pub(super) fn remove() -> Result<(), ToolError> {
    for program in programs() {
        let listed = own_saved(program)?;
        restore(program, &load_nothing(&listed))?;
        if !load_nothing(&saved(program)?).is_empty() {
            return unverified(format!("{program}-save still lists some"));
        }
    }
    Ok(())
}

/// Descriptions of our loaded rules.
pub(super) fn remaining() -> Result<Vec<String>, ToolError> {
    let mut remaining = Vec::new();
    for program in programs() {
        for table in saved(program)? {
            let rules = table.chains.iter().flat_map(|chain| &chain.rules);
            let ours = rules.filter(|rule| rule.is_ours);
            remaining.extend(ours.map(|rule| format!("in {}, {}", table.place, rule.text)));
        }
    }
    Ok(remaining)
}

/// The rules of one family. Fails if a chain with our name belongs to the user.
fn own_saved(program: &str) -> Result<Vec<Table>, ToolError> {
    let listed = saved(program)?;
    for table in &listed {
        let mut own = table.chains.iter().filter(|chain| chain.name == CHAIN);
        if own.any(|chain| !chain.rules.iter().any(|rule| rule.is_ours)) {
            return Err(ToolError::Reserved(format!("the chain {CHAIN} of {}", table.place)));
        }
    }
    Ok(listed)
}

pub(super) fn verify(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let all = if plan.wanted == Wanted::Dropped { all_dropped()? } else { all_prerouting(plan)? };
    let mut places = Vec::new();
    for (program, listed, jumps) in &all.families {
        for (name, wanted) in jumps {
            let place = format!("{program} {name}");
            let Some(table) = listed.iter().find(|table| table.place == place) else {
                return unverified(format!("there is no table {place}"));
            };
            verify_table(plan, table, wanted)?;
            places.extend(wanted.iter().map(|it| format!("{place} {}", it.chain)));
        }
    }
    places.dedup();
    Ok(places)
}

/// Compares the jumps of a table and our chain with the plan.
fn verify_table(plan: &RulesPlan, table: &Table, wanted: &[Placement]) -> Result<(), ToolError> {
    let place = &table.place;
    let mut rules = reached(plan, table)?;
    rules.retain(|rule| rule.chain == CHAIN);
    if let Some(group) = missing_group(plan, &rules) {
        return unverified(format!(
            "no rule of {place} {CHAIN} logs to group {group} with the prefix {:?}",
            plan.prefix
        ));
    }
    let mut found = HashSet::new();
    let mut count = 0;
    for chain in &table.chains {
        let mut index = 0;
        for rule in &chain.rules {
            if is_jump(rule) {
                count += 1;
                found.insert((&*chain.name, index, words(&rule.matches)));
            } else if !rule.is_ours {
                index += 1;
            }
        }
    }
    let wanted: Vec<_> = wanted
        .iter()
        .map(|it| (&*it.chain, it.index, it.matches.as_ref().map(words).unwrap_or_default()))
        .collect();
    if let Some((chain, index, _)) = wanted.iter().find(|it| !found.contains(it)) {
        return unverified(format!(
            "nothing jumps to {CHAIN} before rule {} of {place} {chain}",
            index + 1
        ));
    }
    if count > wanted.len() {
        return unverified(format!(
            "{place} has {count} jumps to {CHAIN} instead of {}, so packets count twice",
            wanted.len()
        ));
    }
    Ok(())
}

/// For each program, its tables and the positions of jumps to our chain.
struct Families {
    families: Vec<(&'static str, Vec<Table>, Jumps)>,
    warnings: Vec<String>,
}

/// The jumps for all or new packets, in prerouting.
fn all_prerouting(plan: &RulesPlan) -> Result<Families, ToolError> {
    let mut families = Vec::new();
    for program in programs() {
        families.push((program, own_saved(program)?, prerouting(plan)));
    }
    Ok(Families { families, warnings: Vec::new() })
}

fn prerouting(plan: &RulesPlan) -> Jumps {
    // Before conntrack for all packets, after it for new ones.
    let table = if plan.wanted == Wanted::All { "raw" } else { "mangle" };
    let first = Placement { chain: "PREROUTING".into(), index: 0, before: None, matches: None };
    Jumps::from([(table.to_owned(), vec![first])])
}

/// The jumps for dropped packets, in every table.
fn all_dropped() -> Result<Families, ToolError> {
    let mut all = Families { families: Vec::new(), warnings: Vec::new() };
    for program in programs() {
        let listed = own_saved(program)?;
        let mut jumps = Jumps::new();
        for table in &listed {
            let name = table_name(table);
            let Placements { rules, without, unlogged } = placements(table);
            // Other tables rarely filter, so there is no warning about them.
            if name == "filter" {
                all.warnings.extend(without.iter().map(|(chain, why)| {
                    format!("nothing is logged in {} {chain}: {why}", table.place)
                }));
            }
            all.warnings.extend(unlogged.iter().map(|what| format!("{} {what}", table.place)));
            if !rules.is_empty() {
                jumps.insert(name.to_owned(), rules);
            }
        }
        if listed.iter().all(|table| table_name(table) != "filter") {
            // A table without rules is not listed.
            all.warnings.push(format!("nothing is logged in {program} filter: it has no rules"));
        }
        all.families.push((program, listed, jumps));
    }
    if all.families.iter().all(|(_, _, jumps)| jumps.is_empty()) {
        return Err(ToolError::NothingDropped(all.warnings.join("; ")));
    }
    Ok(all)
}
