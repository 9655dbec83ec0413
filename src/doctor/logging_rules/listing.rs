//! The firewall's rules, asked of every tool that may know of some.

use std::{collections::HashSet, io::ErrorKind, process::Command};

use super::{chains::Table, iptables, nft};

/// What the tools told.
pub(super) struct Listing {
    pub(super) tables: Vec<Table>,
    /// Why there may be rules that none of them told; `None` where all were seen.
    pub(super) blind: Option<String>,
}

/// All rules there are.
pub(super) fn listing() -> Listing {
    let mut tables = Vec::new();
    let mut told_twice = HashSet::new();
    let mut failed = Vec::new();
    for (program, family) in [("iptables", "ip"), ("ip6tables", "ip6")] {
        let save = format!("{program}-save");
        match said(&save, &[]) {
            Ok(text) => {
                let found = iptables::tables(&text, program);
                if is_nft(&save) {
                    told_twice.extend(chains(&found, program, family));
                } else {
                    // It is the older one itself.
                    tables.extend(found);
                    continue;
                }
                tables.extend(found);
            }
            Err(NotSaid { is_missing, why }) => failed.extend((!is_missing).then_some(why)),
        }
        // The older one keeps its rules elsewhere; what is not installed has made none.
        let legacy = format!("{program}-legacy");
        match said(&format!("{legacy}-save"), &[]) {
            Ok(text) => tables.extend(iptables::tables(&text, &legacy)),
            Err(NotSaid { is_missing, why }) => failed.extend((!is_missing).then_some(why)),
        }
    }
    let native = said("nft", &["-j", "list", "ruleset"])
        .and_then(|json| Ok((json, said("nft", &["-t", "list", "ruleset"])?)))
        .map_err(|NotSaid { why, .. }| why)
        .and_then(|(json, terse)| nft::tables(&json, &terse));
    match native {
        Ok(mut native) => {
            // nft shows the chains of iptables too, in words of its own.
            for table in &mut native {
                let is_own =
                    |chain: &str| !told_twice.contains(&format!("{} {chain}", table.place));
                table.chains.retain(|chain| is_own(&chain.name));
            }
            tables.extend(native);
            // It tells all but those of the older iptables.
            failed.retain(|why| why.contains("-legacy-save"));
        }
        Err(why) => failed.push(why),
    }
    Listing { tables, blind: (!failed.is_empty()).then(|| failed.join("; ")) }
}

/// Whether this `iptables-save` is the one whose rules nft shows too: it says so behind its version.
fn is_nft(save: &str) -> bool {
    said(save, &["-V"]).is_ok_and(|version| version.contains("nf_tables"))
}

/// Every chain, as nft tells it.
fn chains(tables: &[Table], program: &str, family: &str) -> Vec<String> {
    let of_table = |table: &Table| {
        let place = table.place.replacen(program, family, 1);
        table.chains.iter().map(|chain| format!("{place} {}", chain.name)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of_table).collect()
}

struct NotSaid {
    is_missing: bool,
    why: String,
}

/// What a program prints.
fn said(program: &str, arguments: &[&str]) -> Result<String, NotSaid> {
    let output = Command::new(program).args(arguments).output().map_err(|why| NotSaid {
        is_missing: why.kind() == ErrorKind::NotFound,
        why: format!("{program}: {why}"),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let why = format!("{program}: {}", error.lines().next().unwrap_or("it failed").trim());
    Err(NotSaid { is_missing: false, why })
}
