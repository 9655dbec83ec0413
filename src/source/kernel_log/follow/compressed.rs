//! Recognises compressed files, which are not followed.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use super::{rotated::RotatedFile, saved_position::FileKey};

/// Maximum number of compressed files that are remembered; beyond it, all are looked at again.
const MAX: usize = 16_384;

/// The compressed files of the patterns, each with its size and the time of its last write: another file can get its
/// inode.
#[derive(Debug, Default)]
pub(super) struct CompressedFiles(HashMap<FileKey, (u64, i64, i64)>);

impl CompressedFiles {
    /// Whether the file with this metadata is one of them.
    pub fn has(&self, metadata: &Metadata) -> bool {
        self.0.get(&FileKey::of(metadata)) == Some(&state(metadata))
    }

    /// Adds a file.
    pub fn add(&mut self, file: &RotatedFile) {
        let Ok(metadata) = file.file.metadata() else { return };
        if self.0.len() == MAX {
            self.0.clear();
        }
        if self.0.insert(file.key, state(&metadata)).is_none() {
            tracing::info!("{}: not followed, because it is compressed", file.path.display());
        }
    }
}

fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Whether the file is compressed: gzip, zstd, xz or bzip2.
pub(super) fn is_compressed(file: &File) -> bool {
    let mut first = [0; 4];
    let read = file.read_at(&mut first, 0);
    let is_magic = matches!(
        first,
        [0x1f, 0x8b, ..]
            | [0x28, 0xb5, 0x2f, 0xfd]
            | [0xfd, b'7', b'z', b'X']
            | [b'B', b'Z', b'h', _]
    );
    read.is_ok() && is_magic
}
