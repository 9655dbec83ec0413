//! Drops privileges: after sockets, rules and listeners are open, the program keeps only those that it needs.
//!
//! Everything here is done to the calling thread and what it starts later, so it comes before any other
//! thread, and before the first packet is looked at.

mod account;
mod capabilities;
mod landlock;
mod metrics;
mod run_as;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod seccomp;
#[cfg(test)]
mod tests;

use std::{fmt, fs::File, io, path::PathBuf, sync::Arc};

pub use account::{Account, hand_over};
pub use capabilities::has_net_admin;
pub use run_as::with_rights_of;

/// What the program still has to reach when it is confined.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Directories of which files are read, now or when they change.
    pub read: Vec<PathBuf>,
    /// Directories in which files are made, written and removed.
    pub write: Vec<PathBuf>,
    /// TCP ports that are connected to.
    pub connect: Vec<u16>,
    /// Whether a socket in the file system is connected to.
    pub socket: bool,
    /// Whether names of hosts are looked up.
    pub names: bool,
}

/// The privileges to keep.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Whose rights to run with from now on; `None`: the present user's.
    pub account: Option<Account>,
    /// What the kernel shall still let through; `None`: no sandbox.
    pub sandbox: Option<Needs>,
}

/// A way in which the program is held, as the metric names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// It does not run as root.
    User,
    /// It has no capability, and cannot get one back.
    Capabilities,
    /// No program that it could start would have more rights.
    NoNewPrivileges,
    /// The kernel lets it reach no file but those it needs (Linux 5.13).
    Landlock,
    /// The kernel lets it connect to no TCP port but those it needs (Linux 6.7).
    LandlockPorts,
    /// The kernel refuses the system calls that it does not need.
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

    /// Its name.
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

/// What is in force.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    in_force: Vec<Layer>,
    missing: Vec<(Layer, String)>,
    /// What the rules on `/proc` hang on: the kernel forgets such a file once nobody has it open.
    pinned: Vec<Arc<File>>,
}

impl Confinement {
    /// Whether a layer is in force.
    #[must_use]
    pub fn has(&self, layer: Layer) -> bool {
        self.in_force.contains(&layer)
    }

    /// What is not in force though it was wanted, and why.
    #[must_use]
    pub fn missing(&self) -> &[(Layer, String)] {
        &self.missing
    }

    fn note(&mut self, layer: Layer, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.in_force.push(layer),
            Err(why) => self.missing.push((layer, why)),
        }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It always holds capabilities, so there is a name.
        let names: Vec<_> = self.in_force.iter().map(|layer| layer.name()).collect();
        f.write_str(&names.join(" "))
    }
}

/// Privileges that could not be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    /// There is no such user or group.
    #[error(
        "privileges.{key} = {name:?}: there is no such {key} on this host: make it, or name another"
    )]
    Unknown {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
    },
    /// The list of users could not be read.
    #[error("look up privileges.{key} = {name:?}: {error}")]
    Lookup {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// Another user is asked for than the one that started the program, who is not root.
    #[error(
        "privileges.user asks for {wanted}, but the program was started by user {present}, who cannot \
         become another: start it as root, or as {wanted} with the capability CAP_NET_ADMIN"
    )]
    NotRoot {
        /// The account asked for.
        wanted: String,
        /// The present user's number.
        present: u32,
    },
    /// The kernel refused to change the user.
    #[error(
        "become {account}: {error}; a container needs CAP_SETUID and CAP_SETGID for this, or set \
         privileges.user = \"root\""
    )]
    Become {
        /// The account asked for.
        account: String,
        /// Why.
        error: io::Error,
    },
    /// The kernel refused to take capabilities.
    #[error("drop capabilities: {0}")]
    Capabilities(io::Error),
    /// A directory could not be given to the account.
    #[error("hand {} over to {account}: {error}", directory.display())]
    HandOver {
        /// The directory.
        directory: PathBuf,
        /// Who should have it.
        account: String,
        /// Why.
        error: io::Error,
    },
}

/// Drops all privileges that the plan does not keep.
///
/// Fails if user or capabilities cannot be changed. Landlock and seccomp are applied as far as the kernel supports
/// them; [`Confinement::missing`] lists the rest.
///
/// # Errors
/// See [`PrivilegesError`].
pub fn drop_privileges(plan: &Plan) -> Result<Confinement, PrivilegesError> {
    let mut confinement = Confinement::default();
    capabilities::shrink_bounds().map_err(PrivilegesError::Capabilities)?;
    if let Some(account) = &plan.account {
        account::become_account(account)?;
    }
    capabilities::clear().map_err(PrivilegesError::Capabilities)?;
    let root = rustix::process::geteuid().is_root();
    if !root {
        confinement.in_force.push(Layer::User);
    }
    confinement.in_force.push(Layer::Capabilities);
    let outcome = rustix::thread::set_no_new_privs(true);
    confinement.note(Layer::NoNewPrivileges, outcome.map_err(|error| error.to_string()));
    if let Some(needs) = &plan.sandbox {
        match landlock::confine(needs) {
            Ok(held) => {
                confinement.pinned = held.pinned;
                confinement.note(Layer::Landlock, Ok(()));
                confinement.note(Layer::LandlockPorts, held.ports);
            }
            Err(why) => {
                confinement.note(Layer::LandlockPorts, Err(why.clone()));
                confinement.note(Layer::Landlock, Err(why));
            }
        }
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        confinement.note(Layer::Seccomp, seccomp::confine(needs));
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        confinement.note(Layer::Seccomp, Err("its filters do not know this processor".into()));
    }
    Ok(confinement)
}
