//! Explains an I/O error of the spool, and how to fix it.

use std::{io, path::Path};

use rustix::io::Errno;

/// Describes what failed in the spool's directory, why, and the fix.
#[must_use]
pub fn explain(what: &str, directory: &Path, error: &io::Error) -> String {
    let directory = directory.display();
    let elsewhere = "or set mirror.spool.directory to another directory";
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => format!(
            "no space left on the file system of {directory}: free some, or lower mirror.spool.max_size"
        ),
        Some(Errno::ROFS) => {
            format!(
                "the file system of {directory} is read-only: mount it for writing (ReadWritePaths= in a \
                 systemd unit), {elsewhere}"
            )
        }
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "no permission to {what} in {directory}: make the user that runs nflog_exporter its owner \
             (chown -R {} {directory}), restart it if the directory was replaced while it ran, {elsewhere}",
            rustix::process::geteuid().as_raw()
        ),
        Some(Errno::NOTDIR | Errno::EXIST) => {
            format!("{directory} is not a directory: move it away, {elsewhere}")
        }
        Some(Errno::NOENT) => format!("{directory} is missing: create it, {elsewhere}"),
        Some(Errno::IO) => format!(
            "the disk of {directory} fails (cannot {what}: {error}): see the kernel's log, {elsewhere}"
        ),
        Some(Errno::MFILE | Errno::NFILE) => format!(
            "cannot {what} in {directory}: {error}: raise the limit of open files (LimitNOFILE)"
        ),
        _ => format!("cannot {what} in {directory}: {error}: fix that, {elsewhere}"),
    }
}
