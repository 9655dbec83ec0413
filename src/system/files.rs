//! Files that somebody else writes: which are opened, how much is read, whether they changed.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt, OpenOptionsExt as _},
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

/// Opens a regular file for reading.
///
/// Opening a named pipe waits for its writer, and opening a device can have effects, so only regular files
/// are opened.
///
/// # Errors
/// It cannot be opened, or is a directory, a named pipe, a socket or a device.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    only_regular(fs::metadata(path)?.file_type())?;
    // It may have been replaced since: opened without waiting, and checked again.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    only_regular(metadata.file_type())?;
    Ok((file, metadata))
}

fn only_regular(kind: FileType) -> io::Result<()> {
    let kind = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        _ => "something else",
    };
    Err(io::Error::other(format!("it is {kind}, not a regular file")))
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// It cannot be read, is not a regular file, or is longer: nobody wrote it by hand.
pub(crate) fn read_small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open_regular(path)?;
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
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
    }

    fn rejected(path: &Path, kind: &str) {
        let error = read_small(path, 2048).unwrap_err().to_string();
        assert_eq!(error, format!("it is {kind}, not a regular file"), "{path:?}");
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        rejected(directory.path(), "a directory");
        rejected(&pipe, "a named pipe");
        rejected(&link, "a named pipe");
        rejected(&socket, "a socket");
        rejected(Path::new("/dev/zero"), "a character device");
        let absent = read_small(&directory.path().join("absent"), 1).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }
}
