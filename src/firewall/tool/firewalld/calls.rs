//! The arguments of firewall-cmd(1) that add and remove our rules.

use crate::firewall::{
    CHAIN, COMMENT,
    plan::{RulesPlan, Wanted},
};

/// The maximum limit, which is the default.
const HIGHEST: u32 = 10_000;

/// The priority of our rich rules: the lowest one.
const LAST: &str = "rule priority=\"32767\" ";

/// The arguments of one call.
pub(super) type Call = Vec<String>;

/// One call.
pub(super) fn call(words: &[&str]) -> Call {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The call that loads the permanent configuration.
pub(super) fn reload() -> Call {
    call(&["--reload"])
}

/// One call for direct rules.
pub(super) fn direct(words: &[&str]) -> Call {
    call(&[&["--quiet", "--permanent", "--direct"], words].concat())
}

/// The table before conntrack for all packets, after it for new ones.
pub(super) fn direct_table(plan: &RulesPlan) -> &'static str {
    if plan.wanted == Wanted::All { "raw" } else { "mangle" }
}

/// Direct rules. The rules of a zone would match the packets of that zone only, none of accepted connections,
/// and have limits without bursts.
pub(super) fn direct_rules(plan: &RulesPlan) -> Vec<Call> {
    let table = direct_table(plan);
    let mut calls = Vec::new();
    for family in ["ipv4", "ipv6"] {
        calls.push(direct(&["--add-chain", family, table, CHAIN]));
        let spared = plan.xtables_excluded().map(|spared| format!("{spared} -j RETURN"));
        for (number, rule) in spared.chain([plan.xtables_rule()]).enumerate() {
            // The comment distinguishes our chain from a user's chain with the same name.
            let rule = format!("-m comment --comment {COMMENT} {rule}");
            let number = number.to_string();
            let mut call = direct(&["--add-rule", family, table, CHAIN, &number]);
            call.extend(split(&rule));
            calls.push(call);
        }
        calls.push(direct(&["--add-rule", family, table, "PREROUTING", "0", "-j", CHAIN]));
    }
    calls
}

/// The words of one of our rules: only the prefix is quoted.
fn split(rule: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in rule.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(ToOwned::to_owned));
        }
    }
    words
}

/// The limit of a rich rule. Its bursts have 5 packets, so even the maximum rate would not log most of a burst;
/// the maximum therefore means no limit.
pub(super) fn rich_limit(plan: &RulesPlan) -> Option<u32> {
    plan.limit.filter(|limit| *limit < HIGHEST)
}

/// Rich rules after all other rules of a zone: one for each protocol, because zones accept ICMP after them.
pub(super) fn rich_rules(plan: &RulesPlan) -> impl Iterator<Item = String> {
    let limit = rich_limit(plan);
    let limit = limit.map(|limit| format!(" limit value=\"{limit}/s\"")).unwrap_or_default();
    let threshold = plan.queue_threshold.min(u32::from(u16::MAX));
    let log = format!(
        "nflog group=\"{}\" prefix=\"{}\" queue-size=\"{threshold}\"{limit}",
        plan.group, plan.prefix
    );
    ["tcp", "udp"]
        .into_iter()
        .map(move |protocol| format!("{LAST}protocol value=\"{protocol}\" {log}"))
}

/// Whether this program created a rich rule, by its priority and parts: rich rules have no comments.
pub(super) fn is_own_rich_rule(rule: &str) -> bool {
    let after = rule.strip_prefix(LAST).and_then(|rule| rule.strip_prefix("protocol value=\""));
    let log =
        after.and_then(|rule| rule.strip_prefix("tcp\" ").or_else(|| rule.strip_prefix("udp\" ")));
    let is_action = |word| ["accept", "drop", "reject", "mark"].contains(&word);
    log.is_some_and(|log| log.starts_with("nflog ") && !log.split_whitespace().any(is_action))
}
