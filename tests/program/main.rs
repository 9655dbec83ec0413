//! The program and its library, without root, databases or a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod conditions;
mod config_check;
mod corpus;
mod detail;
mod drilldown;
mod geoip_update;
mod history;
mod kernel_log;
mod ladder;
mod log_files;
mod markers;
mod migrate;
mod mirror_sqlite;
mod names;
mod networks;
mod overview;
mod replay;
mod report;
mod spool;
mod spool_model;
mod spool_targets;
#[path = "../support/mod.rs"]
mod support;
mod top;
mod unused_sources;
