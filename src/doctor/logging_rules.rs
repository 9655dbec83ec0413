//! The firewall's rules: whether any logs to our groups, and the classic mistakes.

mod iptables;
mod nft;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use super::Finding;
use crate::config::Config;

/// What a rule does with packets, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Logs to a group, under a prefix.
    Group(u16, String),
    /// Logs to the kernel's log, `LOG`.
    KernelLog,
}

/// A rule that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Logging {
    /// Where it stands, for example `inet filter input`.
    place: String,
    kind: Kind,
    /// Whether a rule before it in its chain decides about every packet.
    unreachable: bool,
}

/// Where rules are kept for the next boot.
const SAVED: [&str; 7] = [
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/sysconfig/iptables",
    "/etc/ufw/before.rules",
    "/etc/ufw/after.rules",
    "/etc/ufw/user.rules",
    "/etc/iptables.rules",
];

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = match loaded() {
        Ok(rules) => of_loaded(&rules, config),
        Err(why) => vec![Finding::skipped("rules", why)],
    };
    findings.extend(ulog());
    findings
}

/// The rules that log, from all the tools that are there; why not, when none tells.
fn loaded() -> Result<Vec<Logging>, String> {
    let mut rules = Vec::new();
    let mut failed = Vec::new();
    let mut told = false;
    let mut names = BTreeSet::new();
    for (program, family) in [("iptables-save", "ip"), ("ip6tables-save", "ip6")] {
        match said(program, &[]) {
            Ok(text) => {
                told = true;
                names.extend(iptables::tables(&text).map(|table| format!("{family} {table}")));
                rules.extend(iptables::rules(&text, program.trim_end_matches("-save")));
            }
            Err(why) => failed.push(why),
        }
    }
    match said("nft", &["-j", "list", "ruleset"]) {
        Ok(json) => {
            told = true;
            let found = nft::rules(&json)?;
            // nft shows the tables of iptables too, in words of its own.
            let own = |rule: &Logging| {
                !names.iter().any(|name| rule.place.starts_with(&format!("{name} ")))
            };
            rules.extend(found.into_iter().filter(own));
        }
        Err(why) => failed.push(why),
    }
    if told { Ok(rules) } else { Err(format!("no rules can be listed: {}", failed.join("; "))) }
}

/// What a program prints.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|why| format!("{program}: {why}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", error.lines().next().unwrap_or("it failed").trim()))
}

fn of_loaded(rules: &[Logging], config: &Config) -> Vec<Finding> {
    let ours = &config.nflog.groups;
    let mut findings = Vec::new();
    let mut good = Vec::new();
    for Logging { place, kind, unreachable } in rules {
        match kind {
            Kind::Group(group, prefix) if ours.contains(group) => {
                if *unreachable {
                    findings.push(Finding::failed(
                        "rules_order",
                        format!("in {place}, the rule with prefix {prefix:?} stands behind one that decides about every packet"),
                        "move the rule that logs before the accept, drop or reject: iptables -I, nft insert",
                    ));
                } else {
                    good.push(format!("{prefix:?} in {place} to group {group}"));
                }
            }
            Kind::Group(group, prefix) if prefix.trim().parse::<u16>().is_ok() => {
                findings.push(Finding::failed(
                    "rules_prefix",
                    format!("in {place}, a rule logs to group {group} with the prefix {prefix:?}: a number as prefix, where a group was meant"),
                    format!("write --nflog-group {} --nflog-prefix NAME", prefix.trim()),
                ));
            }
            _ => {}
        }
    }
    findings.insert(0, any(&good, rules, ours));
    findings
}

/// Whether any rule logs to our groups, and if not, what the others do.
fn any(good: &[String], rules: &[Logging], ours: &[u16]) -> Finding {
    if let Some(first) = good.first() {
        let more = match good.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        return Finding::ok("rules", format!("they log {first}{more}"));
    }
    let groups: Vec<String> = ours.iter().map(ToString::to_string).collect();
    let none = format!("no rule that packets reach logs to group {}", groups.join(" or "));
    let others: BTreeSet<u16> = rules
        .iter()
        .filter_map(|rule| match rule.kind {
            Kind::Group(group, _) if !ours.contains(&group) => Some(group),
            _ => None,
        })
        .collect();
    let kernel_log = rules.iter().find(|rule| rule.kind == Kind::KernelLog);
    if let Some(rule) = kernel_log {
        return Finding::failed(
            "rules",
            format!("{none}; {} logs to the kernel's log instead (LOG)", rule.place),
            format!(
                "iptables: -j NFLOG --nflog-group {group} in place of -j LOG; nft: log prefix \"…\" \
                     group {group} in place of log prefix \"…\"",
                group = ours[0]
            ),
        );
    }
    if let Some(group) = others.first() {
        return Finding::failed(
            "rules",
            format!("{none}; there are rules that log to group {group}"),
            format!("read that one: --nflog.group {group}; or change the rules"),
        );
    }
    Finding::failed(
        "rules",
        none,
        "nflog_exporter rules --for nft (iptables, ufw, firewalld) writes some; --rules.install makes its own",
    )
}

/// Saved rules with `ULOG`, which kernels since 3.17 do not have: they fail at the next boot.
fn ulog() -> Option<Finding> {
    let file = SAVED.iter().map(PathBuf::from).find(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| !line.starts_with('#') && line.contains("-j ULOG"))
    })?;
    Some(Finding::failed(
        "rules_ulog",
        format!(
            "{} has rules with -j ULOG, which the kernel does not know since 3.17",
            file.display()
        ),
        "write -j NFLOG --nflog-group N --nflog-prefix NAME in their place",
    ))
}
