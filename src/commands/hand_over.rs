//! Makes the program's user the owner of the files and directories that the program writes.

use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use anyhow::anyhow;

use super::directories::directory_of;
use crate::{
    config::Config,
    history::is_history_file,
    mirror::{spool::is_spool_file, target::Servers},
    source::kernel_log::create_state_file,
    system::privileges::{self, PrivilegesError, UserAccount},
};

/// Creates the exporter's own directories and changes their owner to the account. Does not change a directory that
/// another user owns, or that has files of others.
pub(super) fn hand_over(
    config: &Config,
    servers: Option<&Servers>,
    account: Option<&UserAccount>,
) -> Result<(), PrivilegesError> {
    let state = state_file(config);
    let rows = servers.and_then(Servers::file);
    // They can share a directory.
    let is_own = |name: &OsStr| {
        is_spool_file(name)
            || is_history_file(name)
            || state.is_some_and(|file| file.file_name() == Some(name))
            || rows.is_some_and(|file| is_database_file(file, name))
            || config.output.files().any(|file| is_output_file(file, name))
    };
    if servers.is_some() {
        privileges::hand_over(&config.mirror.spool.directory, account, &is_own)?;
    }
    if let Some(directory) = config.history.directory() {
        privileges::hand_over(&directory, account, &is_own)?;
    }
    for file in state.into_iter().chain(rows).chain(config.output.files()) {
        hand_over_directory_of(file, account, &is_own)?;
    }
    Ok(())
}

/// Whether a name is that of a SQLite database or of its journals.
fn is_database_file(database: &Path, name: &OsStr) -> bool {
    let database = database.file_name().unwrap_or_default().as_bytes();
    let journal = name.as_bytes().strip_prefix(database);
    matches!(journal, Some(b"" | b"-wal" | b"-shm" | b"-journal"))
}

/// Whether a name is that of an output's file, or of a rotated one.
fn is_output_file(output: &Path, name: &OsStr) -> bool {
    let output = output.file_name().unwrap_or_default().as_bytes();
    let number = name.as_bytes().strip_prefix(output);
    number.is_some_and(|number| {
        number.is_empty()
            || number.strip_prefix(b".").is_some_and(|it| it.iter().all(u8::is_ascii_digit))
    })
}

/// Creates the missing files of outputs for the account, which may not be able to create them in their directories. An
/// existing file stays as it is.
pub(super) fn hand_over_outputs(
    config: &Config,
    account: Option<&UserAccount>,
) -> Result<(), PrivilegesError> {
    let Some(account) = account else { return Ok(()) };
    for path in config.output.files() {
        let mut options = fs::OpenOptions::new();
        let create = options.write(true).create_new(true).mode(0o640).open(path);
        // The output logs that its file cannot be opened, and why.
        if let Ok(file) = create {
            privileges::hand_over_file(&file, path, account)?;
        }
    }
    Ok(())
}

/// Creates the directory of a file for the account. An existing one stays as it is, because it may have other users;
/// unless only root can reach it and it has only files of the program, which an earlier start as root wrote.
fn hand_over_directory_of(
    file: &Path,
    account: Option<&UserAccount>,
    is_own: &dyn Fn(&OsStr) -> bool,
) -> Result<(), PrivilegesError> {
    let directory = directory_of(file);
    let Ok(metadata) = directory.metadata() else {
        return privileges::hand_over(&directory, account, is_own);
    };
    let entries = || fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
    let is_private = metadata.mode() & 0o777 == 0o700 && file.exists();
    if is_private && entries().all(|entry| is_own(&entry.file_name())) {
        return privileges::hand_over(&directory, account, is_own);
    }
    Ok(())
}

/// The file of the positions in followed log files, if any are followed.
pub(super) fn state_file(config: &Config) -> Option<&Path> {
    let log = &config.kernel_log;
    (!log.patterns().is_empty()).then_some(&log.state_file)
}

/// Creates the file of the positions, and changes its owner to the account, which may not be able to create it.
pub(super) fn hand_over_state(
    config: &Config,
    account: Option<&UserAccount>,
) -> anyhow::Result<()> {
    let Some(path) = state_file(config) else { return Ok(()) };
    match (create_state_file(path), account) {
        // It is somebody else's.
        (Err(error), _) if error.kind() == ErrorKind::InvalidData => {
            let path = path.display();
            Err(anyhow!("cannot keep the positions in the followed log files in {path}: {error}"))
        }
        (Ok(file), Some(account)) => Ok(privileges::hand_over_file(&file, path, account)?),
        // The follower logs that positions are not kept, and why.
        (Ok(_) | Err(_), _) => Ok(()),
    }
}
