//! Lists the rules of all tools: iptables, ip6tables, their legacy versions, and nft.

use std::collections::HashSet;

use super::{chains::Table, iptables, nft};
use crate::firewall::command::{CommandError, output};

/// The rules of every tool.
pub struct Listing {
    /// All tables, each once.
    pub tables: Vec<Table>,
    /// Why rules may be missing; `None` if all are listed.
    pub incomplete: Option<String>,
}

/// Lists all rules of this network namespace.
#[must_use]
pub fn listing() -> Listing {
    let mut tables = Vec::new();
    let mut listed_twice = HashSet::new();
    let mut failed = Vec::new();
    for (program, family) in [("iptables", "ip"), ("ip6tables", "ip6")] {
        let save = format!("{program}-save");
        match output(&save, &[]) {
            Ok(text) => {
                let found = iptables::tables(&text, program);
                if is_nft(&save) {
                    listed_twice.extend(chains(&found, program, family));
                } else {
                    // This program is the legacy version itself.
                    tables.extend(found);
                    continue;
                }
                tables.extend(found);
            }
            Err(CommandError::Missing { .. }) => {}
            Err(why) => failed.push(why.to_string()),
        }
        // The legacy version has rules of its own; if it is not installed, there are none.
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
            // nft also lists the chains of iptables, in its own syntax.
            for table in &mut native {
                let is_own =
                    |chain: &str| !listed_twice.contains(&format!("{} {chain}", table.place));
                table.chains.retain(|chain| is_own(&chain.name));
            }
            tables.extend(native);
            // nft lists all rules except those of the legacy versions.
            failed.retain(|why| why.contains("-legacy-save"));
        }
        Err(why) => failed.push(why.to_string()),
    }
    Listing { tables, incomplete: (!failed.is_empty()).then(|| failed.join("; ")) }
}

/// Whether this `iptables-save` lists rules of `nf_tables`, which nft lists too, according to its version.
fn is_nft(save: &str) -> bool {
    output(save, &["-V"]).is_ok_and(|version| version.contains("nf_tables"))
}

/// The full names of all chains, as nft lists them.
fn chains(tables: &[Table], program: &str, family: &str) -> Vec<String> {
    let of_table = |table: &Table| {
        let place = table.place.replacen(program, family, 1);
        table.chains.iter().map(|chain| format!("{place} {}", chain.name)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of_table).collect()
}

/// The rules of one family, by iptables-save or ip6tables-save.
///
/// # Errors
/// The program is missing or failed.
pub fn saved(program: &str) -> Result<Vec<Table>, CommandError> {
    Ok(iptables::tables(&output(&format!("{program}-save"), &[])?, program))
}

/// The rules by nft, including those of iptables.
///
/// # Errors
/// nft is missing or failed.
pub fn native() -> Result<Vec<Table>, CommandError> {
    let json = output("nft", &["-j", "list", "ruleset"])?;
    let terse = output("nft", &["-t", "list", "ruleset"])?;
    nft::tables(&json, &terse)
        .map_err(|why| CommandError::Failed { command: "nft -j list ruleset".into(), why })
}
