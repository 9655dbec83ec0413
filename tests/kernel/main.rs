//! Real packets through this host's kernel, in network namespaces. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod clock_steps;
mod config_files;
mod end_to_end;
mod geoip_layouts;
mod log_lines;
mod log_sources;
mod log_unread;
mod migrate_rules;
mod migrate_ulogd;
mod networks;
mod nflog;
mod outputs;
mod rules_firewalls;
mod rules_install;
mod rules_tools;
mod spool_disk;
mod spread;
mod sqlite_disk;
#[path = "../support/mod.rs"]
mod support;
mod top;
mod web_config;
