//! Finds which logging rules packets reach, by one walk over all chains.

use std::collections::{HashMap, HashSet};

use super::chains::{Chain, Condition, LogTarget, Rule, Table, Verdict};

/// A rule that logs, and whether packets reach it.
#[derive(Debug, PartialEq, Eq)]
pub struct Logging<'t> {
    /// Its table.
    pub table: &'t Table,
    /// The name of its chain.
    pub chain: &'t str,
    /// Its log target.
    pub log: &'t LogTarget,
    /// The rule.
    pub rule: &'t Rule,
    /// The hooks from which packets reach its chain.
    pub hooks: Vec<&'t str>,
    /// Whether packets reach it.
    pub reach: Reach<'t>,
}

/// Whether packets reach a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'t> {
    /// Packets reach it, unless no packet matches the conditions of the jumps to it: those are not evaluated.
    Reached,
    /// The rule, or the jump to it, follows `rule` in `chain`, after which no packet continues.
    After {
        /// The chain's name.
        chain: &'t str,
        /// Description of the rule.
        rule: &'t str,
    },
    /// No rule jumps to `chain`, which contains the rule or the jump to it.
    NoJump {
        /// Its name.
        chain: &'t str,
    },
    /// The kernel skips the table.
    Dormant,
}

/// All rules of these tables that log, in order.
#[must_use]
pub fn logging(tables: &[Table]) -> Vec<Logging<'_>> {
    tables.iter().flat_map(|table| Walk::new(table).logging()).collect()
}

struct Walk<'t> {
    table: &'t Table,
    /// The index of each chain.
    named: HashMap<&'t str, usize>,
    /// For each chain, the first rule after which no packet continues.
    closed: Vec<Option<usize>>,
    reached: HashSet<usize>,
    /// For each base chain, its hook and the chains reachable from it.
    from_hooks: Vec<(&'t str, HashSet<usize>)>,
}

impl<'t> Walk<'t> {
    fn new(table: &'t Table) -> Self {
        let chains = table.chains.iter().enumerate();
        let named = chains.map(|(index, chain)| (&*chain.name, index)).collect();
        let mut walk = Self {
            table,
            named,
            closed: Vec::new(),
            reached: HashSet::new(),
            from_hooks: Vec::new(),
        };
        let ending = walk.ending();
        let closed = |chain: &Chain| chain.rules.iter().position(|rule| walk.closes(rule, &ending));
        walk.closed = table.chains.iter().map(closed).collect();
        let from_hook = |(index, chain): (usize, &'t Chain)| {
            Some((&*chain.base.as_ref()?.hook, walk.reachable_from(index)))
        };
        walk.from_hooks = table.chains.iter().enumerate().filter_map(from_hook).collect();
        walk.reached = walk.from_hooks.iter().flat_map(|(_, reached)| reached).copied().collect();
        walk
    }

    /// The chains from which no packet returns: a fixed point from the empty set, so chains that jump to each
    /// other are not included.
    fn ending(&self) -> HashSet<usize> {
        let mut ending = HashSet::new();
        loop {
            let more: Vec<usize> = (0..self.table.chains.len())
                .filter(|index| !ending.contains(index))
                .filter(|index| self.ends(&self.table.chains[*index], &ending))
                .collect();
            if more.is_empty() {
                return ending;
            }
            ending.extend(more);
        }
    }

    /// Whether no packet returns from a chain.
    fn ends(&self, chain: &Chain, ending: &HashSet<usize>) -> bool {
        for rule in &chain.rules {
            let returns = |verdict: &Verdict| match verdict {
                Verdict::Return | Verdict::Unknown => true,
                Verdict::Goto(target) => !self.is_in(target, ending),
                Verdict::Accept | Verdict::Drop | Verdict::Jump(_) => false,
            };
            if rule.verdicts.iter().any(returns) {
                return false;
            }
            if self.closes(rule, ending) {
                return true;
            }
        }
        false
    }

    /// Whether no packet continues from this rule to the next one of its chain.
    fn closes(&self, rule: &Rule, ending: &HashSet<usize>) -> bool {
        rule.condition == Condition::Always
            && rule.verdicts.iter().any(|verdict| match verdict {
                Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Goto(_) => true,
                Verdict::Unknown => false,
                Verdict::Jump(target) => self.is_in(target, ending),
            })
    }

    fn is_in(&self, chain: &str, set: &HashSet<usize>) -> bool {
        self.named.get(chain).is_some_and(|index| set.contains(index))
    }

    /// The rules of a chain that are reachable from its start, and the rest.
    fn split(&self, chain: usize) -> (&'t [Rule], &'t [Rule]) {
        let rules = &self.table.chains[chain].rules;
        rules.split_at(self.closed[chain].map_or(rules.len(), |closing| closing + 1))
    }

    /// The chains reachable from a chain, including itself.
    fn reachable_from(&self, start: usize) -> HashSet<usize> {
        let mut open = vec![start];
        let mut reached = HashSet::from([start]);
        while let Some(chain) = open.pop() {
            for target in targets(self.split(chain).0) {
                if let Some(&next) = self.named.get(target)
                    && reached.insert(next)
                {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// The hooks from which packets reach a chain.
    fn hooks(&self, chain: usize) -> Vec<&'t str> {
        let leads_here = |from: &&(&str, HashSet<usize>)| from.1.contains(&chain);
        self.from_hooks.iter().filter(leads_here).map(|(hook, _)| *hook).collect()
    }

    fn logging(&self) -> Vec<Logging<'t>> {
        let mut found = Vec::new();
        for (index, chain) in self.table.chains.iter().enumerate() {
            let (before, after) = self.split(index);
            for (rules, is_after) in [(before, false), (after, true)] {
                let mut logging = rules.iter().filter_map(|rule| Some((rule, rule.log.as_ref()?)));
                let Some(first) = logging.next() else { continue };
                // The same for all of them; computed once, because it searches all rules.
                let (reach, hooks) = (self.reach(index, is_after), self.hooks(index));
                found.extend(std::iter::once(first).chain(logging).map(|(rule, log)| Logging {
                    table: self.table,
                    chain: &chain.name,
                    log,
                    rule,
                    hooks: hooks.clone(),
                    reach,
                }));
            }
        }
        found
    }

    fn reach(&self, chain: usize, is_after: bool) -> Reach<'t> {
        if self.table.dormant {
            return Reach::Dormant;
        }
        if !self.reached.contains(&chain) {
            return self.obstacle(chain);
        }
        if is_after { self.after(chain) } else { Reach::Reached }
    }

    /// Why packets do not reach a chain: follows the jumps backwards to the first obstacle.
    fn obstacle(&self, chain: usize) -> Reach<'t> {
        let chains = &self.table.chains;
        let mut seen = HashSet::from([chain]);
        let mut at = chain;
        loop {
            let name = &*chains[at].name;
            let leads_here = |index: &usize| targets(&chains[*index].rules).any(|to| to == name);
            let mut callers = (0..chains.len()).filter(leads_here);
            // In a reachable caller, the jump follows a rule after which no packet continues.
            if let Some(caller) = callers.clone().find(|index| self.reached.contains(index)) {
                return self.after(caller);
            }
            match callers.find(|index| seen.insert(*index)) {
                Some(caller) => at = caller,
                None => return Reach::NoJump { chain: name },
            }
        }
    }

    /// The obstacle of rules after the closing rule of a chain.
    fn after(&self, chain: usize) -> Reach<'t> {
        let Chain { name, rules, .. } = &self.table.chains[chain];
        let rule = self.closed[chain].map_or("", |index| &*rules[index].text);
        Reach::After { chain: name, rule }
    }
}

/// The chains that rules jump to.
fn targets(rules: &[Rule]) -> impl Iterator<Item = &str> {
    rules.iter().flat_map(|rule| &rule.verdicts).filter_map(Verdict::target)
}

#[cfg(test)]
mod tests {
    use super::{
        super::chains::{Base, Matches, Syntax},
        *,
    };

    /// Parses a rule: `log`, `accept`, `return`, `jump X`, `goto X`; with `?` for some packets only.
    fn rule(text: &str) -> Rule {
        let (condition, short) = match text.strip_prefix('?') {
            Some(short) => (Condition::Some, short),
            None => (Condition::Always, text),
        };
        let verdict = match short.split_once(' ') {
            Some(("jump", chain)) => Some(Verdict::Jump(chain.into())),
            Some((_, chain)) => Some(Verdict::Goto(chain.into())),
            None if short == "accept" => Some(Verdict::Accept),
            None if short == "return" => Some(Verdict::Return),
            None => None,
        };
        let log = (short == "log").then_some(LogTarget::Kernel);
        let verdicts = verdict.into_iter().collect();
        Rule {
            text: text.into(),
            handle: None,
            condition,
            matches: Matches::Nft(Vec::new()),
            is_copyable: true,
            verdicts,
            log,
            is_ours: false,
        }
    }

    /// Parses chains: `NAME: RULE; RULE`; a name in capitals is a base chain.
    fn table(chains: &[&str]) -> Table {
        let chain = |text: &&str| {
            let (name, rules) = text.split_once(": ").unwrap();
            let is_base = name.chars().all(char::is_uppercase);
            let base = is_base.then(|| Base { hook: name.to_lowercase(), drops: false });
            Chain { name: name.into(), base, rules: rules.split("; ").map(rule).collect() }
        };
        Table {
            place: "t".into(),
            syntax: Syntax::Nft,
            dormant: false,
            chains: chains.iter().map(chain).collect(),
        }
    }

    /// Checks the reachability of the one rule that logs.
    #[track_caller]
    fn check(chains: &[&str], expect: Reach<'_>) {
        let tables = [table(chains)];
        let found = logging(&tables);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reach, expect);
    }

    fn after<'t>(chain: &'t str, rule: &'t str) -> Reach<'t> {
        Reach::After { chain, rule }
    }

    #[test]
    fn in_a_base_chain() {
        check(&["A: ?accept; log"], Reach::Reached);
        check(&["A: log; accept"], Reach::Reached);
        check(&["A: accept; log"], after("A", "accept"));
        check(&["A: return; log"], after("A", "return"));
    }

    #[test]
    fn through_jumps() {
        check(&["A: ?jump b", "b: log"], Reach::Reached);
        check(&["A: goto b", "b: jump c", "c: log"], Reach::Reached);
        check(&["b: log", "A: ?accept"], Reach::NoJump { chain: "b" });
        check(&["b: log", "c: jump b", "A: ?accept"], Reach::NoJump { chain: "c" });
        check(&["A: accept; jump b", "b: log"], after("A", "accept"));
        check(&["A: accept; jump b", "b: jump c", "c: log"], after("A", "accept"));
        // One reachable jump is enough.
        check(&["A: accept; jump b", "B: jump b", "b: log"], Reach::Reached);
        check(&["A: jump nowhere; log"], Reach::Reached);
    }

    #[test]
    fn after_a_jump_from_which_no_packet_returns() {
        check(&["A: jump b; log", "b: ?jump c; accept", "c: ?return"], after("A", "jump b"));
        check(&["A: jump b; log", "b: goto c", "c: accept"], after("A", "jump b"));
        check(&["A: goto b; log", "b: ?accept"], after("A", "goto b"));
        check(&["A: jump b; log", "b: ?return; accept"], Reach::Reached);
        check(&["A: jump b; log", "b: ?goto c; accept", "c: ?accept"], Reach::Reached);
        check(&["A: jump b; log", "b: ?goto c; accept", "c: accept"], after("A", "jump b"));
        check(&["A: ?jump b; log", "b: accept"], Reach::Reached);
    }

    #[test]
    fn in_a_circle() {
        check(&["A: jump a; log", "a: jump b", "b: jump a"], Reach::Reached);
        check(&["A: ?accept", "a: jump b", "b: jump a; log"], Reach::NoJump { chain: "a" });
    }

    #[test]
    fn hooks_from_which_a_chain_is_reached() {
        let chains = ["A: ?jump b", "B: jump b", "C: accept; jump b", "b: log"];
        assert_eq!(logging(&[table(&chains)])[0].hooks, ["a", "b"]);
    }

    #[test]
    fn in_a_dormant_table() {
        let rules = vec![rule("log")];
        let chains = vec![Chain {
            name: "A".into(),
            base: Some(Base { hook: "a".into(), drops: false }),
            rules,
        }];
        let tables = [Table { place: "t".into(), syntax: Syntax::Nft, dormant: true, chains }];
        assert_eq!(logging(&tables)[0].reach, Reach::Dormant);
    }
}
