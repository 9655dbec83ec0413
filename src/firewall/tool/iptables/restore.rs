//! Writes and loads input for iptables-restore(8): our chain, and the jumps to it.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    firewall::{
        CHAIN, COMMENT,
        command::output_with_input,
        inspect::{Matches, Rule, Table, Verdict, quoted},
        plan::{IpVersion, Placement, RulesPlan},
        tool::ToolError,
    },
    sort::sort,
};

/// The positions of jumps to our chain, by table.
pub(super) type Jumps = BTreeMap<String, Vec<Placement>>;

/// The name of a table, without its program.
pub(super) fn table_name(table: &Table) -> &str {
    table.place.split_once(' ').map_or("", |(_, name)| name)
}

/// Whether a rule jumps to our chain.
pub(super) fn is_jump(rule: &Rule) -> bool {
    rule.is_ours
        && rule.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Jump(to) if to == CHAIN))
}

/// The matches of a rule, quoted.
pub(super) fn words(matches: &Matches) -> String {
    match matches {
        Matches::Iptables(words) => {
            words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        }
        Matches::Nft(_) => String::new(),
    }
}

/// Input for iptables-restore that replaces the listed jumps by these, each table atomically.
pub(super) fn load(own_rules: &[String], jumps: &Jumps, listed: &[Table]) -> String {
    let mut text = String::new();
    let names = jumps.keys().map(String::as_str);
    let mut tables: Vec<&str> = listed.iter().map(table_name).chain(names).collect();
    sort(&mut tables);
    tables.dedup();
    for name in tables {
        let table = listed.iter().find(|table| table_name(table) == name);
        let mut lines = table.map(remove_jumps).unwrap_or_default();
        let has_chain =
            table.is_some_and(|table| table.chains.iter().any(|chain| chain.name == CHAIN));
        if let Some(placements) = jumps.get(name) {
            // Creates the chain, or flushes it.
            lines.insert(0, format!(":{CHAIN} - [0:0]"));
            lines.extend_from_slice(own_rules);
            // From the end, so that the numbers of earlier rules stay valid.
            lines.extend(placements.iter().rev().map(|it| {
                let matches = it.matches.as_ref().map(words).unwrap_or_default();
                let space = if matches.is_empty() { "" } else { " " };
                format!("-I {} {}{space}{matches} -j {CHAIN}", it.chain, it.index + 1)
            }));
        } else if has_chain {
            lines.extend([format!("-F {CHAIN}"), format!("-X {CHAIN}")]);
        }
        if !lines.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(text, "*{name}\n{}\nCOMMIT\n", lines.join("\n"));
        }
    }
    text
}

/// Input for iptables-restore that removes our rules.
pub(super) fn load_nothing(listed: &[Table]) -> String {
    load(&[], &Jumps::new(), listed)
}

/// The lines that remove the jumps to our chain.
fn remove_jumps(table: &Table) -> Vec<String> {
    let rules = table.chains.iter().flat_map(|chain| &chain.rules);
    let jumps = rules.filter(|rule| is_jump(rule));
    jumps.map(|rule| rule.text.replacen("-A", "-D", 1)).collect()
}

/// The rules of our chain in the tables of a program.
pub(super) fn own_rules(plan: &RulesPlan, program: &str) -> Vec<String> {
    let version = if program == "iptables" { IpVersion::V4 } else { IpVersion::V6 };
    let spared = plan.xtables_excluded().map(|spared| format!("-A {CHAIN} {spared} -j RETURN"));
    // The comment distinguishes our chain from a user's chain with the same name.
    let rules = plan.xtables_rules(version).into_iter();
    let logs = rules.map(|rule| format!("-A {CHAIN} -m comment --comment {COMMENT} {rule}"));
    spared.chain(logs).collect()
}

/// Loads input for iptables-restore.
pub(super) fn restore(program: &str, rules: &str) -> Result<(), ToolError> {
    if !rules.is_empty() {
        output_with_input(&format!("{program}-restore"), &["-w", "--noflush"], rules)?;
    }
    Ok(())
}
