//! The host's firewall: lists its rules, plans the rules that log, and loads them with each tool.

mod command;
mod inspect;
mod install;
mod plan;
mod tool;

pub use command::CommandError;
pub use inspect::{Listing, LogTarget, Logging, Matches, Reach, Syntax, Table, listing, logging};
pub use install::{InstallPlan, Installed, RulesConfig, RulesError, TABLE, install};
pub use plan::{RulesPlan, Tool, Wanted};
pub use tool::{AppliedRules, Script, ToolError, apply, remove, script, shell_word, verify};

/// The chain of our rules in xtables (iptables, ip6tables, firewalld's direct rules).
const CHAIN: &str = "NFLOG_EXPORTER";

/// The comment of our rules in the user's chains.
const COMMENT: &str = "nflog_exporter";

/// The table of `rules --for nft`, of family inet, for all or new packets.
const RULES_TABLE: &str = "nflog_rules";
