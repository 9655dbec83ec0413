//! The program's interface to its host: privileges, the service manager, files, sockets, memory, clocks, random
//! numbers, the log, and health.

mod accepting_client;
pub mod allocator;
pub mod clock;
pub mod descriptors;
pub(crate) mod file_watch;
pub mod files;
#[cfg(test)]
#[path = "../../tests/support/golden.rs"]
pub(crate) mod golden;
mod health;
mod host_name;
mod host_network;
pub mod http_client;
pub mod listen;
pub mod lock;
pub(crate) mod locked_file;
pub mod logging;
pub mod panics;
pub mod privileges;
pub mod random;
pub(crate) mod replace_file;
pub mod service_manager;
pub mod signals;
pub mod socket_owner;
mod trusted_roots;
pub(crate) mod untrusted_text;

pub use accepting_client::accepting_client;
pub use health::{Health, Heartbeat, Latch};
pub(crate) use host_name::host_name;
pub use host_network::host_network;
pub use trusted_roots::{TrustedRootsError, trusted_roots, verifying_client};
