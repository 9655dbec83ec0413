//! The user and group to run with, and the folders that become theirs.

use std::{
    ffi::CString,
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown},
    path::Path,
};

use nix::unistd::{self, getgrouplist};
use rustix::process::{Gid, Uid, geteuid};

use super::PrivilegesError;

/// Whom the package makes; the first choice where no user is named.
const OWN: &str = "nflog_exporter";

/// Who every host has.
const NOBODY: &str = "nobody";

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
    /// Whom to become for the configured user and group, names or numbers, each empty for the default:
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
        let mut account = match user {
            "" => by_name(OWN)?.map_or_else(|| by_name(NOBODY), |own| Ok(Some(own)))?,
            name => by_name(name)?,
        }
        .ok_or_else(|| unknown("user", if user.is_empty() { NOBODY } else { user }))?;
        if !group.is_empty() {
            account.group = group_by_name(group)?;
            account.groups.push(account.group);
        }
        if root {
            return Ok(Some(account));
        }
        if account.user != geteuid().as_raw() {
            let present = geteuid().as_raw();
            return Err(PrivilegesError::NotRoot { wanted: account.name, present });
        }
        Ok(None)
    }

    /// Whether it is root's, who may write everywhere and has no need of a capability for it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user == 0
    }
}

fn unknown(key: &'static str, name: &str) -> PrivilegesError {
    PrivilegesError::Unknown { key, name: name.to_owned() }
}

fn by_name(name: &str) -> Result<Option<Account>, PrivilegesError> {
    let failed = |error: nix::Error| PrivilegesError::Lookup {
        key: "user",
        name: name.to_owned(),
        error: error.into(),
    };
    let found = match name.parse() {
        Ok(number) => unistd::User::from_uid(unistd::Uid::from_raw(number)),
        Err(_) => unistd::User::from_name(name),
    };
    let Some(user) = found.map_err(failed)? else { return Ok(None) };
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
    let found = match name.parse() {
        Ok(number) => unistd::Group::from_gid(unistd::Gid::from_raw(number)),
        Err(_) => unistd::Group::from_name(name),
    };
    let found = found.map_err(|error| PrivilegesError::Lookup {
        key: "group",
        name: name.to_owned(),
        error: error.into(),
    })?;
    found.map(|group| group.gid.as_raw()).ok_or_else(|| unknown("group", name))
}

/// Becomes the account, for good.
pub(super) fn become_account(account: &Account) -> Result<(), PrivilegesError> {
    let group = Gid::from_raw(account.group);
    let user = Uid::from_raw(account.user);
    let groups: Vec<_> = account.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)
        .and_then(|()| rustix::thread::set_thread_res_gid(group, group, group))
        .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user))
        .map_err(|error| PrivilegesError::Become {
            account: account.name.clone(),
            error: error.into(),
        })
}

/// Makes a folder of the program's own, and gives it to the account with the files that are in it.
///
/// One that belongs to somebody else than root already, or that others may write to, stays as it is:
/// there could be a link to a file of root's in it. So does one that has more than files in it, which
/// is not the program's own, whatever the configuration says.
///
/// # Errors
/// The folder cannot be made or given away.
pub fn hand_over(folder: &Path, account: &Account) -> Result<(), PrivilegesError> {
    let give = || -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let found = fs::symlink_metadata(folder)?;
        if account.is_root() || found.uid() != 0 || !found.is_dir() || found.mode() & 0o022 != 0 {
            return Ok(());
        }
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        for entry in &entries {
            if !entry.file_type()?.is_file() {
                return Ok(());
            }
        }
        for entry in &entries {
            lchown(entry.path(), Some(account.user), Some(account.group))?;
        }
        lchown(folder, Some(account.user), Some(account.group))
    };
    give().map_err(|error| PrivilegesError::HandOver {
        folder: folder.to_owned(),
        account: account.name.clone(),
        error,
    })
}
