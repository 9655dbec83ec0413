//! Whether the user that the exporter runs with can reach its files: root, who asks, always can.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::{Finding, exporter::Exporter};
use crate::{
    config::{Config, Flags},
    http::Guard,
    mirror::target::{Place, Tls},
    privileges::{Account, PrivilegesError, with_rights_of},
};

/// What the exporter has to reach.
#[derive(Default)]
struct Needs {
    /// Files that are read, now and at each reload.
    read: Vec<PathBuf>,
    /// Files and folders that are written to.
    write: Vec<PathBuf>,
}

pub(super) fn rights(flags: &Flags, config: &Config, exporter: Option<&Exporter>) -> Finding {
    let account = match account(config, exporter) {
        Ok(account) => account,
        Err(finding) => return finding,
    };
    let needs = needs(flags, config, exporter.is_some());
    let user =
        account.as_ref().map_or_else(|| "this user".into(), |user| format!("the user {user}"));
    match with_rights_of(account.as_ref(), || needs.first_beyond()) {
        Ok(None) => Finding::ok("rights", format!("{user} can read and write what it has to")),
        Ok(Some((path, error, doing))) => {
            let what = format!(
                "{user}, whom the exporter runs with, cannot {doing} {}: {error}",
                path.display()
            );
            let mend = match doing {
                "read" => {
                    "let its group read the file (chgrp, chmod g+r), and enter the folders above"
                }
                _ => "give it the file or folder (chown), and let it enter the folders above",
            };
            Finding::failed("rights", what, mend)
        }
        // It runs with them, so it came by them in another way.
        Err(why) if exporter.is_some() => Finding::unknown("rights", why.to_string()),
        Err(why) => Finding::failed("rights", why.to_string(), "see privileges.user"),
    }
}

/// Whose rights to look with; `None` for one's own.
fn account(config: &Config, exporter: Option<&Exporter>) -> Result<Option<Account>, Finding> {
    let chosen = match Account::choose(&config.privileges.user, &config.privileges.group) {
        Err(why @ PrivilegesError::NotRoot { .. }) => {
            return Err(Finding::unknown("rights", why.to_string()));
        }
        chosen => chosen.map_err(|why| {
            let mend =
                "make it (the package does: useradd --system), or name another in privileges";
            Finding::failed("rights", why.to_string(), mend)
        })?,
    };
    let running = exporter.and_then(|exporter| Account::of_process(*exporter.pids.first()?));
    match running {
        Some(running) if running.is_present() && !running.is_root() => Ok(None),
        Some(running) if rustix::process::geteuid().is_root() => Ok(Some(running)),
        Some(running) => Err(Finding::unknown(
            "rights",
            format!("the exporter runs with the user {running}, whose rights only root can try"),
        )),
        None => Ok(chosen),
    }
}

fn needs(flags: &Flags, config: &Config, runs: bool) -> Needs {
    let mirror = &config.mirror;
    let mut needs = Needs::default();
    needs.read.extend(config.files(flags));
    // What is wrong with it is told by a check of its own.
    needs.read.extend(Guard::open(&config.web.config_file).unwrap_or_default().files());
    let Ok(Some(target)) = config.mirror_target() else { return needs };
    if let Tls::Verified { roots: Some(file) } = &target.tls {
        needs.read.push(file.clone());
    }
    let spool = &mirror.spool.directory;
    // At its start the exporter makes it, or takes it over from root.
    let is_taken_over = |folder: &Path| {
        folder == spool && !runs && fs::metadata(folder).is_ok_and(|about| about.uid() == 0)
    };
    let mut folders = vec![spool.as_path()];
    if let Place::File(file) = &target.place {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        folders.push(folder);
        if file.exists() && !is_taken_over(folder) {
            needs.write.push(file.clone());
        }
    }
    let folders = folders.into_iter().filter(|folder| folder.exists() && !is_taken_over(folder));
    needs.write.extend(folders.map(Path::to_owned));
    needs
}

impl Needs {
    /// The first that this thread cannot reach, why, and what it should do with it. A file that is not
    /// there is no matter of rights.
    fn first_beyond(&self) -> Option<(&Path, io::Error, &'static str)> {
        let beyond = |outcome: io::Result<()>| {
            outcome.err().filter(|error| error.kind() != io::ErrorKind::NotFound)
        };
        let read = self.read.iter().find_map(|path| {
            let error = beyond(File::open(path).map(drop))?;
            Some((path.as_path(), error, "read"))
        });
        read.or_else(|| {
            self.write.iter().find_map(|path| {
                let mut access = Access::WRITE_OK;
                if path.is_dir() {
                    access |= Access::EXEC_OK;
                }
                let error = beyond(rustix::fs::access(path, access).map_err(io::Error::from))?;
                Some((path.as_path(), error, "write to"))
            })
        })
    }
}
