//! The configuration section `[privileges]`: the user and the sandbox.

use serde::{Deserialize, Serialize};

use crate::settings::{ConfigSection, InvalidSetting};

/// `[privileges]`: the user and the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrivilegesConfig {
    /// User to switch to if started as root, a name or a number; default empty: `nflog_exporter` if that user exists,
    /// otherwise `nobody`.
    pub user: String,
    /// Group to switch to, a name or a number; default empty: the primary group of the user.
    pub group: String,
    /// Whether Landlock and seccomp reject files, ports and system calls that are not needed; default true.
    pub sandbox: bool,
}

impl Default for PrivilegesConfig {
    fn default() -> Self {
        Self { user: String::new(), group: String::new(), sandbox: true }
    }
}

impl ConfigSection for PrivilegesConfig {
    /// Every value is valid. Whether the user and the group exist is checked by [`super::UserAccount::find`].
    fn validate(&self) -> Vec<InvalidSetting> {
        Vec::new()
    }
}
