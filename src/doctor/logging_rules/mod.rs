//! Checks the loaded firewall rules: whether a reachable rule logs to a configured group, and common mistakes.

mod duplicate;

use std::{collections::HashSet, fs, path::PathBuf};

use super::Finding;
use crate::{
    config::Config,
    firewall::{Listing, LogTarget, Logging, Reach, Syntax, Table, listing, logging},
};

/// Files with the rules for the next boot.
const SAVED: [&str; 7] = [
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",
    "/etc/ufw/before.rules",
    "/etc/ufw/after.rules",
    "/etc/ufw/user.rules",
    "/etc/iptables.rules",
];

/// Checks the loaded rules. `exporter_runs`: the rules that the exporter installs are loaded.
pub(super) fn check(config: &Config, exporter_runs: bool) -> Vec<Finding> {
    let listing = listing();
    let found = logging(&listing.tables);
    let ours = &config.nflog.groups;
    let (reached, obstacles) = by_reachability(&found, ours);
    let mut findings = vec![match reached.first() {
        Some(first) => {
            Finding::ok("rules", format!("they log {first}{}", and_more(reached.len() - 1)))
        }
        None => none_reached(config, exporter_runs, &listing, &found, !obstacles.is_empty()),
    }];
    findings.extend(obstacles);
    findings.extend(duplicate::counted_twice(&found, ours));
    findings.extend(found.iter().filter(|rule| is_mistaken(rule, ours)).map(mistaken));
    findings.extend(unread(&found, ours));
    findings.extend(ulog());
    findings
}

/// A hint if the sub-command `rules` spread packets over more groups than are read: rules to a group that is read, and
/// beside them rules to one that is not.
fn unread(found: &[Logging<'_>], ours: &[u16]) -> Option<Finding> {
    let group_of = |rule: &Logging<'_>| match rule.log {
        LogTarget::Group(group, _) => Some(*group),
        LogTarget::Kernel => None,
    };
    let is_read = |rule: &Logging<'_>| group_of(rule).is_some_and(|group| ours.contains(&group));
    let reached = || found.iter().filter(|rule| rule.rule.is_ours && rule.reach == Reach::Reached);
    let is_beside = |rule: &&Logging<'_>| {
        reached().any(|other| other.table.place == rule.table.place && is_read(other))
    };
    let rule = reached().filter(|rule| !is_read(rule)).find(is_beside)?;
    let group = group_of(rule)?;
    Some(Finding::hint(
        "rules_unread",
        format!(
            "in {}, a rule logs a part of the packets to group {group}, which this configuration does not read",
            place(rule)
        ),
        format!(
            "add it to nflog.groups (--nflog.group {group}); or apply the rules again with fewer groups: --spread"
        ),
    ))
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(", and {more} more") }
}

/// Table and chain of a rule.
fn place(rule: &Logging<'_>) -> String {
    format!("{} {}", rule.table.place, rule.chain)
}

/// The rules that log to a group of `ours`: descriptions of those that packets reach, and a finding for each
/// obstacle before the others, once per obstacle.
fn by_reachability(found: &[Logging<'_>], ours: &[u16]) -> (Vec<String>, Vec<Finding>) {
    let mut reached = Vec::new();
    let mut obstacles = Vec::new();
    let mut reported = HashSet::new();
    for rule in found {
        let LogTarget::Group(group, prefix) = rule.log else { continue };
        if !ours.contains(group) {
            continue;
        }
        let place = place(rule);
        let table = rule.table;
        let what = format!("in {place}, the rule with prefix {prefix:?} logs nothing");
        let (cause, finding) = match rule.reach {
            Reach::Reached => {
                reached.push(format!("{prefix:?} in {place} to group {group}"));
                continue;
            }
            Reach::After { chain, rule } => (
                format!("{} {chain}", table.place),
                Finding::failed(
                    "rules_order",
                    format!(
                        "{what}: an earlier rule in {} {chain}, {rule}, matches every packet",
                        table.place
                    ),
                    "move the logging rule, or the jump to it, before that rule: iptables -I, nft insert rule",
                ),
            ),
            Reach::NoJump { chain } => (
                format!("{} {chain}", table.place),
                Finding::failed(
                    "rules_chain",
                    format!("{what}: no rule jumps to the chain {chain}"),
                    format!("{}; or remove the chain", jump(table, chain)),
                ),
            ),
            Reach::Dormant => (
                table.place.clone(),
                Finding::failed(
                    "rules_chain",
                    format!("{what}: the table is dormant, so the kernel skips it"),
                    format!(
                        "activate it: nft add table {}; and remove `flags dormant` from its file",
                        table.place
                    ),
                ),
            ),
        };
        if reported.insert(cause) {
            obstacles.push(finding);
        }
    }
    (reached, obstacles)
}

/// The command that adds a jump to a chain.
fn jump(table: &Table, chain: &str) -> String {
    let base = table.chains.iter().find(|chain| chain.base.is_some());
    let base = base.map_or("CHAIN", |chain| &*chain.name);
    match (table.syntax, table.place.split_once(' ')) {
        (Syntax::Iptables, Some((program, name))) => {
            let base = if name == "filter" { "INPUT" } else { base };
            format!("jump to it: {program} -t {name} -I {base} -j {chain}")
        }
        _ => format!("jump to it: nft insert rule {} {base} jump {chain}", table.place),
    }
}

/// The finding if packets reach no rule that logs to a configured group.
fn none_reached(
    config: &Config,
    exporter_runs: bool,
    listing: &Listing,
    found: &[Logging<'_>],
    has_obstacles: bool,
) -> Finding {
    if config.rules.install && !exporter_runs {
        return Finding::ok(
            "rules",
            "the exporter installs its own when it starts (rules.install)",
        );
    }
    if let Some(why) = &listing.incomplete {
        let why = format!("none found, but not all rules can be listed: {why}");
        return Finding::unknown("rules", why);
    }
    let ours = &config.nflog.groups;
    let groups: Vec<String> = ours.iter().map(ToString::to_string).collect();
    let none = format!("no rule that packets reach logs to group {}", groups.join(" or "));
    if has_obstacles {
        let fix = "such rules exist; the checks below show why packets do not reach them";
        return Finding::failed("rules", none, fix);
    }
    let other = found.iter().find_map(|rule| match rule.log {
        LogTarget::Group(group, _) if !is_mistaken(rule, ours) => Some((group, rule)),
        _ => None,
    });
    if let Some((group, rule)) = other {
        return Finding::failed(
            "rules",
            format!("{none}; there are rules that log to group {group}, in {}", place(rule)),
            format!("read that group: --nflog.group {group}; or change the rules"),
        );
    }
    if let Some(rule) = found.iter().find(|rule| *rule.log == LogTarget::Kernel) {
        let what = format!("{none}; {} logs to the kernel's log instead (LOG)", place(rule));
        return Finding::failed(
            "rules",
            what,
            instead_of_log(rule, ours.first().copied().unwrap_or(1)),
        );
    }
    Finding::failed(
        "rules",
        none,
        "load rules: nflog_exporter rules --for nft --apply (or iptables, ufw, firewalld); or let the exporter \
         install its own: --rules.install",
    )
}

/// How to log to a group with the tool that created a rule with another log target.
fn instead_of_log(rule: &Logging<'_>, group: u16) -> String {
    format!(
        "read these lines unchanged: --kernel-log.kmsg; or log to a group, which gives whole headers and an exact count \
         of lost packets: {}",
        to_group(rule, group)
    )
}

fn to_group(rule: &Logging<'_>, group: u16) -> String {
    if rule.chain.starts_with("ufw") {
        // ufw writes its LOG rules itself; they cannot be edited.
        return "nflog_exporter rules --for ufw --apply".into();
    }
    if rule.table.place == "inet firewalld" {
        return "nflog_exporter rules --for firewalld --apply".into();
    }
    match rule.table.syntax {
        Syntax::Iptables => {
            format!("replace -j LOG with -j NFLOG --nflog-group {group} --nflog-prefix NAME")
        }
        Syntax::Nft => format!("replace log prefix \"…\" with log prefix \"…\" group {group}"),
    }
}

/// Whether the prefix is a number, probably meant as the group, which then is 0.
fn is_mistaken(rule: &Logging<'_>, ours: &[u16]) -> bool {
    let is_number = |prefix: &str| prefix.trim().parse::<u16>().is_ok();
    matches!(rule.log, LogTarget::Group(0, prefix) if is_number(prefix)) && !ours.contains(&0)
}

fn mistaken(rule: &Logging<'_>) -> Finding {
    let prefix = match rule.log {
        LogTarget::Group(_, prefix) => prefix,
        LogTarget::Kernel => "",
    };
    Finding::failed(
        "rules_prefix",
        format!(
            "in {}, a rule logs to group 0 with the prefix {prefix:?}: the number was probably meant as the \
             group",
            place(rule)
        ),
        format!("write --nflog-group {} --nflog-prefix NAME", prefix.trim()),
    )
}

/// Reports saved rules with `ULOG`, which fail at the next boot: kernels since 3.17 do not have it.
fn ulog() -> Option<Finding> {
    let file = SAVED.iter().map(PathBuf::from).find(|file| {
        // A comment may be in any encoding.
        let text = fs::read(file).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .any(|line| !line.starts_with('#') && line.contains("-j ULOG"))
    })?;
    Some(Finding::failed(
        "rules_ulog",
        format!("{} has rules with -j ULOG, which was removed in Linux 3.17", file.display()),
        "replace it with -j NFLOG --nflog-group N --nflog-prefix NAME",
    ))
}
