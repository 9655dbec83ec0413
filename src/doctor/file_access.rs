//! Checks whether the exporter's user can access its files. Root can access all, so the check changes the user.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group};
use rustix::fs::Access;

use super::{Finding, running_exporter::RunningExporter};
use crate::{
    config::{Config, Flags},
    http::WebConfigWatcher,
    mirror::target::Tls,
    source::kernel_log::Pattern,
    system::files::open_regular,
    system::privileges::{PrivilegesError, UserAccount, with_rights_of},
};

/// The files that the exporter must be able to access.
#[derive(Default)]
struct RequiredFiles {
    /// Files read at the start and at each reload.
    read: Vec<PathBuf>,
    /// Files and directories written to.
    write: Vec<PathBuf>,
}

/// Checks the access of the running exporter's user; otherwise of `service`, the account of the unit; otherwise of the
/// configured one.
pub(super) fn check(
    flags: &Flags,
    config: &Config,
    exporter: Option<&RunningExporter>,
    service: Option<UserAccount>,
) -> Finding {
    let account = match account(config, exporter, service) {
        Ok(account) => account,
        Err(finding) => return finding,
    };
    let files = required_files(flags, config, exporter.is_some());
    let user =
        account.as_ref().map_or_else(|| "this user".into(), |user| format!("the user {user}"));
    match with_rights_of(account.as_ref(), || files.first_inaccessible()) {
        Ok(None) => Finding::ok("rights", format!("{user} can access all files")),
        Ok(Some((path, error, doing))) => {
            let what = format!(
                "the exporter runs as {user}, which cannot {doing} {}: {error}",
                path.display()
            );
            let fix = match doing {
                _ if config.output.files().any(|file| file.parent() == Some(path)) => {
                    "make the user the owner of the directory (chown), or set rotate_size and rotate_interval of the output \
                     to 0 and rotate its file with logrotate"
                        .into()
                }
                "read" => fix_of_log_file(config, path, account.as_ref()).unwrap_or_else(|| {
                    "make the file readable by its group (chgrp, chmod g+r), and its parent directories accessible"
                        .into()
                }),
                _ => {
                    "make it the owner of the file or directory (chown), and the parent directories accessible"
                        .into()
                }
            };
            Finding::failed("rights", what, fix)
        }
        // The exporter does run as that user.
        Err(why) if exporter.is_some() => Finding::unknown("rights", why.to_string()),
        Err(why) => Finding::failed("rights", why.to_string(), "check privileges.user"),
    }
}

/// How to make a log file readable that its group can read; `None` for other files.
fn fix_of_log_file(config: &Config, path: &Path, account: Option<&UserAccount>) -> Option<String> {
    let is_log = |pattern: &Pattern| pattern.files().iter().any(|file| file == path);
    if !config.kernel_log.patterns().iter().any(is_log) {
        return None;
    }
    let about = fs::metadata(path).ok().filter(|about| about.mode() & 0o040 != 0)?;
    // Root's group can read more than logs.
    let number = Some(about.gid()).filter(|group| *group != 0)?;
    let group = Group::from_gid(Gid::from_raw(number)).ok().flatten();
    let group = group.map_or_else(|| number.to_string(), |group| group.name);
    let user = account.map_or_else(|| "USER".into(), ToString::to_string);
    Some(format!(
        "add the user to the group of the file: usermod -aG {group} {user}; then restart the exporter"
    ))
}

/// The account whose access is checked; `None` for the current one. Started as root, the exporter joins the groups of its
/// log files.
fn account(
    config: &Config,
    exporter: Option<&RunningExporter>,
    service: Option<UserAccount>,
) -> Result<Option<UserAccount>, Finding> {
    let chosen = match UserAccount::choose(&config.privileges.user, &config.privileges.group) {
        Err(why @ PrivilegesError::NotRoot { .. }) => {
            return Err(Finding::unknown("rights", why.to_string()));
        }
        chosen => chosen.map_err(|why| {
            let fix =
                "create it (useradd --system; the packages do), or configure another in privileges";
            Finding::failed("rights", why.to_string(), fix)
        })?,
    };
    let running = exporter.and_then(|exporter| UserAccount::of_process(*exporter.pids.first()?));
    match running {
        Some(running) if running.is_current() && !running.is_root() => Ok(None),
        Some(running) if rustix::process::geteuid().is_root() => Ok(Some(running)),
        Some(running) => Err(Finding::unknown(
            "rights",
            format!("the exporter runs as the user {running}, whose access only root can check"),
        )),
        None => Ok(chosen.map(|chosen| {
            let joins = || chosen.with_groups(config.kernel_log.reader_groups());
            service.unwrap_or_else(joins)
        })),
    }
}

/// The files that the exporter reads at its start and at each reload.
pub(super) fn read_files(flags: &Flags, config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config.files(flags).collect();
    // Errors are reported by the check `web_config`.
    files.extend(WebConfigWatcher::open(&config.web.config_file).unwrap_or_default().files());
    if let Ok(Some(servers)) = config.mirror_servers()
        && let Tls::Verified { roots: Some(file) } = &servers.at(0).tls
    {
        files.push(file.clone());
    }
    files.extend(config.kernel_log.patterns().iter().flat_map(Pattern::files));
    files
}

/// The directories that the exporter writes to, including those that do not exist yet.
pub(super) fn written_directories(config: &Config) -> Vec<PathBuf> {
    let log = &config.kernel_log;
    let state = log.state_file.parent().filter(|_| !log.patterns().is_empty());
    let history = config.history.directory();
    let outputs = config.output.files().filter_map(Path::parent);
    let directories = state.into_iter().chain(outputs).map(Path::to_owned);
    directories.chain(history).chain(mirror_directories(config)).collect()
}

/// The files of outputs, and the directories in which they are rotated. At its start as root, the exporter creates missing
/// files, and makes its user the owner of a directory that only root can access.
fn output_files(config: &Config, runs: bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for output in &*config.output {
        let Some(file) = output.target.file() else { continue };
        let Some(directory) = file.parent() else { continue };
        let Ok(about) = fs::metadata(directory) else { continue };
        if !runs && about.uid() == 0 && about.mode() & 0o777 == 0o700 {
            continue;
        }
        files.extend(file.exists().then(|| file.to_owned()));
        files.extend(output.rotates().then(|| directory.to_owned()));
    }
    files
}

fn mirror_directories(config: &Config) -> Vec<PathBuf> {
    let Ok(Some(servers)) = config.mirror_servers() else { return Vec::new() };
    let mut directories = vec![config.mirror.spool.directory.clone()];
    if let Some(file) = servers.file() {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        directories.push(parent.unwrap_or(Path::new(".")).to_owned());
    }
    directories
}

fn required_files(flags: &Flags, config: &Config, runs: bool) -> RequiredFiles {
    let mut required = RequiredFiles { read: read_files(flags, config), write: Vec::new() };
    let spool = &config.mirror.spool.directory;
    let state = config.kernel_log.state_file.parent();
    // At its start the exporter creates the directory, or changes its owner from root.
    let is_taken_over = |directory: &Path| {
        (directory == spool || Some(directory) == state)
            && !runs
            && fs::metadata(directory).is_ok_and(|about| about.uid() == 0)
    };
    let log = &config.kernel_log;
    // Its directory is not written.
    if !log.patterns().is_empty()
        && fs::metadata(&log.state_file).is_ok_and(|about| runs || about.uid() != 0)
    {
        required.write.push(log.state_file.clone());
    }
    let mut directories = mirror_directories(config);
    directories.retain(|directory| directory.exists() && !is_taken_over(directory));
    if let Ok(Some(servers)) = config.mirror_servers()
        && let Some(file) = servers.file()
        && file.exists()
        && !file.parent().is_some_and(is_taken_over)
    {
        required.write.push(file.to_owned());
    }
    required.write.extend(directories);
    required.write.extend(output_files(config, runs));
    required
}

impl RequiredFiles {
    /// The first file that this thread cannot access, the error, and the operation. A missing file is not an
    /// error here.
    fn first_inaccessible(&self) -> Option<(&Path, io::Error, &'static str)> {
        let denied = |outcome: io::Result<()>| {
            outcome.err().filter(|error| error.kind() != io::ErrorKind::NotFound)
        };
        let read = self.read.iter().find_map(|path| {
            let error = denied(open_regular(path).map(drop))?;
            Some((path.as_path(), error, "read"))
        });
        read.or_else(|| {
            self.write.iter().find_map(|path| {
                let mut access = Access::WRITE_OK;
                if path.is_dir() {
                    access |= Access::EXEC_OK;
                }
                let error = denied(rustix::fs::access(path, access).map_err(io::Error::from))?;
                Some((path.as_path(), error, "write to"))
            })
        })
    }
}
