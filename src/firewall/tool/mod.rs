//! Writes, loads, verifies and removes rules with the tools that users have; a module for each tool.

mod firewalld;
mod iptables;
mod nft;
mod rollback;
mod ufw;

use std::{io, path::PathBuf};

use rollback::undone;

use super::{
    command::CommandError,
    inspect::{Log, Logging, Reach, Table, logging},
    plan::{RulesPlan, Tool, Wanted},
};

/// What `dropped` leaves out.
const NOT_DROPPED: &str = "\
    # Only what no rule accepts. What a deny rule of your own drops is not logged: log it by a rule before\n\
    # that one.\n\
    # Print and load these again after every change of your rules.\n";

/// What is printed for a tool.
#[derive(Debug)]
pub struct Script {
    /// Ready to load, by `sh` or, of nft's tables, by `nft -f`.
    pub text: String,
    /// Which chains log nothing, and why.
    pub warnings: Vec<String>,
}

/// Why rules could not be written, loaded, verified or removed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A program is missing or failed.
    #[error(transparent)]
    Program(#[from] CommandError),
    /// There is nothing that `dropped` could log.
    #[error(
        "nothing to log: no chain for inbound or forwarded packets drops what its rules do not accept: \
         {0}. Accept what this host needs and drop the rest by a last rule or the policy; or log new \
         connections instead: --log new"
    )]
    NothingDropped(String),
    /// The tool's firewall is off.
    #[error("{0}")]
    Inactive(&'static str),
    /// The rules that are loaded are not those that were planned.
    #[error("the rules are not loaded as planned: {0}")]
    Unverified(String),
    /// A name of ours is somebody else's.
    #[error(
        "{0} was not made by this program: no rule in it logs with the comment nflog_exporter. The name is \
         reserved for this program's rules: rename yours, then do this again"
    )]
    Reserved(String),
    /// Loading failed, and what was loaded is removed.
    #[error("{0}; so the rules of this program were removed again")]
    Undone(Box<Self>),
    /// Loading failed, and what was loaded could not be removed.
    #[error(
        "{error}. Removing what was loaded failed too: {why}. Left: {left}. Remove it: {command}"
    )]
    Left {
        /// Why loading failed.
        error: Box<Self>,
        /// Why removing failed.
        why: Box<Self>,
        /// The rules that are still there.
        left: String,
        /// The command that removes them.
        command: String,
    },
    /// A file of the tool's could not be read, understood or written.
    #[error("{}: {why}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl ToolError {
    fn file(path: &str, why: &io::Error) -> Self {
        Self::File { path: path.into(), why: why.to_string() }
    }
}

/// Writes the rules; those that depend on the rules of this host are planned for it. `command` is the
/// command line that asks for them, as a shell takes it: scripts call it to remove and to verify.
///
/// # Errors
/// No rules can do what is asked, or this host's rules cannot be listed.
pub fn script(plan: &RulesPlan, tool: Tool, command: &str) -> Result<Script, ToolError> {
    match tool {
        Tool::Nft => nft::script(plan, command),
        Tool::Iptables => iptables::script(plan, command),
        Tool::Ufw => ufw::script(plan, command),
        Tool::Firewalld => firewalld::script(plan, command),
    }
}

/// Rules that are loaded and verified.
#[derive(Debug)]
pub struct Applied {
    /// Where packets are logged.
    pub places: Vec<String>,
    /// Which chains log nothing, and why.
    pub warnings: Vec<String>,
}

/// Loads the rules in place of those that are there, and verifies them.
///
/// # Errors
/// Why they were not loaded, or did not do what is asked. What was loaded then is removed, or named in the error.
pub fn apply(plan: &RulesPlan, tool: Tool) -> Result<Applied, ToolError> {
    let warnings = match tool {
        Tool::Nft => nft::apply(plan),
        Tool::Iptables => iptables::apply(plan),
        Tool::Ufw => ufw::apply(plan),
        Tool::Firewalld => firewalld::apply(plan),
    }?;
    let places = verify(plan, tool).map_err(|error| undone(error, tool))?;
    Ok(Applied { places, warnings })
}

/// Removes the rules that this program made by a tool, and nothing else.
///
/// # Errors
/// Why some may be left.
pub fn remove(tool: Tool) -> Result<(), ToolError> {
    match tool {
        Tool::Nft => nft::remove(),
        Tool::Iptables => iptables::remove(),
        Tool::Ufw => ufw::remove(),
        Tool::Firewalld => firewalld::remove(),
    }
}

/// Lists this host's rules and compares them with the plan; returns where packets are logged.
///
/// # Errors
/// A rule is missing, is in another place, logs elsewhere, or packets do not get to it.
pub fn verify(plan: &RulesPlan, tool: Tool) -> Result<Vec<String>, ToolError> {
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

/// The rules of a table that log as planned, once packets get to each of them.
fn reached<'t>(plan: &RulesPlan, table: &'t Table) -> Result<Vec<Logging<'t>>, ToolError> {
    let log = Log::Group(plan.group, plan.prefix.clone());
    let all = logging(std::slice::from_ref(table));
    let ours: Vec<Logging<'t>> = all.into_iter().filter(|rule| *rule.log == log).collect();
    for rule in ours.iter().filter(|rule| rule.rule.is_ours) {
        let place = format!("{} {}", table.place, rule.chain);
        match rule.reach {
            Reach::Reached => {}
            Reach::After { chain, rule } => {
                return unverified(format!(
                    "packets do not get to the rule in {place}: before it in {chain}, {rule} decides about every packet"
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

/// The lines with which a script begins, and which say how it is used.
fn head(plan: &RulesPlan, limit: Option<u32>, further: &str, command: &str) -> String {
    let dropped = if plan.wanted == Wanted::Dropped { NOT_DROPPED } else { "" };
    format!(
        "#!/bin/sh\n\
         {}\
         {dropped}\
         {further}\
         # Load, as root: {command} --apply   (or pipe this text into sh)\n\
         # Remove: {command} --remove\n",
        plan.title(limit)
    )
}

/// A text as one line of a comment in a script.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A word as a shell takes it.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
