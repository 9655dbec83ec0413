//! Compares the placements with an interpreter that sends every possible packet through random chains, and
//! checks typical firewalls.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{super::outcome::Analysis, *};
use crate::firewall::inspect::{Base, Chain, Condition, Syntax};

/// Parses a rule: `accept`, `drop`, `return`, `jump X`, `goto X`, `count`; after `?` for some packets only,
/// after `~` for those of loopback, after `!` for all others.
fn rule(short: &str) -> Rule {
    let (condition, verdict) = match short.split_at(1) {
        ("?", rest) => (Condition::Some, rest),
        ("~", rest) => (Condition::Loopback, rest),
        ("!", rest) => (Condition::NotLoopback, rest),
        _ => (Condition::Always, short),
    };
    let verdict = match verdict.split_once(' ') {
        Some(("jump", chain)) => Some(Verdict::Jump(chain.into())),
        Some((_, chain)) => Some(Verdict::Goto(chain.into())),
        None if verdict == "accept" => Some(Verdict::Accept),
        None if verdict == "drop" => Some(Verdict::Drop),
        None if verdict == "return" => Some(Verdict::Return),
        None if verdict == "queue" => Some(Verdict::Unknown),
        None => None,
    };
    Rule {
        text: short.into(),
        handle: None,
        condition,
        matches: Matches::Nft(Vec::new()),
        is_copyable: true,
        verdicts: verdict.into_iter().collect(),
        log: None,
        is_ours: false,
    }
}

/// A chain; base chains have a policy.
fn chain(name: &str, policy: Option<bool>, rules: &[String]) -> Chain {
    let base = policy.map(|drops| Base { hook: "input".into(), drops });
    Chain { name: name.into(), base, rules: rules.iter().map(|short| rule(short)).collect() }
}

fn table(chains: Vec<Chain>) -> Table {
    Table { place: "t".into(), syntax: Syntax::Nft, dormant: false, chains }
}

/// Chains as `NAME: RULE; RULE`; `D` has the policy drop, `A` accept, others none.
fn written(chains: &[&str]) -> Table {
    let one = |text: &&str| {
        let (name, rules) = text.split_once(':').unwrap();
        let rules = rules.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        let rules: Vec<String> = rules.map(ToOwned::to_owned).collect();
        chain(name, ["A", "D"].contains(&name).then_some(name == "D"), &rules)
    };
    table(chains.iter().map(one).collect())
}

/// Checks the placements, as `CHAIN INDEX`, with `?` for a condition.
#[track_caller]
fn check(chains: &[&str], expect: &[&str]) {
    let found = placements(&written(chains));
    let place = |it: &Placement| {
        format!("{} {}{}", it.chain, it.index, if it.matches.is_some() { "?" } else { "" })
    };
    let places: Vec<String> = found.rules.iter().map(place).collect();
    assert_eq!(places, expect);
    assert_eq!(found.without.is_empty(), !expect.is_empty());
}

#[test]
fn typical_firewalls() {
    // The policy; a last rule; both.
    check(&["D: ~accept; ?accept"], &["D 2"]);
    check(&["A: ~accept; ?accept; drop"], &["A 2"]);
    check(&["D: ~accept; ?accept; ?drop"], &["D 2"]);
    // Through chains.
    check(&["A: ?accept; jump l", "l: count; drop"], &["A 1"]);
    check(&["D: ?accept; !jump l", "l: ?drop; drop"], &["D 1"]);
    check(&["A: ?accept; goto l", "l: count; drop"], &["A 1"]);
    // OpenWrt.
    check(
        &[
            "D: ~accept; ?accept; ?jump lan; ?jump wan; jump reject",
            "reject: ?drop; drop",
            "lan: accept",
            "wan: ?accept; jump from_wan",
            "from_wan: ?jump reject",
        ],
        &["D 4", "from_wan 0?"],
    );
    // A chain of a zone that decides about all its packets.
    check(&["A: ?jump wan; accept", "wan: ?accept; drop"], &["wan 1"]);
    check(&["D: ?goto wan; ?accept", "wan: ?accept"], &["D 2", "wan 1"]);
}

#[test]
fn nothing_is_logged_where_remaining_packets_are_accepted() {
    check(&["A: ?accept; ?drop"], &[]);
    check(&["A: ?jump l", "l: count; drop"], &[]);
    check(&["D: ?drop; accept"], &[]);
    check(&["D: ?drop; jump a", "a: ?drop; accept"], &[]);
    check(&["D: queue; accept"], &[]);
    let why = |chains: &[&str]| placements(&written(chains)).without[0].1.clone();
    assert!(why(&["A: ?drop"]).starts_with("policy accept"));
    assert_eq!(why(&["D: ?drop; accept; drop"]), "accept accepts every packet that reaches it");
}

#[test]
fn a_condition_that_cannot_be_copied_is_reported() {
    let mut table = written(&["D: ?accept; jump l; ?accept; jump l", "l: ?drop; ?return"]);
    table.chains[0].rules.remove(2);
    table.chains[1].rules[0].is_copyable = false;
    let found = placements(&table);
    assert_eq!(found.unlogged.len(), 1, "{found:?}");
}

/// The outcome of a packet.
struct PacketOutcome {
    dropped: bool,
    logs: usize,
    /// Chain and position of every frame of the call stack at its end.
    frames: Vec<(usize, usize)>,
}

/// Sends one packet through a table; the condition of each rule is independent.
struct Interpreter<'t> {
    table: &'t Table,
    named: HashMap<&'t str, usize>,
    logs: HashMap<(usize, usize), Vec<Placement>>,
}

impl<'t> Interpreter<'t> {
    fn new(table: &'t Table) -> Self {
        let chains = table.chains.iter().enumerate();
        let named: HashMap<&str, usize> = chains.map(|(at, it)| (&*it.name, at)).collect();
        let mut logs: HashMap<_, Vec<Placement>> = HashMap::new();
        for placement in placements(table).rules {
            let chain = named[&*placement.chain];
            logs.entry((chain, placement.index)).or_default().push(placement);
        }
        Self { table, named, logs }
    }

    fn send(&self, base: usize, meets: &dyn Fn(usize, usize) -> bool) -> PacketOutcome {
        // For each frame, whether it was entered by `goto`: a return leaves all those frames.
        let mut stack = vec![(base, 0, false)];
        let mut logs = 0;
        let ended = |stack: &[(usize, usize, bool)], dropped, logs| PacketOutcome {
            dropped,
            logs,
            frames: stack.iter().map(|(chain, at, _)| (*chain, *at)).collect(),
        };
        loop {
            let (chain, at, _) = *stack.last().unwrap();
            let rules = &self.table.chains[chain].rules;
            let rule = rules.get(at);
            let is_met = rule.is_some_and(|rule| match rule.condition {
                Condition::Always | Condition::NotLoopback => true,
                Condition::Loopback => false,
                Condition::Some => meets(chain, at),
            });
            let placed = self.logs.get(&(chain, at)).into_iter().flatten();
            logs += placed.filter(|it| it.matches.is_none() || is_met).count();
            let verdict = rule.filter(|_| is_met).and_then(|rule| rule.verdicts.first());
            match (rule, verdict) {
                (_, Some(Verdict::Accept | Verdict::Unknown)) => return ended(&stack, false, logs),
                (_, Some(Verdict::Drop)) => return ended(&stack, true, logs),
                (_, Some(Verdict::Jump(to))) => stack.push((self.named[&**to], 0, false)),
                (_, Some(Verdict::Goto(to))) => stack.push((self.named[&**to], 0, true)),
                (Some(_), None) => stack.last_mut().unwrap().1 += 1,
                (None, None) | (_, Some(Verdict::Return)) => {
                    let full = stack.clone();
                    while stack.pop().is_some_and(|(_, _, is_goto)| is_goto) {}
                    let Some(frame) = stack.last_mut() else {
                        let policy = self.table.chains[base].base.as_ref().unwrap().drops;
                        return ended(&full, policy, logs);
                    };
                    frame.1 += 1;
                }
            }
        }
    }
}

/// Compares the log entries of a packet with its outcome.
fn judge(analysis: &Analysis<'_>, ended: &PacketOutcome) -> Result<(), TestCaseError> {
    if !ended.dropped {
        prop_assert_eq!(ended.logs, 0, "an accepted packet was logged");
        return Ok(());
    }
    prop_assert!(ended.logs <= 1, "a packet was logged {} times", ended.logs);
    let frames = &ended.frames;
    let (last, last_at) = *frames.last().unwrap();
    let rule = analysis.chains[last].rules.get(last_at);
    let is_return = rule.is_none_or(|rule| rule.verdicts.contains(&Verdict::Return));
    if is_return
        && !analysis.drops_at_return(last)
        && !rule.is_some_and(|it| it.verdicts.contains(&Verdict::Drop))
    {
        // Dropped by the policy after a return from a chain.
        return Ok(());
    }
    // The first frame whose rule decides that the packet is dropped.
    let denies =
        |at: &usize| frames.get(at + 1).is_none_or(|it| analysis.own(it.0, 0).only_drops());
    let deny = (0..frames.len()).find(denies).unwrap();
    let in_context = |it: &(usize, usize)| analysis.whole(it.0, it.1).only_drops();
    if frames[deny..].iter().all(in_context) {
        prop_assert_eq!(ended.logs, 1, "a dropped packet was not logged");
    }
    let is_late = frames[..deny].iter().any(|it| analysis.own(it.0, it.1).only_drops());
    if deny + 1 == frames.len() && !in_context(&frames[deny]) && !is_late {
        prop_assert_eq!(ended.logs, 0, "a rule of the user's own was logged");
    }
    Ok(())
}

/// A rule of the chain `at`, which jumps to later chains only.
fn any_rule(at: usize, chains: usize) -> BoxedStrategy<String> {
    let condition = prop_oneof![4 => Just("?"), 3 => Just(""), 1 => Just("!"), 1 => Just("~")];
    let mut verdict = prop_oneof![
        4 => Just("drop".to_owned()),
        2 => Just("accept".to_owned()),
        2 => Just("return".to_owned()),
        1 => Just("count".to_owned()),
        1 => Just("queue".to_owned()),
    ]
    .boxed();
    if at + 1 < chains {
        let to = (at + 1..chains).prop_map(|to| format!("c{to}"));
        let leads = (prop_oneof![3 => Just("jump"), 2 => Just("goto")], to);
        let leads = leads.prop_map(|(how, to)| format!("{how} {to}"));
        verdict = prop_oneof![1 => verdict, 1 => leads].boxed();
    }
    (condition, verdict).prop_map(|(condition, verdict)| format!("{condition}{verdict}")).boxed()
}

/// One or two base chains, and up to four regular ones.
fn any_table() -> impl Strategy<Value = Table> {
    (1..=2_usize, 2..=6_usize).prop_flat_map(|(bases, count)| {
        let one = move |at: usize| {
            let first = if at < bases { bases - 1 } else { at };
            let rules = proptest::collection::vec(any_rule(first, count), 0..=4);
            (any::<bool>(), rules).prop_map(move |(drops, rules)| {
                chain(&format!("c{at}"), (at < bases).then_some(drops), &rules)
            })
        };
        (0..count).map(one).collect::<Vec<_>>().prop_map(table)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn each_dropped_packet_is_logged_once_and_no_accepted_one(table in any_table()) {
        let some = |chain: usize| {
            let rules = table.chains[chain].rules.iter().enumerate();
            rules.filter(|(_, it)| it.condition == Condition::Some).map(move |(at, _)| (chain, at))
        };
        let conditions: Vec<_> = (0..table.chains.len()).flat_map(some).collect();
        prop_assume!(conditions.len() <= 9);
        let analysis = Analysis::new(&table, &["input"]);
        let interpreter = Interpreter::new(&table);
        for packet in 0..1_u32 << conditions.len() {
            let meets = |chain, at| {
                let bit = conditions.iter().position(|it| *it == (chain, at)).unwrap();
                packet >> bit & 1 == 1
            };
            for base in (0..table.chains.len()).filter(|it| table.chains[*it].base.is_some()) {
                judge(&analysis, &interpreter.send(base, &meets))?;
            }
        }
    }
}
