//! The firewall's rules, asked of every tool that may know of some.

use std::collections::HashSet;

use super::{chains::Table, iptables, nft};
use crate::firewall::command::{CommandError, output};

/// The rules of every tool.
pub struct Listing {
    /// All tables, each of one tool.
    pub tables: Vec<Table>,
    /// Why there may be rules that are not listed; `None` where all were seen.
    pub incomplete: Option<String>,
}

/// Lists all rules of this network namespace.
#[must_use]
pub fn listing() -> Listing {
    let mut tables = Vec::new();
    let mut told_twice = HashSet::new();
    let mut failed = Vec::new();
    for (program, family) in [("iptables", "ip"), ("ip6tables", "ip6")] {
        let save = format!("{program}-save");
        match output(&save, &[]) {
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
            Err(CommandError::Missing { .. }) => {}
            Err(why) => failed.push(why.to_string()),
        }
        // The older one keeps its rules elsewhere; what is not installed has made none.
        let legacy = format!("{program}-legacy");
        match output(&format!("{legacy}-save"), &[]) {
            Ok(text) => tables.extend(iptables::tables(&text, &legacy)),
            Err(CommandError::Missing { .. }) => {}
            Err(why) => failed.push(why.to_string()),
        }
    }
    let native = native();
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
        Err(why) => failed.push(why.to_string()),
    }
    Listing { tables, incomplete: (!failed.is_empty()).then(|| failed.join("; ")) }
}

/// Whether this `iptables-save` is the one whose rules nft shows too: it says so behind its version.
fn is_nft(save: &str) -> bool {
    output(save, &["-V"]).is_ok_and(|version| version.contains("nf_tables"))
}

/// Every chain, as nft tells it.
fn chains(tables: &[Table], program: &str, family: &str) -> Vec<String> {
    let of_table = |table: &Table| {
        let place = table.place.replacen(program, family, 1);
        table.chains.iter().map(|chain| format!("{place} {}", chain.name)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of_table).collect()
}

/// The rules of one family as iptables-save or ip6tables-save lists them.
///
/// # Errors
/// The program is missing or failed.
pub fn saved(program: &str) -> Result<Vec<Table>, CommandError> {
    Ok(iptables::tables(&output(&format!("{program}-save"), &[])?, program))
}

/// The rules as nft lists them, those of iptables in its words too.
///
/// # Errors
/// nft is missing or failed.
pub fn native() -> Result<Vec<Table>, CommandError> {
    let json = output("nft", &["-j", "list", "ruleset"])?;
    let terse = output("nft", &["-t", "list", "ruleset"])?;
    nft::tables(&json, &terse)
        .map_err(|why| CommandError::Failed { command: "nft -j list ruleset".into(), why })
}
