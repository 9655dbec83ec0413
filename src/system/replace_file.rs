//! Replaces the content of a file atomically: a reader finds the previous or the new content.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

/// Who can read the new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The owner, and the group if others had no access: the content may hold a password.
    Private,
    /// Those who could read the previous content, or as the umask says.
    AsBefore,
    /// Every user. If root replaces the file, its owner becomes that of the directory, which can then replace it too. That
    /// user could put a symbolic link there, so it is replaced, not followed.
    Everyone,
}

impl Readers {
    /// The mode of a new file.
    fn new_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::AsBefore => 0o666,
            Self::Everyone => 0o644,
        }
    }

    /// The mode for the new content of a file with this mode. Private: at most 0600 if others had access, else at most
    /// 0640, as the packages' own configuration has.
    fn mode(self, before: u32) -> u32 {
        match self {
            Self::Private if before & 0o007 != 0 => before & 0o600,
            Self::Private => before & 0o640,
            Self::AsBefore => before & 0o777,
            Self::Everyone => 0o644,
        }
    }
}

/// Replaces a file. The owner stays, and a symbolic link stays while its target is replaced, except with
/// [`Readers::Everyone`].
/// After a power failure, the file has the previous or the new content.
///
/// # Errors
/// The file cannot be written, or is not a regular file.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        _ if readers == Readers::Everyone => path.to_owned(),
        Ok(path) => path,
        Err(_) => new_file(path)?,
    };
    let before = fs::metadata(&path).ok().filter(|_| readers != Readers::Everyone);
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        return Err(io::Error::other("it is not a regular file; use the path of one"));
    }
    let Some(name) = path.file_name() else {
        return Err(io::Error::other("the path has no file name; use DIRECTORY/FILE"));
    };
    let temporary = path.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let owner = match readers {
        Readers::Everyone if !rustix::process::geteuid().is_root() => None,
        Readers::Everyone => Some(fs::metadata(directory)?),
        _ => before.clone(),
    };
    let mode = match (&before, readers) {
        (_, Readers::Everyone) => Some(readers.new_mode()),
        (before, _) => before.as_ref().map(|before| readers.mode(before.permissions().mode())),
    };
    let temporary = Temporary::create(temporary, readers)?;
    temporary.fill(content, owner.as_ref(), mode)?.rename(&path)?;
    // A directory that can be written may not be readable.
    File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
}

/// The path of a file that does not exist yet. A rename would replace a dangling symbolic link.
fn new_file(path: &Path) -> io::Result<PathBuf> {
    match fs::read_link(path) {
        Err(_) => Ok(path.to_owned()),
        Ok(target) => Err(io::Error::other(format!(
            "it is a symbolic link to {}, which cannot be opened; use the path of that file, or remove the link",
            target.display()
        ))),
    }
}

/// A file that is removed unless it gets its final name.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(path: PathBuf, readers: Readers) -> io::Result<Self> {
        let mode = readers.new_mode();
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { path, file })
    }

    fn fill(
        mut self,
        content: &[u8],
        owner: Option<&Metadata>,
        mode: Option<u32>,
    ) -> io::Result<Self> {
        let own = self.file.metadata()?;
        if let Some(owner) =
            owner.filter(|owner| (own.uid(), own.gid()) != (owner.uid(), owner.gid()))
        {
            fchown(&self.file, Some(owner.uid()), Some(owner.gid()))?;
        }
        if let Some(mode) = mode {
            self.file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        self.file.write_all(content)?;
        self.file.sync_all()?;
        Ok(self)
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename, the file does not exist.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_except_for_a_file_of_everyone() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (readers, target) in
            [(Readers::AsBefore, "new"), (Readers::Private, "new"), (Readers::Everyone, "old")]
        {
            fs::write(path("target"), "old").unwrap();
            let _ = fs::remove_file(path("link"));
            std::os::unix::fs::symlink("target", path("link")).unwrap();
            replace(&path("link"), b"new", readers).unwrap();
            assert_eq!(fs::read_to_string(path("link")).unwrap(), "new");
            assert_eq!(fs::read_to_string(path("target")).unwrap(), target, "{readers:?}");
        }
    }

    #[test]
    fn the_mode_stays_or_becomes_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for (before, readers, after) in [
            (0o644, Readers::AsBefore, 0o644),
            (0o600, Readers::AsBefore, 0o600),
            (0o644, Readers::Private, 0o600),
            (0o660, Readers::Private, 0o640),
            (0o600, Readers::Everyone, 0o644),
        ] {
            fs::write(&path, "before").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
            replace(&path, b"after", readers).unwrap();
            assert_eq!((mode(), fs::read(&path).unwrap()), (after, b"after".to_vec()));
            fs::remove_file(&path).unwrap();
        }
        replace(&path, b"new", Readers::AsBefore).unwrap();
        // By the umask, but not private.
        assert_ne!(mode() & 0o400, 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
