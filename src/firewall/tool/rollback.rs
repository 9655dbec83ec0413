//! Removes the rules of a failed load, or names those that remain.

use super::{ToolError, firewalld, iptables, nft, remove, ufw};
use crate::firewall::plan::Tool;

/// Number of attempts to remove rules. An attempt fails if another program reloads the firewall between
/// listing and removing.
const ATTEMPTS: u32 = 5;

/// Removes the rules of a failed load; returns its error with the result of removing.
pub(super) fn rolled_back(error: ToolError, tool: Tool) -> ToolError {
    let error = Box::new(error);
    for _ in 1..ATTEMPTS {
        if remove(tool).is_ok() {
            return ToolError::RolledBack(error);
        }
    }
    let Err(why) = remove(tool) else { return ToolError::RolledBack(error) };
    let (remaining, name) = match tool {
        Tool::Nft => (nft::remaining(), "nft"),
        Tool::Iptables => (iptables::remaining(), "iptables"),
        Tool::Ufw => (ufw::remaining(), "ufw"),
        Tool::Firewalld => (firewalld::remaining(), "firewalld"),
    };
    let remaining = match remaining {
        Ok(remaining) if remaining.is_empty() => "no listed rule".to_owned(),
        Ok(remaining) => remaining.join("; "),
        Err(why) => format!("unknown, because the rules cannot be listed: {why}"),
    };
    let command = format!("nflog_exporter rules --for {name} --remove");
    ToolError::NotRemoved { error, why: Box::new(why), remaining, command }
}
