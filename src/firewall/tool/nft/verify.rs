//! Verifies the rules for dropped packets in nft's chains.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    super::{ToolError, reached, unverified},
    dropped as planned,
};
use crate::{
    firewall::{
        inspect::{LogTarget, Matches, Rule, Table},
        plan::{IpVersion, Placement, RulesPlan},
    },
    sort::sort,
};

/// Position of one of our rules: table and chain, index of the next rule, whether it has a condition, its group, and the
/// version of IP whose addresses choose the group.
type RulePosition = (String, usize, bool, u16, Option<IpVersion>);

/// Compares our loaded rules with a new plan for the same chains.
pub(super) fn dropped(plan: &RulesPlan, listed: &[Table]) -> Result<Vec<String>, ToolError> {
    let wanted = planned(listed)?.rules;
    let mut wanted: Vec<RulePosition> =
        wanted.iter().flat_map(|(table, placement)| positions(plan, table, placement)).collect();
    let mut found = found(plan, listed)?;
    // Sorted for binary search: a firewall may have tens of thousands of rules.
    sort(&mut wanted);
    sort(&mut found);
    if let Some((place, index, _, group, _)) =
        wanted.iter().find(|it| found.binary_search(it).is_err())
    {
        return unverified(format!(
            "no rule before rule {} of {place} logs to group {group} with the prefix {:?}",
            index + 1,
            plan.prefix
        ));
    }
    if found != wanted {
        return unverified("there are more rules than planned, so packets count twice");
    }
    let mut places: Vec<String> = wanted.into_iter().map(|(place, ..)| place).collect();
    places.dedup();
    Ok(places)
}

/// The positions of our rules for one placement.
fn positions(plan: &RulesPlan, table: &Table, placement: &Placement) -> Vec<RulePosition> {
    let (family, _) = table.place.split_once(' ').unwrap_or_default();
    let versions: Vec<_> = match plan.spread {
        1 => vec![None],
        _ => IpVersion::of_family(family).iter().copied().map(Some).collect(),
    };
    let place = format!("{} {}", table.place, placement.chain);
    let position = |version, group| {
        (place.clone(), placement.index, placement.matches.is_some(), group, version)
    };
    let of_version = |version| plan.groups().map(move |group| (version, group));
    let all = versions.into_iter().flat_map(of_version);
    all.map(|(version, group)| position(version, group)).collect()
}

/// The version of IP whose addresses a match hashes.
fn hashed(value: &Value) -> Option<IpVersion> {
    let name = value["match"]["left"]["jhash"]["expr"]["concat"][0]["payload"]["protocol"].as_str();
    IpVersion::ALL.into_iter().find(|version| Some(version.name()) == name)
}

/// Our rules that log as planned.
fn found(plan: &RulesPlan, listed: &[Table]) -> Result<Vec<RulePosition>, ToolError> {
    let mut found = Vec::new();
    for table in listed {
        let reached = reached(plan, table)?;
        let reached: HashSet<*const Rule> =
            reached.iter().map(|it| std::ptr::from_ref(it.rule)).collect();
        for chain in &table.chains {
            let mut index = 0;
            for rule in &chain.rules {
                if !rule.is_ours {
                    index += 1;
                } else if reached.contains(&std::ptr::from_ref(rule))
                    && let (Matches::Nft(all), Some(LogTarget::Group(group, _))) =
                        (&rule.matches, &rule.log)
                {
                    let version = all.iter().find_map(hashed);
                    // Our rules have one match for loopback, one for their group if there are several, and the copied ones.
                    let is_copy = all.len() > 1 + usize::from(version.is_some());
                    let place = format!("{} {}", table.place, chain.name);
                    found.push((place, index, is_copy, *group, version));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;
    use crate::firewall::{
        Wanted,
        inspect::{Base, Chain, Condition, Syntax, Verdict},
    };

    /// A chain in which one of our rules precedes each rule that drops.
    fn table(rules: u64) -> Table {
        let drops = |number: u64| Rule {
            text: format!("drop {number}"),
            handle: Some(number),
            condition: Condition::Some,
            matches: Matches::Nft(vec![number.into()]),
            is_copyable: true,
            verdicts: vec![Verdict::Drop],
            log: None,
            is_ours: false,
        };
        let logs = |drops: &Rule| Rule {
            matches: Matches::Nft(vec!["loopback".into(), "copy".into()]),
            verdicts: Vec::new(),
            log: Some(LogTarget::Group(1, "dropped".into())),
            is_ours: true,
            ..drops.clone()
        };
        let mut all: Vec<Rule> =
            (0..rules).map(drops).flat_map(|drops| [logs(&drops), drops]).collect();
        // Its last rule jumps to a chain that logs, so each rule before it has its own log rule.
        let jump = Rule { verdicts: vec![Verdict::Jump("rest".into())], ..drops(rules) };
        all.push(jump);
        let last = Rule { matches: Matches::Nft(vec!["loopback".into()]), ..logs(&drops(0)) };
        let base = Base { hook: "input".into(), drops: true };
        let chains = vec![
            Chain { name: "input".into(), base: Some(base), rules: [all, vec![last]].concat() },
            Chain { name: "rest".into(), base: None, rules: vec![logs(&drops(0)), drops(0)] },
        ];
        Table { place: "inet filter".into(), syntax: Syntax::Nft, dormant: false, chains }
    }

    /// The time that this thread has spent on a processor. The kernel brings it up to date for each call; the files in
    /// `/proc` have that of the last tick.
    fn spent() -> Duration {
        clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
    }

    #[test]
    fn time_grows_with_the_number_of_rules_and_not_with_its_square() {
        let plan = RulesPlan {
            wanted: Wanted::Dropped,
            group: 1,
            spread: 1,
            seed: 0,
            prefix: "dropped".into(),
            limit: None,
            copy_range: 128,
            queue_threshold: 100,
            spare_tcp_ports: Vec::new(),
        };
        let time = |rules| {
            let tables = [table(rules)];
            let start = spent();
            let places = dropped(&plan, &tables).unwrap();
            assert_eq!(places, ["inet filter input", "inet filter rest"]);
            spent().saturating_sub(start)
        };
        // The least of several: another program on the processor can only add to a time.
        let least = |rules| (0..5).map(|_| time(rules)).min().unwrap();
        let (few, many) = (least(1_000), least(16_000));
        // 16 times as many rules: the square would be 256.
        assert!(many < 64 * few, "{few:?} for 1,000 rules, {many:?} for 16,000");
    }
}
