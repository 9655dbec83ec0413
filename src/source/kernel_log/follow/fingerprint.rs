//! Identifies the content of a file by its first bytes.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use serde::{Deserialize, Serialize};

/// Maximum number of bytes that identify a file: more than the first line of a log, whose time is unique.
pub(super) const START: usize = 256;

/// The first bytes of a file, which do not change while lines are appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FirstBytes {
    length: u16,
    checksum: u32,
}

impl FirstBytes {
    /// Those of a file; fewer than [`START`] if it is shorter.
    pub fn of(file: &File) -> io::Result<Self> {
        let mut bytes = [0; START];
        let length = read_at_most(file, &mut bytes)?;
        Ok(Self::new(&bytes[..length]))
    }

    /// Those of a content that begins with these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        Self { length, checksum: crc32fast::hash(bytes) }
    }

    /// The first bytes of a file if they begin with these; `None` if it is another file, or was truncated.
    pub fn grown(self, file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; START];
        let length = read_at_most(file, &mut bytes)?;
        let is_same = bytes[..length]
            .get(..usize::from(self.length))
            .is_some_and(|first| Self::new(first) == self);
        Ok(is_same.then(|| Self::new(&bytes[..length])))
    }

    /// Whether a content begins with them, of which at least [`START`] bytes are given if it has as many.
    pub fn begin(self, start: &[u8]) -> bool {
        start.get(..usize::from(self.length)).is_some_and(|first| Self::new(first) == self)
    }

    /// Whether no more bytes are needed.
    pub fn is_full(self) -> bool {
        usize::from(self.length) == START
    }

    /// Whether they are too few to identify a file.
    pub fn is_weak(self) -> bool {
        self.length < 16
    }
}

/// The first [`START`] bytes of a file; fewer if it is shorter.
pub(super) fn start_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; START];
    let length = read_at_most(file, &mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn read_at_most(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
