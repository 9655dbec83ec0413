//! Firewall rules that send packets here.

mod expression;
mod install;
mod tool;

pub use install::{InstallPlan, Installed, RulesError, TABLE, install};
pub use tool::{RulesPlan, Tool, Wanted};
