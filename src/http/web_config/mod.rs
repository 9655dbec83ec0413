//! The web configuration: who may ask, and how the line is kept secret. Its file is in the format of
//! Prometheus's exporter-toolkit, so that one file serves all exporters of a host:
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>.

mod certificate;
mod checks;
mod document;
mod guard;
mod rate;
#[cfg(test)]
mod tests;
mod tls;
mod users;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::system::files::read_small;

pub use guard::WebConfigWatcher;
pub(super) use {guard::WebConfig, users::Verdict};

/// Longest file that is read, in bytes: the largest bundle of authorities has a quarter of it.
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
    /// It says what cannot be followed.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file of the web configuration.
        path: PathBuf,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// What is wrong with a part of it, in words that name the key and say how to mend it.
#[derive(Debug)]
enum Problem {
    Read(PathBuf, io::Error),
    Said(String),
}

impl Problem {
    fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    fn of(self, path: &Path) -> WebConfigError {
        match self {
            Self::Read(path, cause) => WebConfigError::Read { path, cause },
            Self::Said(problem) => WebConfigError::Invalid { path: path.into(), problem },
        }
    }
}

/// The content of a file, [`MAX_FILE`] bytes at most.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    read_small(path, MAX_FILE).map_err(|cause| Problem::Read(path.into(), cause))
}
