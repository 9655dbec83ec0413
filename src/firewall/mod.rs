//! The host's firewall: which rules it has, which rules of ours it needs, and how each tool loads them.

mod command;
mod inspect;
mod install;
mod plan;
mod tool;

pub use command::CommandError;
pub use inspect::{Listing, Log, Logging, Matches, Reach, Syntax, Table, listing, logging};
pub use install::{InstallPlan, Installed, RulesError, TABLE, install};
pub use plan::{RulesPlan, Tool, Wanted};
pub use tool::{Applied, Script, ToolError, apply, remove, script, shell_word, verify};

/// The chain that holds our rules, for the tools of xtables.
const CHAIN: &str = "NFLOG_EXPORTER";

/// The comment of our rules in the user's chains.
const COMMENT: &str = "nflog_exporter";

/// The table of `rules --for nft`, of family inet, where what is logged needs no chain of the user's.
const RULES_TABLE: &str = "nflog_rules";
