//! `[history]`: the counts of the last 30 days, which the page shows.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::settings::{ConfigSection, InvalidSetting};

/// The directories that the service manager created for the state of this service, separated by colons
/// (systemd.exec(5)).
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The history's directory in that for the state of the service.
const SUBDIRECTORY: &str = "history";

/// `[history]`: the counts of the last 30 days, which the page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryConfig {
    /// Directory in which the counts are kept across restarts, created if missing, used by one exporter only; default
    /// empty: `history` in the state directory of the service (`$STATE_DIRECTORY`, which systemd sets), and without one the
    /// counts are kept in memory only.
    pub directory: PathBuf,
}

impl HistoryConfig {
    /// The directory to use; `None` to keep the counts in memory only.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        self.directory_in(env::var_os(STATE_DIRECTORY).map(PathBuf::from).as_deref())
    }

    fn directory_in(&self, state: Option<&Path>) -> Option<PathBuf> {
        if !self.directory.as_os_str().is_empty() {
            return Some(self.directory.clone());
        }
        let first = env::split_paths(state?).next()?;
        (!first.as_os_str().is_empty()).then(|| first.join(SUBDIRECTORY))
    }
}

impl ConfigSection for HistoryConfig {
    fn validate(&self) -> Vec<InvalidSetting> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_of_the_service_is_the_default() {
        let directory = |configured: &str, state: Option<&str>| {
            HistoryConfig { directory: configured.into() }.directory_in(state.map(Path::new))
        };
        assert_eq!(directory("", None), None);
        assert_eq!(directory("", Some("")), None);
        assert_eq!(directory("", Some("/var/lib/a:/var/lib/b")), Some("/var/lib/a/history".into()));
        assert_eq!(directory("/srv/h", Some("/var/lib/a")), Some("/srv/h".into()));
        assert_eq!(directory("/srv/h", None), Some("/srv/h".into()));
    }
}
