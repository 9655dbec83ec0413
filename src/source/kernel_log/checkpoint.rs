//! A position in a followed file, which travels with the lines before it.

/// A position in a followed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the followed file.
    pub(super) id: u64,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
}
