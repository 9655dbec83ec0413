//! Reads a file of prefixes, within limits.

use std::{
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use crate::system::files::{Fingerprint, open_regular};

/// Maximum size of a file, bytes: a million prefixes with comments.
const MAX_FILE: u64 = 128 * 1024 * 1024;
/// Maximum length of a line, bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Why a file of prefixes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworksError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A line of it is invalid.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, counted from 1.
        line: usize,
        /// What is wrong, and what is valid.
        reason: String,
    },
    /// It has no content, as after a failed download.
    #[error("{} is empty: write it again; for no entry at all, write a comment", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It was replaced while it was read.
    #[error("{} changed while it was read", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
}

impl NetworksError {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::Line { path, .. }
            | Self::Empty { path }
            | Self::Changing { path } => path,
        }
    }
}

/// Passes each line of a file to `take`, which returns what is wrong with it. Returns the state of the file.
pub(super) fn read_lines(
    path: &Path,
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<Fingerprint, NetworksError> {
    let read = |cause| NetworksError::Read { path: path.into(), cause };
    let (file, metadata) = open_regular(path).map_err(read)?;
    let before = Fingerprint::from_metadata(&metadata);
    if before.size == 0 {
        return Err(NetworksError::Empty { path: path.into() });
    }
    if before.size > MAX_FILE {
        let limit = format!("it is longer than {} MiB", MAX_FILE >> 20);
        return Err(read(io::Error::other(limit)));
    }
    let mut reader = BufReader::new(file.take(MAX_FILE));
    let mut text = Vec::new();
    let mut line = 0;
    loop {
        text.clear();
        line += 1;
        let invalid = |reason| NetworksError::Line { path: path.into(), line, reason };
        if reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text).map_err(read)? == 0 {
            break;
        }
        if text.len() as u64 > MAX_LINE {
            return Err(invalid(format!("the line is longer than {MAX_LINE} bytes")));
        }
        let text = str::from_utf8(&text).map_err(|_| invalid("the line is not UTF-8".into()))?;
        take(text.trim()).map_err(invalid)?;
    }
    let metadata = reader.into_inner().into_inner().metadata().map_err(read)?;
    if Fingerprint::from_metadata(&metadata) != before {
        return Err(NetworksError::Changing { path: path.into() });
    }
    Ok(before)
}
