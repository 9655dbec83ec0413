//! Firewall rules that send packets here.

mod expression;
mod install;

pub use install::{InstallPlan, Installed, RulesError, TABLE, install};
