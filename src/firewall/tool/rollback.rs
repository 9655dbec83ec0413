//! Removes the rules of a failed load, or names those that remain.

use super::ToolError;

/// Number of attempts to remove rules. An attempt fails if another program reloads the firewall between
/// listing and removing.
const ATTEMPTS: u32 = 5;

/// How the rules of one tool are removed and listed.
pub(super) struct Undo {
    /// The tool's name for `--for`.
    pub(super) name: &'static str,
    pub(super) remove: fn() -> Result<(), ToolError>,
    /// Descriptions of our loaded rules.
    pub(super) remaining: fn() -> Result<Vec<String>, ToolError>,
}

/// Removes the rules of a failed load; returns its error with the result of removing.
pub(super) fn rolled_back(error: ToolError, undo: &Undo) -> ToolError {
    let error = Box::new(error);
    for _ in 1..ATTEMPTS {
        if (undo.remove)().is_ok() {
            return ToolError::RolledBack(error);
        }
    }
    let Err(why) = (undo.remove)() else { return ToolError::RolledBack(error) };
    let remaining = match (undo.remaining)() {
        Ok(remaining) if remaining.is_empty() => "no listed rule".to_owned(),
        Ok(remaining) => remaining.join("; "),
        Err(why) => format!("unknown, because the rules cannot be listed: {why}"),
    };
    let command = format!("nflog_exporter rules --for {} --remove", undo.name);
    ToolError::NotRemoved { error, why: Box::new(why), remaining, command }
}
