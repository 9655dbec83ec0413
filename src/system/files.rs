//! Reads files that other programs write: only regular files, up to a limit, and whether they changed.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt, OpenOptionsExt as _},
    path::Path,
};

/// Identifies one state of a file, to detect a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    device: u64,
    inode: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Time of the last write: seconds and nanoseconds.
    modified: (i64, i64),
    /// Time of the last change of the inode: a writer can set `modified` back, and permissions can change.
    changed: (i64, i64),
}

impl Fingerprint {
    /// The state of the file at this path, which may be a link; `None` if there is no file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from_metadata)
    }

    /// Time of the last write, seconds since 1970-01-01 UTC.
    pub(crate) fn modified_seconds(&self) -> i64 {
        self.modified.0
    }

    /// The state of the file with this metadata.
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
/// Opening a named pipe waits for its writer, and opening a device can have side effects.
///
/// # Errors
/// The file cannot be opened, or is a directory, a named pipe, a socket or a device.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    only_regular(fs::metadata(path)?.file_type())?;
    open_checked(path, 0)
}

/// Opens a regular file for reading, if its path is not a link.
///
/// # Errors
/// As [`open_regular`]; or it is a link.
pub(crate) fn open_regular_without_link(path: &Path) -> io::Result<(File, Metadata)> {
    only_regular(fs::symlink_metadata(path)?.file_type())?;
    open_checked(path, libc::O_NOFOLLOW)
}

fn open_checked(path: &Path, flags: i32) -> io::Result<(File, Metadata)> {
    // The file may have been replaced since, so it is opened without blocking and checked again.
    let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    only_regular(metadata.file_type())?;
    Ok((file, metadata))
}

fn only_regular(kind: FileType) -> io::Result<()> {
    let kind = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        _ => "of an unknown type",
    };
    Err(io::Error::other(format!("it is {kind}, not a regular file")))
}

/// The content of a regular file of at most `max` bytes.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is longer.
pub(crate) fn read_small(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open_regular(path)?;
    let mut content = Vec::new();
    file.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(io::Error::other(format!("it is longer than {} KiB", max / 1024)));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_change_of_permissions_changes_the_fingerprint() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = Fingerprint::of(file.path());
        assert_eq!(Fingerprint::of(file.path()), before);
        // The kernel's clock for files advances a few hundred times a second.
        let start = std::time::Instant::now();
        while Fingerprint::of(file.path()) == before {
            assert!(start.elapsed() < std::time::Duration::from_secs(10), "no change detected");
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_rejected() {
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
        fs::write(directory.path().join("file"), "x").unwrap();
        let link = directory.path().join("to_file");
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(open_regular(&link).is_ok() && open_regular_without_link(&link).is_err());
        assert!(open_regular_without_link(&directory.path().join("file")).is_ok());
        let absent = read_small(&directory.path().join("absent"), 1).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }
}
