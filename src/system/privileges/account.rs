//! The user and group of the process, and the directories that they own.

use std::{
    ffi::{CString, OsStr},
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, fchown, lchown},
    path::Path,
};

use nix::unistd::{self, getgrouplist};
use rustix::{
    fs::Access,
    process::{Gid, Uid, getegid, geteuid},
};

use super::{PrivilegesError, with_rights_of};

/// The user that the package creates; the default if it exists.
const DEFAULT_USER: &str = "nflog_exporter";

/// The default if [`DEFAULT_USER`] does not exist.
const NOBODY: &str = "nobody";

/// What a new file system has: mke2fs(8).
const LOST_AND_FOUND: &str = "lost+found";

/// Ids of users and groups that the user database may lack, as in a container without
/// `/etc/passwd`: credentials(7), `user_namespaces(7)`.
const WELL_KNOWN: [(&str, u32); 3] = [("root", 0), (NOBODY, 65534), ("nogroup", 65534)];

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAccount {
    name: String,
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl fmt::Display for UserAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl UserAccount {
    /// The account for the configured user and group. Both are names or ids, and empty for the default, which is
    /// the user `nflog_exporter` if it exists and `nobody` otherwise, and the user's own group. `None` if the
    /// program was not started as root, so that the user does not change.
    ///
    /// # Errors
    /// The user or group does not exist, or the program has to be started as root to change to it.
    pub fn choose(user: &str, group: &str) -> Result<Option<Self>, PrivilegesError> {
        let root = geteuid().is_root();
        if user.is_empty() && group.is_empty() && !root {
            return Ok(None);
        }
        let account = Self::find(user, group)?;
        if root {
            return Ok(Some(account));
        }
        if account.user != geteuid().as_raw() {
            let current = geteuid().as_raw();
            return Err(PrivilegesError::NotRoot { wanted: account.name, current });
        }
        Ok(None)
    }

    /// The account for the configured user and group if the program is started as root: see
    /// [`UserAccount::choose`].
    ///
    /// # Errors
    /// The user or group does not exist.
    pub fn find(user: &str, group: &str) -> Result<Self, PrivilegesError> {
        let mut account = match user {
            "" => match by_name(DEFAULT_USER)? {
                Some(account) => account,
                None => by_name(NOBODY)?.ok_or_else(|| unknown("user", NOBODY))?,
            },
            name => by_name(name)?.ok_or_else(|| unknown("user", name))?,
        };
        if !group.is_empty() {
            account.group = group_by_name(group)?;
            account.groups.push(account.group);
        }
        Ok(account)
    }

    /// The account of a process; `None` if it cannot be read.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // The real, effective, saved and file system ids; proc(5).
        let numbers = |field: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
        };
        let user = *numbers("Uid:")?.get(1)?;
        let known = by_name(&user.to_string()).ok().flatten();
        Some(Self {
            name: known.map_or_else(|| user.to_string(), |account| account.name),
            user,
            group: *numbers("Gid:")?.get(1)?,
            groups: numbers("Groups:")?,
        })
    }

    /// The account, in more groups.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = u32>) -> Self {
        for group in groups {
            if !self.groups.contains(&group) {
                self.groups.push(group);
            }
        }
        self
    }

    /// Whether this is the account of the current process.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.user == geteuid().as_raw()
    }

    /// Whether this is root, who can write files without a capability.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user == 0
    }

    /// An account without an entry in the user database.
    fn by_number(number: u32) -> Self {
        Self { name: number.to_string(), user: number, group: number, groups: vec![number] }
    }
}

fn unknown(key: &'static str, name: &str) -> PrivilegesError {
    PrivilegesError::Unknown { key, name: name.to_owned() }
}

fn by_name(name: &str) -> Result<Option<UserAccount>, PrivilegesError> {
    let number = name.parse();
    let found = found(match &number {
        Ok(number) => unistd::User::from_uid(unistd::Uid::from_raw(*number)),
        Err(_) => unistd::User::from_name(name),
    });
    let failed = |error: nix::Error| failed("user", name, error);
    let Some(user) = found.map_err(failed)? else {
        return Ok(number.ok().or_else(|| well_known(name)).map(UserAccount::by_number));
    };
    // A name in the user database has no zero byte.
    let text = CString::new(user.name.clone()).unwrap_or_default();
    let groups = getgrouplist(&text, user.gid).map_err(failed)?;
    Ok(Some(UserAccount {
        name: user.name,
        user: user.uid.as_raw(),
        group: user.gid.as_raw(),
        groups: groups.into_iter().map(unistd::Gid::as_raw).collect(),
    }))
}

fn group_by_name(name: &str) -> Result<u32, PrivilegesError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = found(unistd::Group::from_name(name));
    let found = found.map_err(|error| failed("group", name, error))?;
    let number = found.map(|group| group.gid.as_raw()).or_else(|| well_known(name));
    number.ok_or_else(|| unknown("group", name))
}

/// The number of a group; `None` if there is none of this name.
#[must_use]
pub fn group_number(name: &str) -> Option<u32> {
    group_by_name(name).ok()
}

fn well_known(name: &str) -> Option<u32> {
    WELL_KNOWN.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Treats a missing database as one without entries: getpwnam(3), "The given name or uid was not found".
fn found<T>(entry: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    match entry {
        Err(nix::Error::ENOENT | nix::Error::ESRCH | nix::Error::EBADF) => Ok(None),
        entry => entry,
    }
}

fn failed(key: &'static str, name: &str, error: nix::Error) -> PrivilegesError {
    PrivilegesError::Lookup { key, name: name.to_owned(), error: error.into() }
}

/// Changes this thread permanently to the account.
pub(super) fn become_account(account: &UserAccount) -> Result<(), PrivilegesError> {
    let group = Gid::from_raw(account.group);
    let user = Uid::from_raw(account.user);
    let groups: Vec<_> = account.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let joined = match rustix::thread::set_thread_groups(&groups) {
        // A container may deny this even to its root; if the account is the current one, there is nothing to change.
        Err(rustix::io::Errno::PERM) if geteuid() == user && getegid() == group => Ok(()),
        outcome => outcome,
    };
    joined
        .and_then(|()| rustix::thread::set_thread_res_gid(group, group, group))
        .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user))
        .map_err(|error| PrivilegesError::Become {
            account: account.name.clone(),
            error: error.into(),
        })
}

/// Creates a directory and its missing parents, and makes the account the owner of those that it created; `None` is
/// the current user.
///
/// An existing directory of root that the account cannot write gets the new owner as well, with its files, if it has
/// only files of this program: `is_own` returns whether a name is one of them. So a first try as root does not lock out
/// the account. A directory that others can write to could contain a link to a file of root, and stays.
///
/// # Errors
/// The directory cannot be created, its owner cannot be changed, or it has other files and the account cannot write it.
pub fn hand_over(
    directory: &Path,
    account: Option<&UserAccount>,
    is_own: &dyn Fn(&OsStr) -> bool,
) -> Result<(), PrivilegesError> {
    let handed_over = || {
        let created = create_with_parents(directory)?;
        account.map_or(Ok(()), |account| change_owner(directory, &created, account, is_own))
    };
    handed_over().map_err(|error| PrivilegesError::HandOver {
        path: directory.to_owned(),
        account: account.map_or("this user", |account| &account.name).to_owned(),
        error,
    })
}

/// Makes the account the owner of an open file of root; `path` is for the error.
///
/// # Errors
/// The owner cannot be changed.
pub fn hand_over_file(
    file: &fs::File,
    path: &Path,
    account: &UserAccount,
) -> Result<(), PrivilegesError> {
    let handed_over = || {
        if account.is_root() || file.metadata()?.uid() != 0 {
            return Ok(());
        }
        fchown(file, Some(account.user), Some(account.group))
    };
    handed_over().map_err(|error| PrivilegesError::HandOver {
        path: path.to_owned(),
        account: account.name.clone(),
        error,
    })
}

/// Creates the directory and its missing parents. Returns the created ones, the innermost first.
fn create_with_parents(directory: &Path) -> io::Result<Vec<&Path>> {
    // The last ancestor of a relative path is empty.
    let ancestors = directory.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing: Vec<_> = ancestors.take_while(|path| !path.exists()).collect();
    for path in missing.iter().rev() {
        fs::DirBuilder::new().mode(0o700).create(path)?;
    }
    Ok(missing)
}

/// Whether an entry of the state directory is one of its own directories: for downloaded databases, or for the history.
fn is_own_directory(entry: &fs::DirEntry) -> io::Result<bool> {
    let name = entry.file_name();
    Ok((name == "geoip" || name == "history") && entry.file_type()?.is_dir())
}

/// Changes the owner of the created directories, and of an existing directory of root with the program's files. Its own
/// directories there stay as they are.
fn change_owner(
    directory: &Path,
    created: &[&Path],
    account: &UserAccount,
    is_own: &dyn Fn(&OsStr) -> bool,
) -> io::Result<()> {
    let own = |path: &Path| lchown(path, Some(account.user), Some(account.group));
    // The innermost first, so that no other user can change it meanwhile.
    created.iter().try_for_each(|path| own(path))?;
    let metadata = fs::symlink_metadata(directory)?;
    if account.is_root()
        || metadata.uid() != 0
        || !metadata.is_dir()
        || metadata.mode() & 0o022 != 0
        || can_write(account, directory)
    {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_own(&name) && entry.file_type()?.is_file() {
            files.push(entry.path());
        } else if !(name == LOST_AND_FOUND || is_own_directory(&entry)?) {
            return Err(io::Error::other(format!(
                "it belongs to root and has {}, which this program did not write: set another directory, or run: \
                 chown {account} {}",
                name.display(),
                directory.display()
            )));
        }
    }
    files.iter().try_for_each(|file| own(file))?;
    own(directory)
}

/// Whether the account can create files in a directory.
fn can_write(account: &UserAccount, directory: &Path) -> bool {
    let access = || rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    with_rights_of(Some(account), access).unwrap_or(false)
}
