//! Finds rules of two tables that log the same packet to one group, so that it is counted twice.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{Finding, place};
use crate::firewall::{LogTarget, Logging, Matches, Reach, TABLE};

/// A hint for each pair of chains that log to the same group of `ours` and that one packet can pass.
/// Conditions are not evaluated, except for pairs that exclude each other by one value.
pub(super) fn counted_twice(found: &[Logging<'_>], ours: &[u16]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut known = HashSet::new();
    let reached = |rule: &&Logging<'_>| rule.reach == Reach::Reached;
    for (at, one) in found.iter().enumerate().filter(|(_, rule)| reached(rule)) {
        let LogTarget::Group(group, _) = one.log else { continue };
        if !ours.contains(group) {
            continue;
        }
        for other in found[at + 1..].iter().filter(reached) {
            let is_same = matches!(other.log, LogTarget::Group(it, _) if it == group);
            if !is_same || !is_possible(one, other) || !known.insert((place(one), place(other))) {
                continue;
            }
            findings.push(Finding::hint(
                "rules_twice",
                format!(
                    "a packet can be counted twice: both {} and {} log to group {group}",
                    place(one),
                    place(other)
                ),
                "remove one of them, or let one log to another group",
            ));
        }
    }
    findings
}

/// Whether one packet can pass both rules.
fn is_possible(one: &Logging<'_>, other: &Logging<'_>) -> bool {
    one.table.place != other.table.place
        && !log_different_packets(one, other)
        && families(one).iter().any(|family| families(other).contains(family))
        && one.hooks.iter().any(|hook| other.hooks.iter().any(|it| meet(hook, it)))
        && !exclude(&facts(&one.rule.matches), &facts(&other.rule.matches))
}

/// Whether the sub-command `rules` created both, and not the same rules twice: for one tool, or with different prefixes.
fn log_different_packets(one: &Logging<'_>, other: &Logging<'_>) -> bool {
    let is_iptables = |rule: &Logging<'_>| rule.table.place.contains("tables");
    is_generated(one)
        && is_generated(other)
        && (is_iptables(one) == is_iptables(other) || one.log != other.log)
}

/// Whether the sub-command `rules` created it.
fn is_generated(rule: &Logging<'_>) -> bool {
    rule.rule.is_ours && rule.table.place != format!("inet {TABLE}")
}

/// The IP versions whose packets pass a table.
fn families(rule: &Logging<'_>) -> &'static [u8] {
    let place = &rule.table.place;
    if place.starts_with("ip6") {
        &[6]
    } else if place.starts_with("ip") {
        &[4]
    } else {
        &[4, 6]
    }
}

/// Whether one packet passes both hooks.
fn meet(one: &str, other: &str) -> bool {
    let after = |first: &str, second: &str| match first {
        "ingress" => second != "output" && second != "egress",
        "prerouting" => ["input", "forward", "postrouting", "egress"].contains(&second),
        "forward" | "output" => ["postrouting", "egress"].contains(&second),
        "postrouting" => second == "egress",
        _ => false,
    };
    one == other || after(one, other) || after(other, one)
}

/// The conditions of a rule that compare with one value (protocol, ports, devices): true if the value is
/// required, false if it is excluded.
type Facts = BTreeMap<&'static str, (bool, String)>;

fn facts(matches: &Matches) -> Facts {
    let mut facts = Facts::new();
    match matches {
        Matches::Iptables(words) => {
            for (at, pair) in words.windows(2).enumerate() {
                let key = match &*pair[0] {
                    "-p" => "protocol",
                    "--dport" => "dport",
                    "--sport" => "sport",
                    "-i" => "iif",
                    "-o" => "oif",
                    _ => continue,
                };
                let is_value = at == 0 || words[at - 1] != "!";
                if !pair[1].contains([':', '+']) {
                    facts.insert(key, (is_value, pair[1].clone()));
                }
            }
        }
        Matches::Nft(all) => {
            for it in all.iter().map(|it| &it["match"]) {
                let right = match &it["right"] {
                    Value::String(text) if !text.ends_with('*') => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => continue,
                };
                let is_value = match it["op"].as_str() {
                    Some("==") => true,
                    Some("!=") => false,
                    _ => continue,
                };
                let payload = &it["left"]["payload"];
                let key = match (it["left"]["meta"]["key"].as_str(), payload["field"].as_str()) {
                    (Some("l4proto"), _) | (_, Some("protocol" | "nexthdr")) => "protocol",
                    (Some("iif" | "iifname"), _) => "iif",
                    (Some("oif" | "oifname"), _) => "oif",
                    (_, Some("dport")) => "dport",
                    (_, Some("sport")) => "sport",
                    _ => continue,
                };
                if let Some(protocol @ ("tcp" | "udp")) = payload["protocol"].as_str() {
                    facts.insert("protocol", (true, protocol.to_owned()));
                }
                facts.insert(key, (is_value, right));
            }
        }
    }
    facts
}

/// Whether no packet matches both.
fn exclude(one: &Facts, other: &Facts) -> bool {
    let differ = |(key, (is_value, value)): (&&str, &(bool, String))| {
        other.get(key).is_some_and(|(other_is, other)| match (is_value, other_is) {
            (true, true) => value != other,
            (true, false) | (false, true) => value == other,
            (false, false) => false,
        })
    };
    one.iter().any(differ)
}
