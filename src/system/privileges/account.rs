//! The user and group to run with, and the directories that become theirs.

use std::{
    ffi::CString,
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown},
    path::Path,
};

use nix::unistd::{self, getgrouplist};
use rustix::process::{Gid, Uid, getegid, geteuid};

use super::PrivilegesError;

/// The user that the package creates; the default if it exists.
const OWN: &str = "nflog_exporter";

/// The user that every host has.
const NOBODY: &str = "nobody";

/// Users and groups that have these numbers where no list names them, as in a container without
/// `/etc/passwd`: credentials(7), `user_namespaces(7)`.
const WELL_KNOWN: [(&str, u32); 3] = [("root", 0), (NOBODY, 65534), ("nogroup", 65534)];

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Account {
    /// The account for the configured user and group, names or numbers, each empty for the default:
    /// `nflog_exporter` where there is such a user, else `nobody`, and the user's own group. `None` when
    /// nothing is to change: somebody who is not root started the program.
    ///
    /// # Errors
    /// No such user or group, or one that only root could become.
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
            let present = geteuid().as_raw();
            return Err(PrivilegesError::NotRoot { wanted: account.name, present });
        }
        Ok(None)
    }

    /// The account that the configured user and group mean to root, see [`Account::choose`].
    ///
    /// # Errors
    /// No such user or group.
    pub fn find(user: &str, group: &str) -> Result<Self, PrivilegesError> {
        let mut account = match user {
            "" => match by_name(OWN)? {
                Some(own) => own,
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

    /// That of a process; `None` where its rights cannot be read.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // Real, effective, saved, of the file system; proc(5).
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

    /// Whether it is the one that this process runs with.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.user == geteuid().as_raw()
    }

    /// Whether it is root's, who may write everywhere and has no need of a capability for it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user == 0
    }

    /// One that no list has to know.
    fn by_number(number: u32) -> Self {
        Self { name: number.to_string(), user: number, group: number, groups: vec![number] }
    }
}

fn unknown(key: &'static str, name: &str) -> PrivilegesError {
    PrivilegesError::Unknown { key, name: name.to_owned() }
}

fn by_name(name: &str) -> Result<Option<Account>, PrivilegesError> {
    let number = name.parse();
    let found = found(match &number {
        Ok(number) => unistd::User::from_uid(unistd::Uid::from_raw(*number)),
        Err(_) => unistd::User::from_name(name),
    });
    let failed = |error: nix::Error| failed("user", name, error);
    let Some(user) = found.map_err(failed)? else {
        return Ok(number.ok().or_else(|| well_known(name)).map(Account::by_number));
    };
    // A name out of the list of users has no zero byte.
    let text = CString::new(user.name.clone()).unwrap_or_default();
    let groups = getgrouplist(&text, user.gid).map_err(failed)?;
    Ok(Some(Account {
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

fn well_known(name: &str) -> Option<u32> {
    WELL_KNOWN.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// A list that is not there has nobody in it: getpwnam(3), "The given name or uid was not found".
fn found<T>(answer: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    match answer {
        Err(nix::Error::ENOENT | nix::Error::ESRCH | nix::Error::EBADF) => Ok(None),
        answer => answer,
    }
}

fn failed(key: &'static str, name: &str, error: nix::Error) -> PrivilegesError {
    PrivilegesError::Lookup { key, name: name.to_owned(), error: error.into() }
}

/// Becomes the account, for good. Only this thread does.
pub(super) fn become_account(account: &Account) -> Result<(), PrivilegesError> {
    let group = Gid::from_raw(account.group);
    let user = Uid::from_raw(account.user);
    let groups: Vec<_> = account.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let joined = match rustix::thread::set_thread_groups(&groups) {
        // A container may keep its root from changing, which then has nothing to change.
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

/// Makes a directory of the program's own with those above it that are missing, and gives what it made to
/// the account; `None` is the present user.
///
/// One that is there goes over with the files in it, where it belongs to root. If others may write to it
/// it stays as it is: there could be a link to a file of root's in it. So does one that has more than files
/// in it, which is not the program's own, whatever the configuration says.
///
/// # Errors
/// The directory cannot be made or given away.
pub fn hand_over(directory: &Path, account: Option<&Account>) -> Result<(), PrivilegesError> {
    let give =
        |path: &Path, account: &Account| lchown(path, Some(account.user), Some(account.group));
    let work = || -> io::Result<()> {
        // Above a relative one is, last, the empty path.
        let above = directory.ancestors().filter(|above| !above.as_os_str().is_empty());
        let missing: Vec<_> = above.take_while(|above| !above.exists()).collect();
        for above in missing.iter().rev() {
            fs::DirBuilder::new().mode(0o700).create(above)?;
        }
        let Some(account) = account else { return Ok(()) };
        // From within, so that nobody else has a hand in it before it is done.
        for above in missing {
            give(above, account)?;
        }
        let found = fs::symlink_metadata(directory)?;
        if account.is_root() || found.uid() != 0 || !found.is_dir() || found.mode() & 0o022 != 0 {
            return Ok(());
        }
        let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        for entry in &entries {
            if !entry.file_type()?.is_file() {
                return Ok(());
            }
        }
        for entry in &entries {
            give(&entry.path(), account)?;
        }
        give(directory, account)
    };
    work().map_err(|error| PrivilegesError::HandOver {
        directory: directory.to_owned(),
        account: account.map_or("this user", |account| &account.name).to_owned(),
        error,
    })
}
