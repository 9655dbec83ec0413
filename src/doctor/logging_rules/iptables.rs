//! Rules as iptables-save(8) prints them.

use super::{Kind, Logging};

/// Targets that decide about a packet for good, as far as the chain goes.
const FINAL: [&str; 5] = ["ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE"];

/// The tables it has.
pub(super) fn tables(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix('*'))
}

/// The rules that log, in their order.
pub(super) fn rules(text: &str, program: &str) -> Vec<Logging> {
    let mut table = "";
    let mut closed: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        }
        let words = words(line);
        let ["-A", chain, rest @ ..] = &words.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let chain_of_table = (table.to_owned(), (*chain).to_owned());
        let Some(jump) = rest.iter().position(|word| *word == "-j") else { continue };
        let target = rest.get(jump + 1).copied().unwrap_or_default();
        let option = |name: &str| {
            rest.iter().position(|word| *word == name).and_then(|at| rest.get(at + 1)).copied()
        };
        let kind = match target {
            "NFLOG" => Some(Kind::Group(
                // Without the option it is 0.
                option("--nflog-group").and_then(|group| group.parse().ok()).unwrap_or(0),
                option("--nflog-prefix").unwrap_or_default().to_owned(),
            )),
            "LOG" => Some(Kind::KernelLog),
            _ => None,
        };
        if let Some(kind) = kind {
            found.push(Logging {
                place: format!("{program} {table} {chain}"),
                kind,
                unreachable: closed.contains(&chain_of_table),
            });
        } else if matches!(rest[..jump], [] | ["-m", "comment", "--comment", _])
            && FINAL.contains(&target)
        {
            closed.push(chain_of_table);
        }
    }
    found
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
    fn rules_that_log() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n\
            -A INPUT -p tcp -j ACCEPT\n\
            -A INPUT -j NFLOG --nflog-prefix 5\n\
            -A INPUT -m comment --comment x -j ACCEPT\n\
            -A INPUT -p tcp -j NFLOG --nflog-prefix late --nflog-group 3\n\
            -A FORWARD -j LOG\n\
            COMMIT\n*raw\n-A INPUT -j LOG --log-prefix y\nCOMMIT\n";
        let rule =
            |place: &str, kind, unreachable| Logging { place: place.into(), kind, unreachable };
        assert_eq!(
            rules(text, "iptables"),
            [
                rule("iptables filter INPUT", Kind::Group(0, "5".into()), false),
                rule("iptables filter INPUT", Kind::Group(3, "late".into()), true),
                rule("iptables filter FORWARD", Kind::KernelLog, false),
                rule("iptables raw INPUT", Kind::KernelLog, false),
            ]
        );
        assert_eq!(tables(text).collect::<Vec<_>>(), ["filter", "raw"]);
        assert!(rules("-A\n-A X -j\n\"", "iptables").is_empty());
    }
}
