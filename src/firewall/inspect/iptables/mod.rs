//! Parses the output of iptables-save(8).

mod words;

pub use words::quoted;

use self::words::{logical_lines, words};
use super::chains::{Base, Chain, Condition, LogTarget, Matches, Rule, Syntax, Table, Verdict};
use crate::firewall::{CHAIN, COMMENT};

/// Targets that end the traversal of the table's chains without dropping the packet.
const ACCEPT: [&str; 9] =
    ["ACCEPT", "QUEUE", "NFQUEUE", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "SYNPROXY"];

/// Targets after which the packet continues with the next rule: iptables-extensions(8).
const PASS: [&str; 26] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
    "ULOG",
];

/// Matches whose result depends on earlier packets or on chance.
const STATEFUL: [&str; 7] =
    ["limit", "hashlimit", "recent", "statistic", "quota", "nfacct", "connlimit"];

/// Parses the tables; `program` distinguishes them from those of other programs.
pub fn tables(text: &str, program: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in logical_lines(text) {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                place: format!("{program} {name}"),
                syntax: Syntax::Iptables,
                dormant: false,
                chains: Vec::new(),
            });
        }
        let Some(Table { chains, .. }) = tables.last_mut() else { continue };
        if let Some(declared) = line.strip_prefix(':') {
            // NAME POLICY [PACKETS:BYTES]; a user-defined chain has the policy `-`.
            let mut fields = declared.split(' ');
            let name = fields.next().unwrap_or_default().to_owned();
            let base = match fields.next() {
                Some("-") => None,
                policy => Some(Base { hook: name.to_lowercase(), drops: policy == Some("DROP") }),
            };
            chains.push(Chain { name, base, rules: Vec::new() });
        }
        let words = words(line);
        let ["-A", chain, rest @ ..] = &words.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        // All chains are declared before the first rule.
        let rule = rule(line, rest, chains);
        if let Some(chain) = chains.iter_mut().find(|known| known.name == *chain) {
            chain.rules.push(rule);
        }
    }
    tables.iter_mut().for_each(mark_ours);
    tables
}

/// Marks the rules of our chain, and the jumps to it. A chain with our name whose rules do not log with our
/// comment belongs to the user.
fn mark_ours(table: &mut Table) {
    let mut own = table.chains.iter().filter(|chain| chain.name == CHAIN);
    if !own.any(|chain| chain.rules.iter().any(|rule| rule.is_ours)) {
        return;
    }
    for chain in &mut table.chains {
        for rule in &mut chain.rules {
            let leads_here = rule.verdicts.iter().any(|verdict| verdict.target() == Some(CHAIN));
            rule.is_ours |= chain.name == CHAIN || leads_here;
        }
    }
}

/// Parses a rule from the words after the name of its chain.
fn rule(line: &str, words: &[&str], chains: &[Chain]) -> Rule {
    let at = words.iter().position(|word| ["-j", "-g"].contains(word)).unwrap_or(words.len());
    let (comment, matches) = without_comments(&words[..at]);
    let option = |name: &str| {
        words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied()
    };
    let target = words.get(at + 1).copied();
    let log = match target {
        Some("NFLOG") => Some(LogTarget::Group(
            // The default is 0.
            option("--nflog-group").and_then(|group| group.parse().ok()).unwrap_or(0),
            option("--nflog-prefix").unwrap_or_default().to_owned(),
        )),
        Some("LOG") => Some(LogTarget::Kernel),
        _ => None,
    };
    let verdict = match target {
        None => None,
        Some("RETURN") => Some(Verdict::Return),
        Some("DROP" | "REJECT") => Some(Verdict::Drop),
        Some(target) if ACCEPT.contains(&target) => Some(Verdict::Accept),
        Some(target) if PASS.contains(&target) => None,
        Some(chain) if !chains.iter().any(|known| known.name == chain) => Some(Verdict::Unknown),
        Some(chain) if words[at] == "-g" => Some(Verdict::Goto(chain.into())),
        Some(chain) => Some(Verdict::Jump(chain.into())),
    };
    let is_stateful = matches.windows(2).any(|it| it[0] == "-m" && STATEFUL.contains(&it[1]));
    Rule {
        text: line.to_owned(),
        handle: None,
        condition: condition(&matches),
        is_copyable: !is_stateful,
        matches: Matches::Iptables(matches.into_iter().map(ToOwned::to_owned).collect()),
        verdicts: verdict.into_iter().collect(),
        log,
        // A user's rule may have the same comment, for example one that opens the exporter's port.
        is_ours: target == Some("NFLOG") && comment == Some(COMMENT),
    }
}

/// The last comment of a rule's matches, and the matches without comments.
fn without_comments<'w>(words: &[&'w str]) -> (Option<&'w str>, Vec<&'w str>) {
    let mut comment = None;
    let mut others = Vec::new();
    let mut rest = words;
    while let Some((word, further)) = rest.split_first() {
        if let ["-m", "comment", "--comment", text, after @ ..] = rest {
            comment = Some(*text);
            rest = after;
        } else {
            others.push(*word);
            rest = further;
        }
    }
    (comment, others)
}

fn condition(matches: &[&str]) -> Condition {
    match matches {
        [] => Condition::Always,
        ["!", "-i", "lo"] => Condition::NotLoopback,
        _ => {
            let from_loopback = |at: usize| {
                matches[at..].starts_with(&["-i", "lo"]) && (at == 0 || matches[at - 1] != "!")
            };
            let is_loopback = (0..matches.len()).any(from_loopback);
            if is_loopback { Condition::Loopback } else { Condition::Some }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_their_rules() {
        let text = "*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n\
            -A INPUT -p tcp -j ACCEPT\n\
            -A INPUT -j NFLOG --nflog-prefix 5\n\
            -A INPUT -m comment --comment x -g mine\n\
            -A mine -p tcp -j NFLOG --nflog-prefix late --nflog-group 3\n\
            -A mine -p udp\n\
            -A mine -j MARK --set-xmark 0x1/0x1\n\
            -A mine -j RETURN\n\
            COMMIT\n*raw\n:INPUT ACCEPT [0:0]\n-A INPUT -j LOG --log-prefix y\nCOMMIT\n";
        let tables = tables(text, "iptables");
        let places: Vec<_> = tables.iter().map(|table| &*table.place).collect();
        assert_eq!(places, ["iptables filter", "iptables raw"]);
        let [input, mine] = &tables[0].chains[..] else { panic!("{tables:?}") };
        assert_eq!(input.base, Some(Base { hook: "input".into(), drops: true }));
        assert_eq!(mine.base, None);
        assert_eq!(tables[1].chains[0].base, Some(Base { hook: "input".into(), drops: false }));
        let rules: Vec<_> = input
            .rules
            .iter()
            .map(|rule| (rule.condition, &rule.verdicts[..], &rule.log))
            .collect();
        assert_eq!(
            rules,
            [
                (Condition::Some, &[Verdict::Accept][..], &None),
                (Condition::Always, &[], &Some(LogTarget::Group(0, "5".into()))),
                (Condition::Always, &[Verdict::Goto("mine".into())], &None),
            ]
        );
        assert_eq!(input.rules[2].text, "-A INPUT -m comment --comment x -g mine");
        assert_eq!(mine.rules[0].log, Some(LogTarget::Group(3, "late".into())));
        assert_eq!(mine.rules[2].verdicts, []);
        assert_eq!(mine.rules[3].verdicts, [Verdict::Return]);
        assert_eq!(tables[1].chains[0].rules[0].log, Some(LogTarget::Kernel));
    }

    #[track_caller]
    fn parsed(words: &str) -> Rule {
        let own = format!("-A {CHAIN} -m comment --comment {COMMENT} -j NFLOG");
        let text =
            format!("*filter\n:INPUT ACCEPT [0:0]\n:{CHAIN} - [0:0]\n-A INPUT {words}\n{own}\n");
        tables(&text, "iptables")[0].chains[0].rules[0].clone()
    }

    #[test]
    fn conditions_on_loopback() {
        for (words, expect) in [
            ("-j DROP", Condition::Always),
            ("! -i lo -j DROP", Condition::NotLoopback),
            ("! -i lo -m comment --comment \"a b\" -j DROP", Condition::NotLoopback),
            ("! -i lo -p tcp -j DROP", Condition::Some),
            ("-i lo -j DROP", Condition::Loopback),
            ("-s 127.0.0.0/8 -i lo -p tcp -j DROP", Condition::Loopback),
            ("-i lo0 -j DROP", Condition::Some),
        ] {
            assert_eq!(parsed(words).condition, expect, "{words}");
        }
    }

    #[test]
    fn verdicts_of_extensions() {
        assert_eq!(parsed("-j REJECT --reject-with tcp-reset").verdicts, [Verdict::Drop]);
        assert_eq!(parsed("-j NFQUEUE --queue-num 1").verdicts, [Verdict::Accept]);
        assert_eq!(parsed("-j TARPIT").verdicts, [Verdict::Unknown]);
    }

    #[test]
    fn our_rules_are_identified_by_chain_or_comment() {
        assert!(parsed(&format!("-p tcp -j {CHAIN}")).is_ours);
        assert!(parsed(&format!("-m comment --comment {COMMENT} -j NFLOG")).is_ours);
        assert!(!parsed("-m comment --comment other -j NFLOG").is_ours);
        assert!(!parsed(&format!("-p tcp -m comment --comment {COMMENT} -j ACCEPT")).is_ours);
    }

    #[test]
    fn matches_are_copied_without_comments_and_without_state() {
        let rule = parsed("-s 10.0.0.0/8 -m comment --comment \"x -j y\" -p tcp -j DROP");
        let words = ["-s", "10.0.0.0/8", "-p", "tcp"].map(ToOwned::to_owned).to_vec();
        assert_eq!((rule.matches, rule.is_copyable), (Matches::Iptables(words), true));
        assert!(!parsed("-m limit --limit 1/second -j DROP").is_copyable);
    }

    #[test]
    fn a_comment_with_line_breaks_belongs_to_its_rule() {
        let text = "*filter\n:INPUT DROP [0:0]\n\
            -A INPUT -m comment --comment \"a \\\"\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\" -j DROP\n\
            -A INPUT -j RETURN\nCOMMIT\n";
        let [table] = &tables(text, "iptables")[..] else { panic!("two tables") };
        let verdicts: Vec<_> = table.chains[0].rules.iter().map(|rule| &*rule.verdicts).collect();
        assert_eq!(verdicts, [[Verdict::Drop], [Verdict::Return]]);
    }

    #[test]
    fn malformed_lines_are_ignored() {
        assert!(super::tables("-A\n-A X -j\n\"\n:\n", "iptables").is_empty());
        assert!(super::tables("*t\n:\n-A X -j\n", "iptables")[0].chains[0].rules.is_empty());
    }
}
