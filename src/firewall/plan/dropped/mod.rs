//! Where rules log each packet that is dropped because no rule accepts it, once, and no accepted one.
//!
//! A position (chain, index) is *doomed* where every packet there is dropped by this chain's own rules
//! and what they lead to, whatever conditions are met, and *doomed in context* where the same holds
//! with what happens after a return, in every context. Then:
//!
//! - A chain is *silent* where its first position is doomed and nothing in it logs: the rules that lead
//!   to it log, as if they dropped themselves.
//! - Any other chain logs at the first doomed position after which no rule leads to a chain that logs.
//! - Of the rules before that one, each that drops, or leads to a silent chain, and whose position is
//!   doomed in context, gets a rule before it that logs under the same condition. Any other rule that
//!   drops is a rule of the user's own, for packets that later rules could accept.

use crate::firewall::{
    inspect::{Matches, Rule, Table, Verdict},
    plan::outcome::{Analysis, is_always},
};

/// The hooks whose packets are logged: what comes in, and what is passed on.
const HOOKS: [&str; 2] = ["input", "forward"];

/// Where a rule of ours goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The chain's name.
    pub chain: String,
    /// Index of the rule before which it goes, rules of ours not counted; their number for the end.
    pub index: usize,
    /// The rule before which it goes; `None` for the end.
    pub before: Option<Before>,
    /// Under which condition it logs; `None` for every packet.
    pub matches: Option<Matches>,
}

/// The rule before which one of ours goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// As in messages.
    pub text: String,
    /// Its number, with nft.
    pub handle: Option<u64>,
}

/// Where to log what a table drops, and what stays without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placements {
    /// In the order of the chains and their rules.
    pub rules: Vec<Placement>,
    /// For each chain of a hook in which nothing is logged, its name and why.
    pub without: Vec<(String, String)>,
    /// Rules that drop under a condition that no other rule can repeat, as messages.
    pub unlogged: Vec<String>,
}

/// Finds where to log the packets that a table drops.
#[must_use]
pub fn placements(table: &Table) -> Placements {
    let mut search = Search::new(table);
    for chain in 0..search.analysis.chains.len() {
        search.find(chain);
    }
    search.finish()
}

/// The first position of a chain at which every packet is dropped in the end, whatever its rules do: the
/// index, rules of ours not counted.
///
/// # Errors
/// There is none: what the kernel's own chain of the name `base` does with the rest.
pub fn first_doomed(table: &Table, chain: &str, base: &str) -> Result<usize, String> {
    let analysis = Analysis::new(table, &HOOKS);
    let (Some(chain), Some(base)) = (analysis.chain(chain), analysis.chain(base)) else {
        return Err(format!("there is no chain {chain}"));
    };
    let is_doomed =
        |at: &usize| analysis.is_reached(chain, *at) && analysis.whole(chain, *at).only_drops();
    let mut positions = 0..=analysis.chains[chain].rules.len();
    positions.find(is_doomed).ok_or_else(|| why_nothing_is_dropped(&analysis, base))
}

struct Search<'t> {
    analysis: Analysis<'t>,
    found: Vec<Option<Found>>,
}

/// How a chain logs.
#[derive(Clone, Copy, Default)]
struct Logs {
    /// Whether the rules that lead here log for it.
    is_silent: bool,
    /// Whether it logs, or a chain that it leads to.
    logs: bool,
}

#[derive(Clone, Default)]
struct Found {
    how: Logs,
    rules: Vec<Placement>,
    unlogged: Vec<String>,
}

impl<'t> Search<'t> {
    fn new(table: &'t Table) -> Self {
        let analysis = Analysis::new(table, &HOOKS);
        let found = vec![None; analysis.chains.len()];
        Self { analysis, found }
    }

    /// How a chain logs; one that is being looked at stands in a circle.
    fn find(&mut self, chain: usize) -> Logs {
        if let Some(found) = &self.found[chain] {
            return found.how;
        }
        let how = Logs { logs: true, is_silent: false };
        self.found[chain] = Some(Found { how, ..Found::default() });
        let found = self.search(chain);
        let how = found.how;
        self.found[chain] = Some(found);
        how
    }

    fn search(&mut self, chain: usize) -> Found {
        let rules = self.analysis.chains[chain].rules.clone();
        let mut found = Found::default();
        let mut from = 0;
        for (at, rule) in rules.iter().enumerate() {
            let targets: Vec<usize> = self.analysis.targets(rule).collect();
            for target in targets {
                if self.find(target).logs && self.analysis.is_reached(chain, at) {
                    found.how.logs = true;
                    from = at + 1;
                }
            }
        }
        let is_doomed = |at: &usize| {
            self.analysis.is_reached(chain, *at) && self.analysis.own(chain, *at).only_drops()
        };
        let first = (from..=rules.len()).find(is_doomed);
        let is_base = self.analysis.chains[chain].chain.base.is_some();
        if first == Some(0) && !is_base {
            found.how.is_silent = true;
            return found;
        }
        for (at, rule) in rules.iter().enumerate().take(first.unwrap_or(rules.len())) {
            let is_doomed =
                self.analysis.is_reached(chain, at) && self.analysis.whole(chain, at).only_drops();
            if !is_doomed || !self.drops(chain, rule) {
                continue;
            }
            if rule.is_copyable {
                let matches = (!is_always(rule)).then(|| rule.matches.clone());
                found.rules.push(self.placement(chain, at, matches));
            } else {
                found.unlogged.push(format!(
                    "{}: what {} drops is not logged: no second rule can have its condition",
                    self.analysis.chains[chain].chain.name, rule.text
                ));
            }
        }
        found.rules.extend(first.map(|at| self.placement(chain, at, None)));
        found.how.logs |= !found.rules.is_empty();
        found
    }

    /// Whether a rule drops what it is for: itself, or by a chain that it leads to.
    fn drops(&mut self, chain: usize, rule: &'t Rule) -> bool {
        let targets: Vec<usize> = self.analysis.targets(rule).collect();
        let is_return = |verdict: &Verdict| *verdict == Verdict::Return;
        rule.verdicts.contains(&Verdict::Drop)
            || rule.verdicts.iter().any(is_return) && self.analysis.drops_at_return(chain)
            || targets.into_iter().any(|target| self.find(target).is_silent)
    }

    fn placement(&self, chain: usize, index: usize, matches: Option<Matches>) -> Placement {
        let view = &self.analysis.chains[chain];
        let before = view.rules.get(index);
        let before = before.map(|rule| Before { text: rule.text.clone(), handle: rule.handle });
        Placement { chain: view.chain.name.clone(), index, before, matches }
    }

    fn finish(self) -> Placements {
        let Self { analysis, found } = self;
        let mut placements = Placements::default();
        for (at, view) in analysis.chains.iter().enumerate() {
            let hook = view.chain.base.as_ref().map(|base| &*base.hook);
            let found = found[at].clone().unwrap_or_default();
            if hook.is_some_and(|hook| HOOKS.contains(&hook)) && !found.how.logs {
                let why = why_nothing_is_dropped(&analysis, at);
                placements.without.push((view.chain.name.clone(), why));
            }
            placements.rules.extend(found.rules);
            placements.unlogged.extend(found.unlogged);
        }
        placements
    }
}

/// Which rule, or the policy, accepts what no rule decides about.
fn why_nothing_is_dropped(analysis: &Analysis<'_>, chain: usize) -> String {
    let view = &analysis.chains[chain];
    let accepting = view.rules.iter().enumerate().find(|(at, rule)| {
        is_always(rule)
            && analysis.is_reached(chain, *at)
            && !analysis.is_reached(chain, at + 1)
            && analysis.own(chain, *at).only_accepts()
    });
    match accepting {
        Some((_, rule)) => format!("{} accepts every packet that comes to it", rule.text),
        None if analysis.drops_at_return(chain) => {
            "a chain that its rules lead to accepts the packets that no rule decides about".into()
        }
        None => "policy accept: it accepts every packet that no rule decides about".into(),
    }
}

#[cfg(test)]
mod tests;
