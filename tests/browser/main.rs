//! The web page in Chromium, Firefox and `WebKit`, and the dashboards in Grafana's libraries. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod accessibility;
mod chromium;
mod dashboards_grafana;
mod drilldown;
mod driver;
mod firefox;
mod hostile_text;
mod map;
mod other_browsers;
mod page;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod webkit;
