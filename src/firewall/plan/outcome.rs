//! Computes the possible outcomes of a packet from each rule on: an exact analysis over all results of
//! conditions.

use std::collections::HashMap;

use crate::firewall::inspect::{Chain, Condition, Rule, Table, Verdict};

/// The possible outcomes of a packet; several if they depend on conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    dropped: bool,
    accepted: bool,
    returned: bool,
}

impl Outcomes {
    const NONE: Self = Self { dropped: false, accepted: false, returned: false };
    const DROPPED: Self = Self { dropped: true, ..Self::NONE };
    const ACCEPTED: Self = Self { accepted: true, ..Self::NONE };
    const RETURNED: Self = Self { returned: true, ..Self::NONE };

    fn or(self, other: Self) -> Self {
        Self {
            dropped: self.dropped || other.dropped,
            accepted: self.accepted || other.accepted,
            returned: self.returned || other.returned,
        }
    }

    /// Replaces a return with the outcomes after it.
    fn then(self, after: Self) -> Self {
        if self.returned { Self { returned: false, ..self }.or(after) } else { self }
    }

    /// Whether every packet is dropped.
    pub(super) fn only_drops(self) -> bool {
        self == Self::DROPPED
    }

    /// Whether every packet is accepted.
    pub(super) fn only_accepts(self) -> bool {
        self == Self::ACCEPTED
    }
}

/// The analysis of a table for packets that were not received on the loopback device, without the rules of the
/// sub-command `rules`. A position is the index of a rule in its chain; the last position is the chain's end.
pub(super) struct Analysis<'t> {
    pub(super) chains: Vec<ChainView<'t>>,
    named: HashMap<&'t str, usize>,
    /// For each chain, the outcome of a packet that leaves it by its end or by `return`.
    ends: Vec<Outcomes>,
    /// For each position, the outcomes within the chain and the chains that it jumps to.
    own: Vec<Vec<Outcomes>>,
    /// For each position, whether packets of the hooks reach it.
    reached: Vec<Vec<bool>>,
    /// For each chain, the outcomes after a return, in every context.
    after: Vec<Outcomes>,
}

/// A chain without rules of ours.
pub(super) struct ChainView<'t> {
    pub(super) chain: &'t Chain,
    pub(super) rules: Vec<&'t Rule>,
}

impl<'t> Analysis<'t> {
    /// Analyses a table for the packets of these hooks.
    pub(super) fn new(table: &'t Table, hooks: &[&str]) -> Self {
        let view = |chain: &'t Chain| ChainView {
            chain,
            rules: chain.rules.iter().filter(|rule| !rule.is_ours).collect(),
        };
        let chains: Vec<ChainView<'t>> = table.chains.iter().map(view).collect();
        let named = chains.iter().enumerate().map(|(at, view)| (&*view.chain.name, at)).collect();
        let reached =
            chains.iter().map(|view| vec![false; view.rules.len() + 1]).collect::<Vec<_>>();
        let count = chains.len();
        let mut analysis = Self {
            chains,
            named,
            ends: vec![Outcomes::RETURNED; count],
            own: vec![Vec::new(); count],
            reached,
            after: vec![Outcomes::NONE; count],
        };
        analysis.find_ends();
        for chain in 0..count {
            analysis.find_own(chain, &mut Vec::new());
        }
        analysis.find_contexts(hooks);
        analysis
    }

    /// The index of a chain.
    pub(super) fn chain(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// The outcomes from a position on, within the chain and the chains that it jumps to.
    pub(super) fn own(&self, chain: usize, at: usize) -> Outcomes {
        self.own[chain][at]
    }

    /// The same, including the outcomes after a return, in every context.
    pub(super) fn whole(&self, chain: usize, at: usize) -> Outcomes {
        self.own[chain][at].then(self.after[chain])
    }

    /// Whether packets of the hooks reach a position.
    pub(super) fn is_reached(&self, chain: usize, at: usize) -> bool {
        self.reached[chain][at]
    }

    /// Whether a `return` from this chain applies a policy that drops.
    pub(super) fn drops_at_return(&self, chain: usize) -> bool {
        self.ends[chain].only_drops()
    }

    /// The chains that a rule jumps to.
    pub(super) fn targets(&self, rule: &'t Rule) -> impl Iterator<Item = usize> {
        let verdicts = if is_never(rule) { &[][..] } else { &rule.verdicts };
        verdicts.iter().filter_map(Verdict::target).filter_map(|name| self.chain(name))
    }

    /// A base chain ends with its policy. So does a chain that is entered by `goto` only, from chains that all
    /// end with the same policy.
    fn find_ends(&mut self) {
        for (end, view) in self.ends.iter_mut().zip(&self.chains) {
            if let Some(base) = &view.chain.base {
                *end = if base.drops { Outcomes::DROPPED } else { Outcomes::ACCEPTED };
            }
        }
        while let Some((chain, end)) =
            (0..self.chains.len()).find_map(|chain| Some((chain, self.policy_by_goto(chain)?)))
        {
            self.ends[chain] = end;
        }
    }

    /// The policy with which a chain ends; `None` if it returns, or if its end is already known.
    fn policy_by_goto(&self, chain: usize) -> Option<Outcomes> {
        if self.ends[chain] != Outcomes::RETURNED {
            return None;
        }
        let name = &self.chains[chain].chain.name;
        let mut policy = None;
        for (caller, view) in self.chains.iter().enumerate() {
            let rules = view.rules.iter().filter(|rule| !is_never(rule));
            for verdict in rules.flat_map(|rule| &rule.verdicts) {
                if verdict.target() != Some(name) {
                    continue;
                }
                let end = self.ends[caller];
                let is_same = policy.is_none_or(|policy| policy == end);
                if matches!(verdict, Verdict::Jump(_)) || end == Outcomes::RETURNED || !is_same {
                    return None;
                }
                policy = Some(end);
            }
        }
        policy
    }

    /// Computes the outcomes of a chain's positions, from its end to its start. `open` has the chains that are
    /// being computed. The kernel rejects loops; here a loop accepts.
    fn find_own(&mut self, chain: usize, open: &mut Vec<usize>) {
        if !self.own[chain].is_empty() {
            return;
        }
        open.push(chain);
        let rules = self.chains[chain].rules.clone();
        let mut outcomes = vec![self.ends[chain]];
        for rule in rules.iter().rev() {
            let next = outcomes.last().copied().unwrap_or_default();
            let mut here = if is_always(rule) { Outcomes::NONE } else { next };
            if !is_never(rule) {
                for verdict in &rule.verdicts {
                    here = here.or(self.of_verdict(chain, verdict, next, open));
                }
                if rule.verdicts.is_empty() {
                    here = here.or(next);
                }
            }
            outcomes.push(here);
        }
        open.pop();
        outcomes.reverse();
        self.own[chain] = outcomes;
    }

    fn of_verdict(
        &mut self,
        chain: usize,
        verdict: &Verdict,
        next: Outcomes,
        open: &mut Vec<usize>,
    ) -> Outcomes {
        let after = match verdict {
            Verdict::Accept => return Outcomes::ACCEPTED,
            Verdict::Drop => return Outcomes::DROPPED,
            Verdict::Unknown => return Outcomes::ACCEPTED.or(next),
            Verdict::Return => return self.ends[chain],
            Verdict::Jump(_) => next,
            Verdict::Goto(_) => self.ends[chain],
        };
        match verdict.target().and_then(|name| self.chain(name)) {
            Some(target) if !open.contains(&target) => {
                self.find_own(target, open);
                self.own[target][0].then(after)
            }
            _ => Outcomes::ACCEPTED,
        }
    }

    /// Finds which positions packets of the hooks reach, and the outcomes after a return.
    fn find_contexts(&mut self, hooks: &[&str]) {
        for (reached, view) in self.reached.iter_mut().zip(&self.chains) {
            reached[0] = view.chain.base.as_ref().is_some_and(|base| hooks.contains(&&*base.hook));
        }
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for chain in 0..self.chains.len() {
                for at in 0..self.chains[chain].rules.len() {
                    if self.reached[chain][at] {
                        has_changed |= self.follow(chain, at);
                    }
                }
            }
        }
    }

    /// Follows the rule at a reachable position; returns whether the analysis changed.
    fn follow(&mut self, chain: usize, at: usize) -> bool {
        let rule = self.chains[chain].rules[at];
        let mut has_changed = false;
        let mut passes = !is_always(rule) || rule.verdicts.is_empty();
        let verdicts = if is_never(rule) { &[][..] } else { &rule.verdicts };
        for verdict in verdicts {
            passes |= *verdict == Verdict::Unknown;
            let Some(target) = verdict.target().and_then(|name| self.chain(name)) else { continue };
            let is_jump = matches!(verdict, Verdict::Jump(_));
            passes |= is_jump && self.own[target][0].returned;
            let after = if is_jump {
                self.whole(chain, at + 1)
            } else {
                self.ends[chain].then(self.after[chain])
            };
            let after = self.after[target].or(after);
            has_changed |= after != self.after[target] || !self.reached[target][0];
            self.after[target] = after;
            self.reached[target][0] = true;
        }
        has_changed |= passes && !self.reached[chain][at + 1];
        self.reached[chain][at + 1] |= passes;
        has_changed
    }
}

/// Whether a rule matches every packet that was not received on the loopback device.
pub(super) fn is_always(rule: &Rule) -> bool {
    matches!(rule.condition, Condition::Always | Condition::NotLoopback)
}

fn is_never(rule: &Rule) -> bool {
    rule.condition == Condition::Loopback
}
