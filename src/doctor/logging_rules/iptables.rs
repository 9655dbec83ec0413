//! Rules as iptables-save(8) prints them.

use super::chains::{Chain, Log, Rule, Syntax, Table, Verdict};

/// Targets behind which no further rule of the table's chains sees the packet.
const FINAL: [&str; 9] =
    ["ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE", "DNAT", "SNAT", "MASQUERADE", "REDIRECT"];

/// The tables; `program` is how they are told from those of other programs.
pub(super) fn tables(text: &str, program: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
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
            // NAME POLICY [PACKETS:BYTES]; a chain that users made has no policy.
            let mut fields = declared.split(' ');
            let name = fields.next().unwrap_or_default().to_owned();
            let base = fields.next() != Some("-");
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
    tables
}

/// A rule of these words, behind the name of its chain.
fn rule(line: &str, words: &[&str], chains: &[Chain]) -> Rule {
    let told = line.to_owned();
    let Some(at) = words.iter().position(|word| ["-j", "-g"].contains(word)) else {
        return Rule { told, conditional: true, verdicts: Vec::new(), log: None };
    };
    let target = words.get(at + 1).copied().unwrap_or_default();
    let option = |name: &str| {
        words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied()
    };
    let log = match target {
        "NFLOG" => Some(Log::Group(
            // Without the option it is 0.
            option("--nflog-group").and_then(|group| group.parse().ok()).unwrap_or(0),
            option("--nflog-prefix").unwrap_or_default().to_owned(),
        )),
        "LOG" => Some(Log::Kernel),
        _ => None,
    };
    let verdict = match target {
        "RETURN" => Some(Verdict::Return),
        target if FINAL.contains(&target) => Some(Verdict::Final),
        chain if !chains.iter().any(|known| known.name == chain) => None,
        chain if words[at] == "-g" => Some(Verdict::Goto(chain.into())),
        chain => Some(Verdict::Jump(chain.into())),
    };
    Rule {
        told,
        conditional: !matches!(words[..at], [] | ["-m", "comment", "--comment", _]),
        verdicts: verdict.into_iter().collect(),
        log,
    }
}

/// The words of a line: quoted ones have their spaces, and a backslash before what it takes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().extend(letters.next()),
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_iptables_writes_them() {
        let line = r#"-A INPUT --comment "a \"b\" c" --nflog-prefix "" -j X"#;
        let expect = ["-A", "INPUT", "--comment", "a \"b\" c", "--nflog-prefix", "", "-j", "X"];
        assert_eq!(words(line), expect);
    }

    #[test]
    fn chains_and_their_rules() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n:mine - [0:0]\n\
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
        let rule = |told: &str, conditional, verdict: Option<Verdict>, log| Rule {
            told: told.into(),
            conditional,
            verdicts: verdict.into_iter().collect(),
            log,
        };
        let [input, mine] = &tables[0].chains[..] else { panic!("{tables:?}") };
        assert_eq!((input.base, mine.base), (true, false));
        let zero = Some(Log::Group(0, "5".into()));
        let to_mine = "-A INPUT -m comment --comment x -g mine";
        assert_eq!(
            input.rules,
            [
                rule("-A INPUT -p tcp -j ACCEPT", true, Some(Verdict::Final), None),
                rule("-A INPUT -j NFLOG --nflog-prefix 5", false, None, zero),
                rule(to_mine, false, Some(Verdict::Goto("mine".into())), None),
            ]
        );
        assert_eq!(mine.rules[0].log, Some(Log::Group(3, "late".into())));
        assert_eq!(mine.rules[2].verdicts, []);
        assert_eq!(mine.rules[3].verdicts, [Verdict::Return]);
        assert_eq!(tables[1].chains[0].rules[0].log, Some(Log::Kernel));
    }

    #[test]
    fn nonsense_is_no_rule() {
        assert!(super::tables("-A\n-A X -j\n\"\n:\n", "iptables").is_empty());
        assert!(super::tables("*t\n:\n-A X -j\n", "iptables")[0].chains[0].rules.is_empty());
    }
}
