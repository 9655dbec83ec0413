//! Places log rules so that each packet that is dropped because no rule accepts it is logged once, and no
//! accepted packet is.
//!
//! A position (chain, index) is *doomed* if every packet there is dropped by the rules of this chain and the
//! chains that they jump to, for all results of conditions. It is *doomed in context* if the same holds
//! including the rules after a return, in every context. Then:
//!
//! - A chain is *silent* if its first position is doomed and it contains no log rule: the rules that jump to it
//!   are logged, as if they dropped packets themselves.
//! - Any other chain logs at the first doomed position after which no rule jumps to a chain that logs.
//! - Of the rules before that position, each that drops or jumps to a silent chain, and whose position is
//!   doomed in context, gets a log rule with the same condition before it. Any other rule that drops is a deny
//!   rule of the user, for packets that later rules could accept.

use crate::firewall::{
    inspect::{Matches, Rule, Table, Verdict},
    plan::outcome::{Analysis, is_always},
};

/// The hooks whose packets are logged: inbound and forwarded.
const HOOKS: [&str; 2] = ["input", "forward"];

/// The position of one of our rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The chain's name.
    pub chain: String,
    /// Index of the rule before which it is inserted, without counting our rules; the number of rules for the
    /// end of the chain.
    pub index: usize,
    /// The rule before which it is inserted; `None` for the end of the chain.
    pub before: Option<NextRule>,
    /// The condition under which it logs; `None` for every packet.
    pub matches: Option<Matches>,
}

/// The rule before which one of our rules is inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRule {
    /// Description in messages.
    pub text: String,
    /// nft's handle of the rule.
    pub handle: Option<u64>,
}

/// The positions at which a table's dropped packets are logged, and those that cannot be logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placements {
    /// In the order of the chains and their rules.
    pub rules: Vec<Placement>,
    /// Name of each base chain in which nothing is logged, and the reason.
    pub without: Vec<(String, String)>,
    /// Messages about rules that drop packets under a condition that cannot be copied.
    pub unlogged: Vec<String>,
}

/// Finds the positions at which to log the packets that a table drops.
#[must_use]
pub fn placements(table: &Table) -> Placements {
    let mut search = Search::new(table);
    for chain in 0..search.analysis.chains.len() {
        search.find(chain);
    }
    search.finish()
}

/// The first position of a chain from which on every packet is dropped: its index, without counting our rules.
///
/// # Errors
/// There is no such position: a message about what the base chain `base` does with the remaining packets.
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
    found: Vec<Option<ChainResult>>,
}

/// Whether and where a chain logs.
#[derive(Clone, Copy, Default)]
struct ChainLogging {
    /// Whether the rules that jump to it log instead.
    is_silent: bool,
    /// Whether it logs, or a chain that it jumps to.
    logs: bool,
}

#[derive(Clone, Default)]
struct ChainResult {
    how: ChainLogging,
    rules: Vec<Placement>,
    unlogged: Vec<String>,
}

impl<'t> Search<'t> {
    fn new(table: &'t Table) -> Self {
        let analysis = Analysis::new(table, &HOOKS);
        let found = vec![None; analysis.chains.len()];
        Self { analysis, found }
    }

    /// Computes the logging of a chain. A chain that is being computed is part of a loop.
    fn find(&mut self, chain: usize) -> ChainLogging {
        if let Some(found) = &self.found[chain] {
            return found.how;
        }
        let how = ChainLogging { logs: true, is_silent: false };
        self.found[chain] = Some(ChainResult { how, ..ChainResult::default() });
        let found = self.search(chain);
        let how = found.how;
        self.found[chain] = Some(found);
        how
    }

    fn search(&mut self, chain: usize) -> ChainResult {
        let rules = self.analysis.chains[chain].rules.clone();
        let mut found = ChainResult::default();
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
                    "{}: packets that {} drops are not logged: its condition cannot be copied",
                    self.analysis.chains[chain].chain.name, rule.text
                ));
            }
        }
        found.rules.extend(first.map(|at| self.placement(chain, at, None)));
        found.how.logs |= !found.rules.is_empty();
        found
    }

    /// Whether a rule drops the packets that it matches, itself or by a chain that it jumps to.
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
        let before = before.map(|rule| NextRule { text: rule.text.clone(), handle: rule.handle });
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

/// Which rule, or the policy, accepts the remaining packets.
fn why_nothing_is_dropped(analysis: &Analysis<'_>, chain: usize) -> String {
    let view = &analysis.chains[chain];
    let accepting = view.rules.iter().enumerate().find(|(at, rule)| {
        is_always(rule)
            && analysis.is_reached(chain, *at)
            && !analysis.is_reached(chain, at + 1)
            && analysis.own(chain, *at).only_accepts()
    });
    match accepting {
        Some((_, rule)) => format!("{} accepts every packet that reaches it", rule.text),
        None if analysis.drops_at_return(chain) => {
            "a chain that its rules jump to accepts the remaining packets".into()
        }
        None => "policy accept: it accepts every packet that no rule drops".into(),
    }
}

#[cfg(test)]
mod tests;
