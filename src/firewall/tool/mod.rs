//! Prints, loads, verifies and removes rules with nft, iptables, ufw and firewalld; a module for each tool.

mod firewalld;
mod iptables;
mod nft;
mod rollback;
mod ufw;

use std::{io, path::PathBuf};

use rollback::rolled_back;

use super::{
    command::CommandError,
    inspect::{LogTarget, Logging, Reach, Table, logging},
    plan::{Placement, RulesPlan, Tool, Wanted},
};
use crate::system::untrusted_text::with_spaces;

/// The comment about packets that `dropped` does not log.
const NOT_DROPPED: &str = "\
    # Only packets that no rule accepts. Packets that a deny rule of your own drops are not logged: add a log\n\
    # rule before it.\n\
    # Print and load these rules again after every change of your rules.\n";

/// The printed rules.
#[derive(Debug)]
pub struct Script {
    /// Input for `sh`, or for `nft -f`.
    pub text: String,
    /// Chains that log nothing, and why.
    pub warnings: Vec<String>,
}

/// Rules could not be printed, loaded, verified or removed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A program is missing or failed.
    #[error(transparent)]
    Program(#[from] CommandError),
    /// No chain drops packets that `dropped` could log.
    #[error(
        "nothing to log: no chain for inbound or forwarded packets drops the packets that its rules do not \
         accept: {0}. Accept what this host needs and drop the rest by a last rule or the policy; or log new \
         connections instead: --log new"
    )]
    NothingDropped(String),
    /// The tool's firewall is not active.
    #[error("{0}")]
    Inactive(&'static str),
    /// Packets cannot be spread over several groups.
    #[error("cannot spread packets over {0}: {1}")]
    Spread(String, &'static str),
    /// The loaded rules differ from the plan.
    #[error("the rules are not loaded as planned: {0}")]
    Unverified(String),
    /// A table or chain with our name belongs to the user.
    #[error(
        "{0} was not created by this program: no rule in it logs with the comment nflog_exporter. The name is \
         reserved for this program's rules: rename yours, then retry"
    )]
    Reserved(String),
    /// Loading failed, and the loaded rules were removed.
    #[error("{0}; the rules of this program were removed again")]
    RolledBack(Box<Self>),
    /// Loading failed, and the loaded rules could not be removed.
    #[error(
        "{error}. Removing the loaded rules failed too: {why}. Remaining: {remaining}. Remove them: {command}"
    )]
    NotRemoved {
        /// The error of loading.
        error: Box<Self>,
        /// The error of removing.
        why: Box<Self>,
        /// The remaining rules.
        remaining: String,
        /// The command that removes them.
        command: String,
    },
    /// A file of the tool could not be read, parsed or written.
    #[error("{}: {why}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The error.
        why: String,
    },
}

impl ToolError {
    fn file(path: &str, why: &io::Error) -> Self {
        Self::File { path: path.into(), why: why.to_string() }
    }
}

/// Checks that the tool can spread packets over the groups of the plan.
fn check_spread(plan: &RulesPlan, tool: Tool) -> Result<(), ToolError> {
    if plan.spread > 1 && matches!(tool, Tool::Ufw | Tool::Firewalld) {
        return Err(ToolError::Spread(
            plan.groups_text(),
            "--spread is for nft and iptables. Beside ufw and firewalld, use a table of its own: --for nft with --log new or \
             --log all",
        ));
    }
    Ok(())
}

/// Prints the rules; those for dropped packets are planned for the rules of this host. `command` is the shell
/// command line of this sub-command: scripts call it to remove and to verify rules.
///
/// # Errors
/// No rules can log these packets, or this host's rules cannot be listed.
pub fn script(plan: &RulesPlan, tool: Tool, command: &str) -> Result<Script, ToolError> {
    check_spread(plan, tool)?;
    match tool {
        Tool::Nft => nft::script(plan, command),
        Tool::Iptables => iptables::script(plan, command),
        Tool::Ufw => ufw::script(plan, command),
        Tool::Firewalld => firewalld::script(plan, command),
    }
}

/// The result of loading and verifying rules.
#[derive(Debug)]
pub struct AppliedRules {
    /// The chains in which packets are logged.
    pub places: Vec<String>,
    /// Chains that log nothing, and why.
    pub warnings: Vec<String>,
}

/// Replaces the rules of this program with the planned ones, and verifies them.
///
/// # Errors
/// Loading or verifying failed. The loaded rules are then removed, or named in the error.
pub fn apply(plan: &RulesPlan, tool: Tool) -> Result<AppliedRules, ToolError> {
    check_spread(plan, tool)?;
    let warnings = match tool {
        Tool::Nft => nft::apply(plan),
        Tool::Iptables => iptables::apply(plan),
        Tool::Ufw => ufw::apply(plan),
        Tool::Firewalld => firewalld::apply(plan),
    }?;
    let places = verify(plan, tool).map_err(|error| rolled_back(error, undo(tool)))?;
    Ok(AppliedRules { places, warnings })
}

fn undo(tool: Tool) -> &'static rollback::Undo {
    match tool {
        Tool::Nft => &nft::UNDO,
        Tool::Iptables => &iptables::UNDO,
        Tool::Ufw => &ufw::UNDO,
        Tool::Firewalld => &firewalld::UNDO,
    }
}

/// Removes the rules that this program loaded with a tool.
///
/// # Errors
/// Rules may remain.
pub fn remove(tool: Tool) -> Result<(), ToolError> {
    (undo(tool).remove)()
}

/// Lists this host's rules and compares them with the plan; returns the chains in which packets are logged.
///
/// # Errors
/// A rule is missing, has another position or log target, or packets do not reach it.
pub fn verify(plan: &RulesPlan, tool: Tool) -> Result<Vec<String>, ToolError> {
    check_spread(plan, tool)?;
    match tool {
        Tool::Nft => nft::verify(plan),
        Tool::Iptables => iptables::verify(plan),
        Tool::Ufw => ufw::verify(plan),
        Tool::Firewalld => firewalld::verify(plan),
    }
}

fn unverified<T>(why: impl Into<String>) -> Result<T, ToolError> {
    Err(ToolError::Unverified(why.into()))
}

/// The rules of a table that log as planned. Fails if packets do not reach one of our rules.
fn reached<'t>(plan: &RulesPlan, table: &'t Table) -> Result<Vec<Logging<'t>>, ToolError> {
    let is_planned = |log: &LogTarget| matches!(log, LogTarget::Group(group, prefix) if plan.groups().contains(group) && *prefix == plan.prefix);
    let all = logging(std::slice::from_ref(table));
    let ours: Vec<Logging<'t>> = all.into_iter().filter(|rule| is_planned(rule.log)).collect();
    for rule in ours.iter().filter(|rule| rule.rule.is_ours) {
        let place = format!("{} {}", table.place, rule.chain);
        match rule.reach {
            Reach::Reached => {}
            Reach::After { chain, rule } => {
                return unverified(format!(
                    "packets do not reach the rule in {place}: an earlier rule in {chain}, {rule}, matches every packet"
                ));
            }
            Reach::NoJump { chain } => {
                return unverified(format!("no rule jumps to the chain {chain} of {place}"));
            }
            Reach::Dormant => return unverified(format!("the table {} is dormant", table.place)),
        }
    }
    Ok(ours)
}

/// The first group of the plan that none of these rules logs to.
fn missing_group(plan: &RulesPlan, rules: &[Logging<'_>]) -> Option<u16> {
    let logs_to = |group: u16| {
        rules.iter().any(|rule| matches!(rule.log, LogTarget::Group(it, _) if *it == group))
    };
    plan.groups().find(|group| !logs_to(*group))
}

/// A line of comment: the other way to the packets of a firewall that logs already.
const WITHOUT_RULES: &str = "# Without these rules: nflog_exporter --kernel-log.kmsg reads the lines of the kernel's log.\n";

/// The comments at the start of a script: its purpose and use.
fn head(plan: &RulesPlan, limit: Option<u32>, further: &str, command: &str) -> String {
    let dropped = if plan.wanted == Wanted::Dropped { NOT_DROPPED } else { "" };
    format!(
        "#!/bin/sh\n\
         {}\
         {dropped}\
         {further}\
         {WITHOUT_RULES}\
         # Load, as root: {command} --apply   (or pipe this script into sh)\n\
         # Remove: {command} --remove\n",
        plan.title(limit)
    )
}

/// A line of comment in a script that describes where one of our rules is inserted.
fn placement_comment(table: &str, placement: &Placement) -> String {
    let before = placement.before.as_ref();
    let before = before.map_or("at the end".into(), |rule| format!("before {}", rule.text));
    // Names may contain any byte.
    format!("# {}\n", with_spaces(&format!("{table} {}: {before}", placement.chain)))
}

/// Quotes a word for a shell.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
