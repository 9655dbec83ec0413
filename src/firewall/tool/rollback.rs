//! Removes what a failed load left behind, or says what is left.

use super::{ToolError, firewalld, iptables, nft, remove, ufw};
use crate::firewall::plan::Tool;

/// How often rules are removed before they are reported as left: each time fails where another program reloads
/// the firewall between our listing and our removal.
const ATTEMPTS: u32 = 5;

/// The error of a load that failed, after what it loaded was removed.
pub(super) fn undone(error: ToolError, tool: Tool) -> ToolError {
    let error = Box::new(error);
    for _ in 1..ATTEMPTS {
        if remove(tool).is_ok() {
            return ToolError::Undone(error);
        }
    }
    let Err(why) = remove(tool) else { return ToolError::Undone(error) };
    let (left, name) = match tool {
        Tool::Nft => (nft::left(), "nft"),
        Tool::Iptables => (iptables::left(), "iptables"),
        Tool::Ufw => (ufw::left(), "ufw"),
        Tool::Firewalld => (firewalld::left(), "firewalld"),
    };
    let left = match left {
        Ok(left) if left.is_empty() => "nothing that is listed".to_owned(),
        Ok(left) => left.join("; "),
        Err(why) => format!("unknown, because they cannot be listed: {why}"),
    };
    let command = format!("nflog_exporter rules --for {name} --remove");
    ToolError::Left { error, why: Box::new(why), left, command }
}
