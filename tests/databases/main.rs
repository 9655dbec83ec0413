//! MariaDB, PostgreSQL and SQLite, also together with the kernel. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod clickhouse_faults;
mod compose;
mod dashboards_live;
mod dashboards_new;
mod dashboards_plans;
mod doctor;
mod doctor_exporter;
mod doctor_outputs;
mod doctor_rules;
mod documents_sql;
mod drilldown;
mod fleet;
mod migrate_rows;
mod mirror_clickhouse;
mod mirror_failover;
mod mirror_faults;
mod mirror_galera;
mod mirror_mysql;
mod mirror_postgres;
mod mirror_removed_by_hand;
mod mirror_rows;
mod privileges;
mod report;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod ulogd_schema;
