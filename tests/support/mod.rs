//! Shared by all test binaries: network namespaces, programs, servers, packets and rows.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

pub mod after_exit;
pub mod background_noise;
pub mod clickhouse;
pub mod dashboards;
pub mod data_sources;
pub mod delivered;
pub mod doctor;
pub mod documents;
pub mod frame;
pub mod fresh_root;
pub mod galera;
pub mod golden;
pub mod kernel_log;
pub mod logged;
pub mod mariadb;
pub mod mmdb;
pub mod netns;
pub mod postgres_server;
pub mod program;
pub mod proxy;
pub mod report_traffic;
pub mod sample_rows;
pub mod served;
pub mod server;
pub mod signal;
pub mod spool;
pub mod system;
pub mod tmpfs;
pub mod tmux;
pub mod ulogd;

pub use logged::{Logged, plan, read_packets, read_to_end};
pub use netns::{Etc, Namespace, Wire, lacking_net_admin};
