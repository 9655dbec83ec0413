//! The saved position of a file, and what identifies the file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fingerprint::FirstBytes;

/// Identifies a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct FileKey {
    pub device: u64,
    pub inode: u64,
}

/// The saved position of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPosition {
    pub path: PathBuf,
    pub key: FileKey,
    pub first_bytes: FirstBytes,
    pub offset: u64,
}
