//! Whether the user that the exporter runs with can reach its files: root, who asks, always can.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;

use super::{Finding, exporter::Exporter};
use crate::{
    config::{Config, Flags},
    http::WebConfigWatcher,
    mirror::target::{Endpoint, Tls},
    system::files::open_regular,
    system::privileges::{Account, PrivilegesError, with_rights_of},
};

/// What the exporter has to reach.
#[derive(Default)]
struct Needs {
    /// Files that are read, now and at each reload.
    read: Vec<PathBuf>,
    /// Files and directories that are written to.
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
                "the exporter runs as {user}, which cannot {doing} {}: {error}",
                path.display()
            );
            let fix = match doing {
                "read" => {
                    "let its group read the file (chgrp, chmod g+r), and enter the directories above"
                }
                _ => {
                    "give it the file or directory (chown), and let it enter the directories above"
                }
            };
            Finding::failed("rights", what, fix)
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
            let fix = "make it (the package does: useradd --system), or name another in privileges";
            Finding::failed("rights", why.to_string(), fix)
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

/// The files that the exporter reads at its start, and at a reload.
pub(super) fn read_files(flags: &Flags, config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config.files(flags).collect();
    // A check of its own reports what is wrong with it.
    files.extend(WebConfigWatcher::open(&config.web.config_file).unwrap_or_default().files());
    if let Ok(Some(target)) = config.mirror_target()
        && let Tls::Verified { roots: Some(file) } = target.tls
    {
        files.push(file);
    }
    files
}

/// The directories that the exporter writes to, there yet or not.
pub(super) fn written_directories(config: &Config) -> Vec<PathBuf> {
    let Ok(Some(target)) = config.mirror_target() else { return Vec::new() };
    let mut directories = vec![config.mirror.spool.directory.clone()];
    if let Endpoint::File(file) = &target.endpoint {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        directories.push(parent.unwrap_or(Path::new(".")).to_owned());
    }
    directories
}

fn needs(flags: &Flags, config: &Config, runs: bool) -> Needs {
    let mut needs = Needs { read: read_files(flags, config), write: Vec::new() };
    let spool = &config.mirror.spool.directory;
    // At its start the exporter makes it, or takes it over from root.
    let is_taken_over = |directory: &Path| {
        directory == spool && !runs && fs::metadata(directory).is_ok_and(|about| about.uid() == 0)
    };
    let mut directories = written_directories(config);
    directories.retain(|directory| directory.exists() && !is_taken_over(directory));
    if let Ok(Some(target)) = config.mirror_target()
        && let Endpoint::File(file) = &target.endpoint
        && file.exists()
        && !file.parent().is_some_and(is_taken_over)
    {
        needs.write.push(file.clone());
    }
    needs.write.extend(directories);
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
            let error = beyond(open_regular(path).map(drop))?;
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
