//! The web configuration: TLS, users, headers and rate limit. Its file has the format of Prometheus's
//! exporter-toolkit, so that one file serves all exporters of a host:
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>.

mod certificate;
mod config;
mod password_queue;
mod rate_limit;
mod section;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod tls_parameters;
mod users;
mod watcher;
mod yaml;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::system::files::read_small;

pub(super) use config::WebConfig;
pub use watcher::WebConfigWatcher;

/// Maximum bytes of a file: four times the size of the largest bundle of certificate authorities.
const MAX_FILE: u64 = 1024 * 1024;

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// One of its files cannot be read.
    #[error("cannot read {}: {cause}; check web.config_file and the files it names", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A setting is invalid.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file of the web configuration.
        path: PathBuf,
        /// The key, what is invalid, and how to fix it.
        reason: String,
    },
}

/// A [`WebConfigError`] before the path of the web configuration is added.
#[derive(Debug)]
enum InvalidWebConfig {
    Read(PathBuf, io::Error),
    Setting(String),
}

impl InvalidWebConfig {
    fn setting(reason: impl Into<String>) -> Self {
        Self::Setting(reason.into())
    }

    /// An invalid key, or keys, of `tls_server_config`.
    fn tls(key: &str, reason: impl fmt::Display) -> Self {
        Self::Setting(format!("tls_server_config: {key}: {reason}"))
    }

    /// An invalid value of a key.
    fn value(key: &str, value: &str, expected: &str) -> Self {
        Self::Setting(format!("invalid value {value:?} for {key}: expected {expected}"))
    }

    fn in_file(self, path: &Path) -> WebConfigError {
        match self {
            Self::Read(path, cause) => WebConfigError::Read { path, cause },
            Self::Setting(reason) => WebConfigError::Invalid { path: path.into(), reason },
        }
    }
}

/// The content of a file of at most [`MAX_FILE`] bytes.
fn read(path: &Path) -> Result<Vec<u8>, InvalidWebConfig> {
    read_small(path, MAX_FILE).map_err(|cause| InvalidWebConfig::Read(path.into(), cause))
}
