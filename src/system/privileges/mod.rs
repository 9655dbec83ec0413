//! Drops privileges: after sockets, rules and listeners are open, the program keeps only those that it needs.
//!
//! Everything here affects the calling thread and the threads that it starts later. Therefore it runs before any
//! other thread starts and before the first packet is parsed.

mod account;
mod capabilities;
mod config;
mod landlock;
mod metrics;
mod run_as;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod seccomp;
#[cfg(test)]
mod tests;

use std::{fmt, fs::File, io, path::PathBuf, sync::Arc};

pub use account::{UserAccount, group_number, hand_over, hand_over_file};
pub use capabilities::has_net_admin;
pub use config::PrivilegesConfig;
pub use run_as::with_rights_of;

/// The files and network addresses that the sandbox allows.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Clone, Debug, Default)]
pub struct SandboxAccess {
    /// Directories whose files can be read.
    pub read: Vec<PathBuf>,
    /// Directories in which files can be created, written and removed.
    pub write: Vec<PathBuf>,
    /// Existing files that can be read and written, but not replaced or removed.
    pub write_files: Vec<PathBuf>,
    /// TCP ports to which the program can connect.
    pub connect: Vec<u16>,
    /// Whether the program can connect to a socket in the file system.
    pub socket: bool,
    /// Whether the program can send datagrams to sockets in the file system, and over UDP to any host: Landlock does not
    /// restrict datagrams.
    pub datagrams: bool,
    /// Whether the program can resolve names of hosts.
    pub names: bool,
    /// Whether the program can change the mode of its terminal.
    pub terminal: bool,
}

/// The privileges to keep.
#[derive(Clone, Debug, Default)]
pub struct RetainedPrivileges {
    /// The account to run as; `None` keeps the current user.
    pub account: Option<UserAccount>,
    /// What the sandbox allows; `None` for no sandbox.
    pub sandbox: Option<SandboxAccess>,
}

/// A layer of the confinement of the process: a value of the metric's label `layer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The process does not run as root.
    User,
    /// The process has no capability, and cannot regain one.
    Capabilities,
    /// A program that the process starts cannot gain privileges.
    NoNewPrivileges,
    /// The kernel restricts access to files (Linux 5.13).
    Landlock,
    /// The kernel restricts connections to TCP ports (Linux 6.7).
    LandlockPorts,
    /// The kernel restricts system calls.
    Seccomp,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 6] = [
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::LandlockPorts,
        Self::Seccomp,
    ];

    /// The value of the label `layer`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no_new_privs",
            Self::Landlock => "landlock",
            Self::LandlockPorts => "landlock_ports",
            Self::Seccomp => "seccomp",
        }
    }
}

/// The active and the missing layers.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    active: Vec<Layer>,
    missing: Vec<(Layer, String)>,
    /// Open files of `/proc`, without which the kernel forgets their rules.
    pinned: Vec<Arc<File>>,
}

impl Confinement {
    /// Whether a layer is active.
    #[must_use]
    pub fn has(&self, layer: Layer) -> bool {
        self.active.contains(&layer)
    }

    /// The requested layers that are not active, each with the reason.
    #[must_use]
    pub fn missing(&self) -> &[(Layer, String)] {
        &self.missing
    }

    fn record(&mut self, layer: Layer, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.active.push(layer),
            Err(reason) => self.missing.push((layer, reason)),
        }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never empty: the layer `capabilities` is always active.
        let names: Vec<_> = self.active.iter().map(|layer| layer.name()).collect();
        f.write_str(&names.join(" "))
    }
}

/// Privileges that could not be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// There is no such user or group.
    #[error(
        "privileges.{key} = {name:?}: there is no such {key} on this host: create it, or set another"
    )]
    Unknown {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
    },
    /// The list of users could not be read.
    #[error("cannot look up privileges.{key} = {name:?}: {error}")]
    Lookup {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The configured user differs from the user that started the program, who is not root.
    #[error(
        "privileges.user is {wanted}, but the program was started by the user with the id {current}, who \
         cannot change users: start it as root, or as {wanted} with the capability CAP_NET_ADMIN"
    )]
    NotRoot {
        /// The configured account.
        wanted: String,
        /// Id of the current user.
        current: u32,
    },
    /// The kernel rejected the change of user.
    #[error(
        "cannot change to user {account}: {error}; in a container, add CAP_SETUID and CAP_SETGID, or set \
         privileges.user = \"root\""
    )]
    Become {
        /// The configured account.
        account: String,
        /// The system's error.
        error: io::Error,
    },
    /// The kernel rejected the removal of capabilities.
    #[error("cannot drop capabilities: {0}")]
    Capabilities(io::Error),
    /// The owner of a directory or file could not be changed.
    #[error("cannot make {account} the owner of {}: {error}", path.display())]
    HandOver {
        /// The directory or file.
        path: PathBuf,
        /// The new owner.
        account: String,
        /// The system's error.
        error: io::Error,
    },
}

/// Drops all privileges except those to retain.
///
/// Landlock and seccomp are applied as far as the kernel supports them; [`Confinement::missing`] lists the rest.
///
/// # Errors
/// User or capabilities cannot be changed.
pub fn drop_privileges(retained: &RetainedPrivileges) -> Result<Confinement, PrivilegesError> {
    let mut confinement = Confinement::default();
    capabilities::shrink_bounds().map_err(PrivilegesError::Capabilities)?;
    if let Some(account) = &retained.account {
        account::become_account(account)?;
    }
    capabilities::clear().map_err(PrivilegesError::Capabilities)?;
    if !rustix::process::geteuid().is_root() {
        confinement.active.push(Layer::User);
    }
    confinement.active.push(Layer::Capabilities);
    let outcome = rustix::thread::set_no_new_privs(true);
    confinement.record(Layer::NoNewPrivileges, outcome.map_err(|error| error.to_string()));
    if let Some(access) = &retained.sandbox {
        enter_sandbox(access, &mut confinement);
    }
    Ok(confinement)
}

fn enter_sandbox(access: &SandboxAccess, confinement: &mut Confinement) {
    match landlock::confine(access) {
        Ok(restrictions) => {
            confinement.pinned = restrictions.pinned;
            confinement.record(Layer::Landlock, Ok(()));
            confinement.record(Layer::LandlockPorts, restrictions.ports);
        }
        Err(reason) => {
            confinement.record(Layer::LandlockPorts, Err(reason.clone()));
            confinement.record(Layer::Landlock, Err(reason));
        }
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    confinement.record(Layer::Seccomp, seccomp::confine(access));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    confinement.record(Layer::Seccomp, Err("there is no filter for this processor".into()));
}
