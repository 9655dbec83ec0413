//! The web page in Chromium, and the dashboards in Grafana's libraries. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod accessibility;
mod chromium;
mod dashboards_grafana;
mod drilldown;
mod hostile_text;
mod map;
mod page;
mod report;
#[path = "../support/mod.rs"]
mod support;
