//! Our own table for new or all packets: its text, and how it is recognized.

use std::fmt::Write as _;

use crate::firewall::{
    COMMENT, RULES_TABLE,
    inspect::Table,
    plan::{IpVersion, RulesPlan, Wanted},
    tool::{ToolError, WITHOUT_RULES},
};

/// The chain that packets enter.
const ENTRY: &str = "inbound";
/// The chain that chooses a group.
const SPREAD: &str = "spread";
/// The start of the name of a chain that logs to a group.
const GROUP: &str = "group_";

/// The text of the table, for `nft -f`.
pub(super) fn table(plan: &RulesPlan) -> String {
    // For all packets before `raw` (-300), so that packets dropped there are logged; for new ones after
    // conntrack (-200).
    let (priority, state) =
        if plan.wanted == Wanted::All { ("-310", "") } else { ("-150", "ct state new ") };
    let mut spare = String::new();
    for port in &plan.spare_tcp_ports {
        // Writing to a string does not fail.
        let _ = writeln!(spare, "        tcp dport {port} return");
    }
    let limit = match plan.limit {
        Some(limit) => format!("limit rate {limit}/second burst {limit} packets "),
        None => String::new(),
    };
    let entry = format!("{state}{limit}");
    let chains = if plan.spread == 1 { String::new() } else { spread_chains(plan) };
    let action = if plan.spread == 1 { log(plan, plan.group) } else { format!("jump {SPREAD}") };
    format!(
        "#!/usr/sbin/nft -f\n\
         {title}\
         # Load or reload: nft -f FILE; at boot: include \"/path/of/FILE*\" at the end of /etc/nftables.conf\n\
         # (the pattern allows for a missing file).\n\
         # Remove: nft delete table inet {RULES_TABLE}\n\
         # No longer needed: rules with `log` and no group, which write to the kernel's log.\n\
         {WITHOUT_RULES}\
         table inet {RULES_TABLE}\n\
         delete table inet {RULES_TABLE}\n\
         table inet {RULES_TABLE} {{\n\
         {chains}    \
             chain {ENTRY} {{\n        \
                 type filter hook prerouting priority {priority}; policy accept;\n        \
                 iif \"lo\" return\n\
         {spare}        \
                 {entry}{action}\n    \
             }}\n\
         }}\n",
        title = plan.title(plan.limit),
    )
}

/// The statement that logs to a group.
fn log(plan: &RulesPlan, group: u16) -> String {
    format!(
        "log prefix \"{}\" group {group} snaplen {} queue-threshold {} comment \"{COMMENT}\"",
        plan.prefix, plan.copy_range, plan.queue_threshold
    )
}

/// The chains that spread packets over the groups: a map from the hash of both addresses to the chain of a group. The
/// kernel chooses the seed of the hash.
fn spread_chains(plan: &RulesPlan) -> String {
    let mut text = String::new();
    let mut map = Vec::new();
    for (number, group) in plan.groups().enumerate() {
        map.push(format!("{number} : goto {GROUP}{group}"));
        // Writing to a string does not fail.
        let _ = write!(text, "    chain {GROUP}{group} {{\n        {}\n    }}\n", log(plan, group));
    }
    let _ = writeln!(text, "    chain {SPREAD} {{");
    for name in IpVersion::ALL.map(IpVersion::name) {
        let _ = writeln!(
            text,
            "        jhash {name} saddr . {name} daddr mod {} vmap {{ {} }}",
            plan.spread,
            map.join(", ")
        );
    }
    text + "    }\n"
}

/// Whether this program created a table, by its name, its chains and the comment of the rules that log.
pub(super) fn is_own(table: &Table) -> bool {
    let is_known = |name: &str| [ENTRY, SPREAD].contains(&name) || name.starts_with(GROUP);
    let mut rules = table.chains.iter().flat_map(|chain| &chain.rules);
    has_own_name(table)
        && table.chains.iter().all(|chain| is_known(&chain.name))
        && rules.any(|rule| rule.is_ours)
}

fn has_own_name(table: &Table) -> bool {
    table.place.strip_prefix("inet ") == Some(RULES_TABLE)
}

/// Fails if a table with our name was not created by this program.
pub(super) fn reject_foreign(listed: &[Table]) -> Result<(), ToolError> {
    match listed.iter().find(|table| has_own_name(table) && !is_own(table)) {
        Some(table) => Err(ToolError::Reserved(format!("the nftables table {}", table.place))),
        None => Ok(()),
    }
}
