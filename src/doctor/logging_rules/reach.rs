//! Which of the rules that log are met by packets: one walk over all chains.

use std::collections::{HashMap, HashSet};

use super::chains::{Chain, Log, Rule, Table, Verdict};

/// A rule that logs, and whether packets get there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logging<'t> {
    pub(super) table: &'t Table,
    pub(super) chain: &'t str,
    pub(super) log: &'t Log,
    pub(super) reach: Reach<'t>,
}

/// Whether packets get to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach<'t> {
    /// As far as can be told: a condition that nothing meets is not seen.
    Reached,
    /// The rule, or the jump that would lead to it, stands in `chain` behind `rule`, which decides
    /// about every packet.
    Behind { chain: &'t str, rule: &'t str },
    /// Nothing jumps to `chain`, where the rule is, or the jump that would lead to it.
    NoJump { chain: &'t str },
    /// The kernel passes over the whole table.
    Dormant,
}

/// Every rule of these tables that logs, in their order.
pub(super) fn logging(tables: &[Table]) -> Vec<Logging<'_>> {
    tables.iter().flat_map(|table| Walk::new(table).logging()).collect()
}

struct Walk<'t> {
    table: &'t Table,
    /// The place of each chain.
    named: HashMap<&'t str, usize>,
    /// For each chain, the first rule that lets no packet past.
    closed: Vec<Option<usize>>,
    reached: HashSet<usize>,
}

impl<'t> Walk<'t> {
    fn new(table: &'t Table) -> Self {
        let chains = table.chains.iter().enumerate();
        let named = chains.map(|(index, chain)| (&*chain.name, index)).collect();
        let mut walk = Self { table, named, closed: Vec::new(), reached: HashSet::new() };
        let ending = walk.ending();
        let closed = |chain: &Chain| chain.rules.iter().position(|rule| walk.closes(rule, &ending));
        walk.closed = table.chains.iter().map(closed).collect();
        walk.reached = walk.reachable();
        walk
    }

    /// The chains that no packet comes back from. Found in rounds that each add some, so that chains
    /// which lead to each other end it too: they stay out.
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

    /// Whether no packet comes back from a chain.
    fn ends(&self, chain: &Chain, ending: &HashSet<usize>) -> bool {
        for rule in &chain.rules {
            let comes_back = |verdict: &Verdict| match verdict {
                Verdict::Return => true,
                Verdict::Goto(target) => !self.is_in(target, ending),
                Verdict::Final | Verdict::Jump(_) => false,
            };
            if rule.verdicts.iter().any(comes_back) {
                return false;
            }
            if self.closes(rule, ending) {
                return true;
            }
        }
        false
    }

    /// Whether no packet gets from this rule to the next one of its chain.
    fn closes(&self, rule: &Rule, ending: &HashSet<usize>) -> bool {
        !rule.conditional
            && rule.verdicts.iter().any(|verdict| match verdict {
                Verdict::Final | Verdict::Return | Verdict::Goto(_) => true,
                Verdict::Jump(target) => self.is_in(target, ending),
            })
    }

    fn is_in(&self, chain: &str, set: &HashSet<usize>) -> bool {
        self.named.get(chain).is_some_and(|index| set.contains(index))
    }

    /// The rules of a chain that packets meet once they are in it, and those behind.
    fn split(&self, chain: usize) -> (&'t [Rule], &'t [Rule]) {
        let rules = &self.table.chains[chain].rules;
        rules.split_at(self.closed[chain].map_or(rules.len(), |closing| closing + 1))
    }

    /// The chains that packets get into: those of the kernel, and where reached rules lead to.
    fn reachable(&self) -> HashSet<usize> {
        let is_base = |index: &usize| self.table.chains[*index].base;
        let mut open: Vec<usize> = (0..self.table.chains.len()).filter(is_base).collect();
        let mut reached: HashSet<usize> = open.iter().copied().collect();
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

    fn logging(&self) -> Vec<Logging<'t>> {
        let mut found = Vec::new();
        for (index, chain) in self.table.chains.iter().enumerate() {
            let (before, behind) = self.split(index);
            let rules = before.iter().map(|rule| (rule, false));
            for (rule, is_behind) in rules.chain(behind.iter().map(|rule| (rule, true))) {
                if let Some(log) = &rule.log {
                    let reach = self.reach(index, is_behind);
                    found.push(Logging { table: self.table, chain: &chain.name, log, reach });
                }
            }
        }
        found
    }

    fn reach(&self, chain: usize, is_behind: bool) -> Reach<'t> {
        if self.table.dormant {
            return Reach::Dormant;
        }
        if !self.reached.contains(&chain) {
            return self.obstacle(chain);
        }
        if is_behind { self.behind(chain) } else { Reach::Reached }
    }

    /// Why packets do not get into a chain: up the jumps that there are, to the first obstacle.
    fn obstacle(&self, chain: usize) -> Reach<'t> {
        let chains = &self.table.chains;
        let mut seen = HashSet::from([chain]);
        let mut at = chain;
        loop {
            let name = &*chains[at].name;
            let leads_here = |index: &usize| targets(&chains[*index].rules).any(|to| to == name);
            let mut callers = (0..chains.len()).filter(leads_here);
            // One that packets get into has the jump behind a rule that closes it.
            if let Some(caller) = callers.clone().find(|index| self.reached.contains(index)) {
                return self.behind(caller);
            }
            match callers.find(|index| seen.insert(*index)) {
                Some(caller) => at = caller,
                None => return Reach::NoJump { chain: name },
            }
        }
    }

    /// Behind the rule that closes a chain.
    fn behind(&self, chain: usize) -> Reach<'t> {
        let Chain { name, rules, .. } = &self.table.chains[chain];
        let rule = self.closed[chain].map_or("", |index| &*rules[index].told);
        Reach::Behind { chain: name, rule }
    }
}

/// The chains that rules lead to.
fn targets(rules: &[Rule]) -> impl Iterator<Item = &str> {
    rules.iter().flat_map(|rule| &rule.verdicts).filter_map(Verdict::target)
}

#[cfg(test)]
mod tests {
    use super::{super::chains::Syntax, *};

    /// Rules in short: `log`, `accept`, `return`, `jump X`, `goto X`; with `?` for some packets only.
    fn rule(text: &str) -> Rule {
        let (conditional, short) = match text.strip_prefix('?') {
            Some(short) => (true, short),
            None => (false, text),
        };
        let verdict = match short.split_once(' ') {
            Some(("jump", chain)) => Some(Verdict::Jump(chain.into())),
            Some((_, chain)) => Some(Verdict::Goto(chain.into())),
            None if short == "accept" => Some(Verdict::Final),
            None if short == "return" => Some(Verdict::Return),
            None => None,
        };
        let log = (short == "log").then_some(Log::Kernel);
        let verdicts = verdict.into_iter().collect();
        Rule { told: text.into(), conditional, verdicts, log }
    }

    /// Chains as `NAME: RULE; RULE`; those in capitals are the kernel's. How the one rule that logs
    /// is reached.
    #[track_caller]
    fn check(chains: &[&str], expect: Reach<'_>) {
        let chain = |text: &&str| {
            let (name, rules) = text.split_once(": ").unwrap();
            let base = name.chars().all(char::is_uppercase);
            Chain { name: name.into(), base, rules: rules.split("; ").map(rule).collect() }
        };
        let table = Table {
            place: "t".into(),
            syntax: Syntax::Nft,
            dormant: false,
            chains: chains.iter().map(chain).collect(),
        };
        let tables = [table];
        let found = logging(&tables);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].reach, expect);
    }

    fn behind<'t>(chain: &'t str, rule: &'t str) -> Reach<'t> {
        Reach::Behind { chain, rule }
    }

    #[test]
    fn in_a_chain_of_the_kernel() {
        check(&["A: ?accept; log"], Reach::Reached);
        check(&["A: log; accept"], Reach::Reached);
        check(&["A: accept; log"], behind("A", "accept"));
        check(&["A: return; log"], behind("A", "return"));
    }

    #[test]
    fn through_jumps() {
        check(&["A: ?jump b", "b: log"], Reach::Reached);
        check(&["A: goto b", "b: jump c", "c: log"], Reach::Reached);
        check(&["b: log", "A: ?accept"], Reach::NoJump { chain: "b" });
        check(&["b: log", "c: jump b", "A: ?accept"], Reach::NoJump { chain: "c" });
        check(&["A: accept; jump b", "b: log"], behind("A", "accept"));
        check(&["A: accept; jump b", "b: jump c", "c: log"], behind("A", "accept"));
        // One way that is closed does not matter beside an open one.
        check(&["A: accept; jump b", "B: jump b", "b: log"], Reach::Reached);
        check(&["A: jump nowhere; log"], Reach::Reached);
    }

    #[test]
    fn behind_a_jump_from_which_nothing_comes_back() {
        check(&["A: jump b; log", "b: ?jump c; accept", "c: ?return"], behind("A", "jump b"));
        check(&["A: jump b; log", "b: goto c", "c: accept"], behind("A", "jump b"));
        check(&["A: goto b; log", "b: ?accept"], behind("A", "goto b"));
        check(&["A: jump b; log", "b: ?return; accept"], Reach::Reached);
        check(&["A: jump b; log", "b: ?goto c; accept", "c: ?accept"], Reach::Reached);
        check(&["A: jump b; log", "b: ?goto c; accept", "c: accept"], behind("A", "jump b"));
        check(&["A: ?jump b; log", "b: accept"], Reach::Reached);
    }

    #[test]
    fn in_a_circle() {
        check(&["A: jump a; log", "a: jump b", "b: jump a"], Reach::Reached);
        check(&["A: ?accept", "a: jump b", "b: jump a; log"], Reach::NoJump { chain: "a" });
    }

    #[test]
    fn in_a_table_that_sleeps() {
        let rules = vec![rule("log")];
        let chains = vec![Chain { name: "A".into(), base: true, rules }];
        let tables = [Table { place: "t".into(), syntax: Syntax::Nft, dormant: true, chains }];
        assert_eq!(logging(&tables)[0].reach, Reach::Dormant);
    }
}
