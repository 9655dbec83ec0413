//! Rules for nft: our own table for new or all packets; for dropped ones, rules in the chains that drop them.

mod own_table;
mod verify;

use serde_json::{Value, json};

use self::own_table::{is_own, reject_foreign, table};
use super::{
    Script, ToolError, head, missing_group, placement_comment, reached, rollback::Undo, unverified,
};
use crate::firewall::{
    COMMENT, RULES_TABLE,
    command::{CommandError, output_with_input},
    inspect::{Matches, Table, native},
    plan::{IpVersion, Placement, Placements, RulesPlan, Wanted, placements},
};

/// The warning about tables of iptables and firewalld.
const OF_OTHERS: &str =
    "belongs to another tool: nflog_exporter rules --for firewalld, ufw or iptables";

pub(super) fn script(plan: &RulesPlan, command: &str) -> Result<Script, ToolError> {
    if plan.wanted != Wanted::Dropped {
        // Without root, rules are printed too, for another host.
        if let Ok(listed) = native() {
            reject_foreign(&listed)?;
        }
        return Ok(Script { text: table(plan), warnings: Vec::new() });
    }
    let listed = native()?;
    reject_foreign(&listed)?;
    let NftPlacements { rules, warnings } = dropped(&listed)?;
    let mut places = String::new();
    for (table, placement) in &rules {
        places += &placement_comment(&table.place, placement);
    }
    let commands: Vec<Value> =
        rules.iter().flat_map(|(table, placement)| inserts(plan, table, placement)).collect();
    let text = format!(
        "{head}\
         set -e\n\
         {command} --remove\n\
         {places}\
         nft -j -f - <<'RULES'\n\
         {batch}\n\
         RULES\n\
         {command} --verify\n",
        head = head(
            plan,
            plan.limit,
            "# No longer needed: rules with `log` and no group, which write to the kernel's log.\n",
            command
        ),
        batch = batch(&commands),
    );
    Ok(Script { text, warnings })
}

pub(super) fn apply(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let listed = native()?;
    reject_foreign(&listed)?;
    let mut commands = removal(&listed);
    let mut warnings = Vec::new();
    if plan.wanted == Wanted::Dropped {
        let dropped = dropped(&listed)?;
        let inserts = |(table, placement): &(&Table, Placement)| inserts(plan, table, placement);
        commands.extend(dropped.rules.iter().flat_map(inserts));
        warnings = dropped.warnings;
        load(&commands)?;
    } else {
        load(&commands)?;
        output_with_input("nft", &["-f", "-"], &table(plan))?;
    }
    Ok(warnings)
}

/// How our rules are removed and listed.
pub(super) const UNDO: Undo = Undo { name: "nft", remove, remaining };

pub(super) fn remove() -> Result<(), ToolError> {
    let listed = native()?;
    reject_foreign(&listed)?;
    load(&removal(&listed))?;
    if removal(&native()?).is_empty() { Ok(()) } else { unverified("rules remain after removal") }
}

/// Descriptions of our loaded rules.
pub(super) fn remaining() -> Result<Vec<String>, ToolError> {
    let mut remaining = Vec::new();
    for table in native()? {
        if is_own(&table) {
            remaining.push(format!("the table {}", table.place));
            continue;
        }
        for chain in &table.chains {
            let ours = chain.rules.iter().filter(|rule| rule.is_ours);
            remaining.extend(
                ours.map(|rule| format!("in {} {}, {}", table.place, chain.name, rule.text)),
            );
        }
    }
    Ok(remaining)
}

pub(super) fn verify(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let listed = native()?;
    if plan.wanted == Wanted::Dropped {
        return verify::dropped(plan, &listed);
    }
    let place = format!("inet {RULES_TABLE}");
    let Some(table) = listed.iter().find(|table| table.place == place) else {
        return unverified(format!("there is no table {place}"));
    };
    reject_foreign(&listed)?;
    let rules = reached(plan, table)?;
    if let Some(group) = missing_group(plan, &rules) {
        return unverified(format!(
            "no rule of the table {place} logs to group {group} with the prefix {:?}",
            plan.prefix
        ));
    }
    Ok(rules.iter().map(|rule| format!("{place} {}", rule.chain)).collect())
}

/// The positions in nft's chains at which to log.
struct NftPlacements<'t> {
    rules: Vec<(&'t Table, Placement)>,
    warnings: Vec<String>,
}

fn dropped(listed: &[Table]) -> Result<NftPlacements<'_>, ToolError> {
    let mut dropped = NftPlacements { rules: Vec::new(), warnings: Vec::new() };
    for table in listed.iter().filter(|table| !table.dormant) {
        let is_ip = ["inet ", "ip ", "ip6 "].iter().any(|family| table.place.starts_with(family));
        if !is_ip {
            continue;
        }
        let Placements { rules, without, unlogged } = placements(table);
        if is_of_others(table) {
            if !(rules.is_empty() && without.is_empty()) {
                dropped.warnings.push(format!("{} {OF_OTHERS}", table.place));
            }
            continue;
        }
        dropped.rules.extend(rules.into_iter().map(|placement| (table, placement)));
        let place = &table.place;
        dropped.warnings.extend(
            without
                .iter()
                .map(|(chain, why)| format!("nothing is logged in {place} {chain}: {why}")),
        );
        dropped.warnings.extend(unlogged.iter().map(|what| format!("{place} {what}")));
    }
    if dropped.rules.is_empty() {
        let why = dropped.warnings.join("; ");
        let why = if why.is_empty() { "nft lists no such chain".into() } else { why };
        return Err(ToolError::NothingDropped(why));
    }
    Ok(dropped)
}

/// Whether a table belongs to firewalld, or to iptables and so perhaps to ufw.
fn is_of_others(table: &Table) -> bool {
    let is_of_iptables = |name: &str| matches!(name, "INPUT" | "FORWARD");
    table.place == "inet firewalld"
        || !table.place.starts_with("inet ")
            && table.chains.iter().any(|chain| chain.base.is_some() && is_of_iptables(&chain.name))
}

/// The commands that remove our rules.
fn removal(listed: &[Table]) -> Vec<Value> {
    let mut commands = Vec::new();
    for table in listed {
        let (family, name) = table.place.split_once(' ').unwrap_or_default();
        if is_own(table) {
            commands.push(json!({ "delete": { "table": { "family": family, "name": name } } }));
            continue;
        }
        for chain in &table.chains {
            for rule in chain.rules.iter().filter(|rule| rule.is_ours) {
                commands.push(json!({ "delete": { "rule": {
                    "family": family, "table": name, "chain": chain.name, "handle": rule.handle,
                } } }));
            }
        }
    }
    commands
}

/// The commands that insert our rules at a position: one, or one for each group and version of IP.
fn inserts(plan: &RulesPlan, table: &Table, placement: &Placement) -> Vec<Value> {
    if plan.spread == 1 {
        return vec![insert(plan, table, placement, None, plan.group)];
    }
    let (family, _) = table.place.split_once(' ').unwrap_or_default();
    let versions = IpVersion::of_family(family).iter();
    let rules = versions.flat_map(|version| {
        let groups = (0..).zip(plan.groups());
        groups.map(|(number, group)| (plan.nft_hash_match(*version, number), group))
    });
    rules.map(|(hash, group)| insert(plan, table, placement, Some(hash), group)).collect()
}

/// The command that inserts one of our rules.
fn insert(
    plan: &RulesPlan,
    table: &Table,
    placement: &Placement,
    hash: Option<Value>,
    group: u16,
) -> Value {
    let loopback =
        json!({ "match": { "op": "!=", "left": { "meta": { "key": "iif" } }, "right": "lo" } });
    let mut statements = vec![loopback];
    if let Some(Matches::Nft(matches)) = &placement.matches {
        statements.extend(matches.iter().cloned());
    }
    statements.extend(hash);
    if let Some(limit) = plan.limit_of_group() {
        statements.push(json!({ "limit": { "rate": limit, "burst": limit, "per": "second" } }));
    }
    statements.push(json!({ "log": {
        "prefix": plan.prefix, "group": group, "snaplen": plan.copy_range,
        "queue-threshold": plan.queue_threshold,
    } }));
    let (family, name) = table.place.split_once(' ').unwrap_or_default();
    let mut rule = json!({
        "family": family, "table": name, "chain": placement.chain, "comment": COMMENT,
        "expr": statements,
    });
    match placement.before.as_ref().and_then(|rule| rule.handle) {
        Some(handle) => {
            rule["handle"] = handle.into();
            json!({ "insert": { "rule": rule } })
        }
        None => json!({ "add": { "rule": rule } }),
    }
}

/// Input for `nft -j -f`, one command per line.
fn batch(commands: &[Value]) -> String {
    let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
    format!("{{\"nftables\": [\n{}\n]}}", lines.join(",\n"))
}

fn load(commands: &[Value]) -> Result<(), CommandError> {
    if !commands.is_empty() {
        output_with_input("nft", &["-j", "-f", "-"], &batch(commands))?;
    }
    Ok(())
}
