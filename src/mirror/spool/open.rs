//! Opens the spool's files, readable by their owner only.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a file for reading and writing; creates it if it is missing.
pub fn open_file(path: &Path) -> io::Result<File> {
    options().write(true).create(true).truncate(false).open(path)
}

/// Creates a file, which must not exist.
pub fn create_file(path: &Path) -> io::Result<File> {
    options().write(true).create_new(true).open(path)
}

/// Opens a file for reading.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    options().open(path)
}

/// If the path is a link or a pipe, opening it fails or does not block.
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are positive")]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    options
}
