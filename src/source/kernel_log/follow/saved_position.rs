//! The saved position of a file, and what identifies the file.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::fingerprint::FirstBytes;

/// Identifies a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct FileKey {
    pub device: u64,
    pub inode: u64,
}

impl FileKey {
    /// The key of the file with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A point in the rows of one writer of the mirror: its id, and the number of the row after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolMark {
    /// Id of the writer.
    pub writer: [u8; 16],
    /// Number of the row after the point.
    pub end: u64,
}

/// The saved position of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPosition {
    pub path: PathBuf,
    pub key: FileKey,
    pub first_bytes: FirstBytes,
    pub offset: u64,
}
