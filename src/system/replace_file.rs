//! Replaces the content of a file atomically: a reader finds the previous or the new content.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Age from which a temporary file belongs to a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

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
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let (path_of_temporary, file) = create_temporary(directory, &prefix, readers.new_mode())?;
    let temporary = Temporary { path: path_of_temporary, file };
    temporary.fill(content, owner.as_ref(), mode)?.rename(&path)?;
    // A directory that can be written may not be readable.
    File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
}

/// Creates a temporary file `PREFIX.PID`, for reading and writing. Removes those of processes that were killed.
///
/// # Errors
/// The file cannot be created.
pub(crate) fn create_temporary(
    directory: &Path,
    prefix: &OsStr,
    mode: u32,
) -> io::Result<(PathBuf, File)> {
    remove_abandoned(directory, prefix);
    let mut name = prefix.to_owned();
    name.push(format!(".{}", std::process::id()));
    let path = directory.join(name);
    let create =
        || OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&path);
    let file = match create() {
        // In a container, each process has the same number.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&path)?;
            create()?
        }
        result => result?,
    };
    Ok((path, file))
}

/// Removes old temporary files with this prefix. Failures are ignored: the next call tries again.
fn remove_abandoned(directory: &Path, prefix: &OsStr) {
    let is_temporary = |name: &OsStr| {
        let number = name.as_bytes().strip_prefix(prefix.as_bytes());
        number
            .and_then(|it| it.strip_prefix(b"."))
            .is_some_and(|it| it.iter().all(u8::is_ascii_digit))
    };
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let modified = || entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let age = |modified| SystemTime::now().duration_since(modified).unwrap_or_default();
        if is_temporary(&entry.file_name()) && modified().is_some_and(|it| age(it) > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
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
    fn temporary_files_of_killed_processes_are_replaced_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let own = format!(".a.mmdb.{}", std::process::id());
        for (name, is_old) in [
            (own.as_str(), false),
            (".a.mmdb.1", true),
            (".a.mmdb.2", false),
            (".a.mmdb.x", true),
            (".b.mmdb.1", true),
        ] {
            let file = File::create(path(name)).unwrap();
            if is_old {
                file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
            }
        }
        replace(&path("a.mmdb"), b"new", Readers::Everyone).unwrap();
        assert_eq!(fs::read(path("a.mmdb")).unwrap(), b"new");
        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".a.mmdb.2", ".a.mmdb.x", ".b.mmdb.1", "a.mmdb"]);
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
