//! What is wrong with the disk, and how to mend it.

use std::{io, path::Path};

use rustix::io::Errno;

/// Says what could not be done in the spool's folder, why, and what helps.
#[must_use]
pub fn explain(what: &str, folder: &Path, error: &io::Error) -> String {
    let folder = folder.display();
    let elsewhere = "or set mirror.spool.directory to another folder";
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => format!(
            "no space left on the file system of {folder}: free some, or lower mirror.spool.max_size"
        ),
        Some(Errno::ROFS) => {
            format!(
                "the file system of {folder} is read-only: mount it for writing (ReadWritePaths= in a \
                 systemd unit), {elsewhere}"
            )
        }
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "no permission to {what} in {folder}: give the folder to the user that runs \
             nflog_exporter (chown, mode 0700), restart it if the folder was replaced while it \
             ran, {elsewhere}"
        ),
        Some(Errno::NOTDIR | Errno::EXIST) => {
            format!("{folder} is not a folder: move away what is there, {elsewhere}")
        }
        Some(Errno::NOENT) => format!("{folder} is missing: make it, {elsewhere}"),
        Some(Errno::IO) => format!(
            "the disk under {folder} fails (cannot {what}: {error}): see the kernel's log, \
             {elsewhere}"
        ),
        Some(Errno::MFILE | Errno::NFILE) => format!(
            "cannot {what} in {folder}: {error}: raise the limit of open files (LimitNOFILE)"
        ),
        _ => format!("cannot {what} in {folder}: {error}: mend that, {elsewhere}"),
    }
}
