//! Shared code of the tests: namespaces, frames, received packets, servers and documents.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]
#![allow(unreachable_pub, missing_docs, reason = "shared by tests, not published")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failure here fails the test"
)]

#[cfg(feature = "browser-tests")]
pub mod browser;
pub mod dashboards;
pub mod delivered;
pub mod doctor;
pub mod frame;
pub mod fresh_root;
pub mod logged;
pub mod mariadb;
pub mod mmdb;
pub mod netns;
pub mod postgres_server;
pub mod program;
pub mod proxy;
pub mod sample_rows;
pub mod server;
pub mod system;
pub mod tmpfs;

pub use logged::{Logged, plan, read_packets, read_to_end};
pub use netns::{Etc, Namespace, Wire, lacking_net_admin};
