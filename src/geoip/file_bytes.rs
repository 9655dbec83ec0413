//! The bytes of a database file, shared by the reader and the search tree.

use std::sync::Arc;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct FileBytes(Arc<Vec<u8>>);

impl FileBytes {
    /// Shares these bytes.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
