//! Rules for firewalld: calls of firewall-cmd.

mod calls;

use std::fmt::Write as _;

use self::calls::{
    Call, call, direct, direct_rules, direct_table, is_own_rich_rule, reload, rich_limit,
    rich_rules,
};
use super::{
    Script, ToolError, head, reached,
    rollback::{Undo, rolled_back},
    shell_word, unverified,
};
use crate::{
    firewall::{
        CHAIN, COMMENT,
        command::{CommandError, output},
        inspect::listing,
        plan::{RulesPlan, Wanted},
    },
    sort::sort,
};

pub(super) fn script(plan: &RulesPlan, command: &str) -> Result<Script, ToolError> {
    let LoadPlan { calls, warnings } = load_plan(plan)?;
    let (words, limit) = match plan.wanted {
        Wanted::Dropped => (
            "# TCP and UDP only: zones answer pings after all rules. Inbound packets only. A policy object with a\n\
             # positive priority is evaluated later, and may accept packets that were logged.\n\
             # A limit in a zone has bursts of 5 packets: --limit 0 logs all packets.\n",
            rich_limit(plan),
        ),
        Wanted::All | Wanted::New => {
            ("# Direct rules, for the packets of every zone.\n", plan.xtables_limit())
        }
    };
    let further = format!("{words}# No longer needed: firewall-cmd --set-log-denied=off\n");
    let mut text = head(plan, limit, &further, command);
    text += "set -e\n";
    for call in calls {
        let call: Vec<String> = call.iter().map(|word| shell_word(word)).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "firewall-cmd {}", call.join(" "));
    }
    let _ = writeln!(text, "{command} --verify");
    Ok(Script { text, warnings })
}

pub(super) fn apply(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    let LoadPlan { calls, warnings } = load_plan(plan)?;
    run(&calls).map_err(|error| rolled_back(error, &UNDO))?;
    Ok(warnings)
}

/// How our rules are removed and listed.
pub(super) const UNDO: Undo = Undo { name: "firewalld", remove, remaining };

pub(super) fn remove() -> Result<(), ToolError> {
    state()?;
    let mut calls = removal()?;
    if calls.is_empty() {
        return Ok(());
    }
    calls.push(reload());
    run(&calls)?;
    if removal()?.is_empty() { Ok(()) } else { unverified("firewalld still lists some") }
}

/// Our rules in firewalld's permanent configuration, as the calls that remove them.
pub(super) fn remaining() -> Result<Vec<String>, ToolError> {
    let call = |words: Call| {
        let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
        format!("the rule that this command removes: firewall-cmd {}", words.join(" "))
    };
    Ok(removal()?.into_iter().map(call).collect())
}

pub(super) fn verify(plan: &RulesPlan) -> Result<Vec<String>, ToolError> {
    state()?;
    let listing = listing();
    if let Some(why) = listing.incomplete {
        return unverified(format!("not all rules can be listed: {why}"));
    }
    let mut places = Vec::new();
    for table in &listing.tables {
        let rules = reached(plan, table)?;
        places.extend(
            rules
                .iter()
                .filter(|it| is_expected(plan, it.chain))
                .map(|it| (table.place.clone(), it.chain.to_owned())),
        );
    }
    sort(&mut places);
    places.dedup();
    let missing = match plan.wanted {
        Wanted::Dropped => zones()?.0.into_iter().find(|zone| {
            !places.iter().any(|(_, chain)| chain.split('_').any(|part| part == zone))
        }),
        Wanted::All | Wanted::New => {
            let table = direct_table(plan);
            let of = |program: &str| {
                let place = format!("{program} {table}");
                places.iter().all(|(found, _)| *found != place).then_some(place)
            };
            of("iptables").or_else(|| of("ip6tables"))
        }
    };
    match missing {
        Some(place) => unverified(format!(
            "no rule of {place} that packets reach logs to group {} with the prefix {:?}",
            plan.group, plan.prefix
        )),
        None => Ok(places.into_iter().map(|(table, chain)| format!("{table} {chain}")).collect()),
    }
}

/// Whether firewalld loads our rules into this chain.
fn is_expected(plan: &RulesPlan, chain: &str) -> bool {
    if plan.wanted == Wanted::Dropped { chain.contains("IN_") } else { chain == CHAIN }
}

/// The calls of firewall-cmd, and warnings about zones that log nothing.
struct LoadPlan {
    calls: Vec<Call>,
    warnings: Vec<String>,
}

fn load_plan(plan: &RulesPlan) -> Result<LoadPlan, ToolError> {
    state()?;
    let mut calls = removal()?;
    let mut warnings = Vec::new();
    if plan.wanted == Wanted::Dropped {
        let (zones, open) = zones()?;
        for zone in &open {
            warnings.push(format!(
                "nothing is logged in the zone {zone}: its target ACCEPT accepts every packet that no rule drops"
            ));
        }
        if zones.is_empty() {
            return Err(ToolError::NothingDropped(warnings.join("; ")));
        }
        for zone in zones {
            calls.extend(rich_rules(plan).map(|rule| {
                call(&[
                    "--quiet",
                    "--permanent",
                    &format!("--zone={zone}"),
                    &format!("--add-rich-rule={rule}"),
                ])
            }));
        }
    } else {
        calls.extend(direct_rules(plan));
    }
    calls.push(reload());
    Ok(LoadPlan { calls, warnings })
}

/// Checks that firewalld is running.
fn state() -> Result<(), ToolError> {
    match output("firewall-cmd", &["--state"]) {
        Ok(_) => Ok(()),
        Err(CommandError::Failed { why, .. }) if why.contains("not running") => Err(
            ToolError::Inactive("firewalld is not running; start it: systemctl start firewalld"),
        ),
        Err(error) => Err(error.into()),
    }
}

/// The default zone and the active ones: those that drop remaining packets, and those that accept them.
fn zones() -> Result<(Vec<String>, Vec<String>), ToolError> {
    let active = output("firewall-cmd", &["--get-active-zones"])?;
    let is_name = |line: &&str| line.starts_with(|c: char| !c.is_whitespace());
    let mut zones: Vec<String> = active
        .lines()
        .filter(is_name)
        .filter_map(|line| line.split_whitespace().next())
        .map(ToOwned::to_owned)
        .collect();
    zones.push(output("firewall-cmd", &["--get-default-zone"])?.trim().to_owned());
    sort(&mut zones);
    zones.dedup();
    let mut dropping = Vec::new();
    let mut open = Vec::new();
    for zone in zones {
        let of_zone = format!("--zone={zone}");
        let target = output("firewall-cmd", &["--permanent", &of_zone, "--get-target"])?;
        if target.trim() == "ACCEPT" { open.push(zone) } else { dropping.push(zone) }
    }
    Ok((dropping, open))
}

/// The calls that remove our rules.
fn removal() -> Result<Vec<Call>, ToolError> {
    let mut calls = Vec::new();
    let chains = output("firewall-cmd", &["--permanent", "--direct", "--get-all-chains"])?;
    for line in chains.lines() {
        if let [family, table, CHAIN] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let listing = ["--permanent", "--direct", "--get-rules", family, table, CHAIN];
            let rules = output("firewall-cmd", &listing)?;
            // An interrupted load leaves a chain without rules.
            if !rules.trim().is_empty() && !rules.contains(&format!("--comment {COMMENT} ")) {
                let place = format!("the direct chain {family} {table} {CHAIN} of firewalld");
                return Err(ToolError::Reserved(place));
            }
            calls.push(direct(&["--remove-rule", family, table, "PREROUTING", "0", "-j", CHAIN]));
            calls.push(direct(&["--remove-rules", family, table, CHAIN]));
            calls.push(direct(&["--remove-chain", family, table, CHAIN]));
        }
    }
    let mut zone = "";
    let all = output("firewall-cmd", &["--permanent", "--list-all-zones"])?;
    for line in all.lines() {
        if line.starts_with(|c: char| !c.is_whitespace()) {
            zone = line.split_whitespace().next().unwrap_or_default();
        }
        let rule = line.trim_start();
        if is_own_rich_rule(rule) {
            let of_zone = format!("--zone={zone}");
            let rule = format!("--remove-rich-rule={rule}");
            calls.push(call(&["--quiet", "--permanent", &of_zone, &rule]));
        }
    }
    Ok(calls)
}

fn run(calls: &[Call]) -> Result<(), ToolError> {
    for call in calls {
        let words: Vec<&str> = call.iter().map(String::as_str).collect();
        output("firewall-cmd", &words)?;
    }
    Ok(())
}
