//! The files of this repository: documents, dashboards, alerts, and the structure of the code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod alerts;
mod architecture;
mod dashboards_alerts;
mod dashboards_links;
mod dashboards_lint;
mod dashboards_panels;
mod dashboards_periods;
mod dashboards_texts;
mod deployments;
mod documents;
mod documents_tables;
mod files;
mod instructions;
#[path = "../support/mod.rs"]
mod support;
mod words;
