//! Files that somebody else writes: how one state is told from another, and how much is read.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    device: u64,
    inode: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Seconds and nanoseconds of the last write.
    modified: (i64, i64),
    /// And of the last change of anything: a writer can set the other back, and rights may have come.
    changed: (i64, i64),
}

impl Fingerprint {
    /// The file at this path, after its links; `None` if there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from_metadata)
    }

    /// The file that this was asked of.
    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The content of a file of `most` bytes at most.
///
/// # Errors
/// It cannot be read, or is longer: nobody wrote it by hand, and `/dev/zero` has no end.
pub(crate) fn read_small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::other(format!("it is longer than {} KiB", most / 1024)));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn other_rights_are_another_state() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = Fingerprint::of(file.path());
        assert_eq!(Fingerprint::of(file.path()), before);
        // The kernel's clock for files moves a few hundred times a second.
        let start = std::time::Instant::now();
        while Fingerprint::of(file.path()) == before {
            assert!(start.elapsed() < std::time::Duration::from_secs(10), "still the same");
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [1; 2048]).unwrap();
        assert_eq!(read_small(file.path(), 2048).unwrap().len(), 2048);
        let error = read_small(file.path(), 2047).unwrap_err().to_string();
        assert!(error.contains("longer than 1 KiB"), "{error}");
        assert!(read_small(Path::new("/dev/zero"), 2048).is_err());
    }
}
