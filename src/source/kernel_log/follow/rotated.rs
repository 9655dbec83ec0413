//! Finds rotated files: `kern.log.1`, `kern.log-20261203`.

use std::{
    cell::OnceCell,
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    fingerprint::{FirstBytes, start_of},
    saved_position::{FileKey, SavedPosition},
};
use crate::{
    sort::sort_by_key,
    system::files::{open_regular, open_regular_without_link},
};

/// How often a directory is listed again until nothing moved meanwhile.
const MAX_LISTS: usize = 8;

/// Maximum number of compressed files of a path: a hundred days, one a day.
const MAX_COMPRESSED: usize = 100;

/// A rotated file.
#[derive(Debug)]
pub(super) struct RotatedFile {
    pub path: PathBuf,
    pub file: fs::File,
    pub key: FileKey,
    length: u64,
    modified: SystemTime,
    /// Its first bytes, once they were read.
    start: OnceCell<Vec<u8>>,
}

/// The rotated files of a path that are not compressed, the oldest first.
pub(super) fn rotated_files(path: &Path) -> Vec<RotatedFile> {
    // A file that is renamed while the directory is read can be missing from the list, or be in it twice.
    let mut files = list(path);
    for _ in 0..MAX_LISTS {
        let again = list(path);
        let is_stable = files.iter().map(|file| file.key).eq(again.iter().map(|file| file.key));
        files = again;
        if is_stable {
            break;
        }
    }
    files
}

/// The compressed rotated files of a path, the oldest first; at most [`MAX_COMPRESSED`], the newest.
pub(super) fn compressed_files(path: &Path) -> Vec<RotatedFile> {
    let mut files = list_with(path, is_compressed_suffix);
    files.drain(..files.len().saturating_sub(MAX_COMPRESSED));
    files
}

fn list(path: &Path) -> Vec<RotatedFile> {
    list_with(path, is_suffix)
}

fn list_with(path: &Path, is_rest: impl Fn(&[u8]) -> bool) -> Vec<RotatedFile> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_rotated = |other: &[u8]| other.strip_prefix(name.as_bytes()).is_some_and(&is_rest);
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_rotated(entry.file_name().as_bytes()))
        .filter_map(|entry| open_without_link(&entry.path()))
        .collect();
    sort_by_key(&mut files, |file| (file.modified, file.key.inode));
    files
}

/// As [`is_suffix`], of a compressed file.
fn is_compressed_suffix(rest: &[u8]) -> bool {
    let endings: [&[u8]; 4] = [b".gz", b".xz", b".zst", b".bz2"];
    endings.iter().any(|ending| rest.strip_suffix(*ending).is_some_and(is_suffix))
}

/// Whether the rest of a name is that of a rotated file: a number or a date, so that a copy of another name is not counted.
fn is_suffix(rest: &[u8]) -> bool {
    matches!(rest, [b'.' | b'-', _, ..])
        && rest[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}

/// The paths that a file can have had before it was rotated.
pub(super) fn live_paths(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let lengths = (1..name.len()).filter(|length| is_suffix(&name[*length..]));
    lengths.map(|length| path.with_file_name(OsStr::from_bytes(&name[..length]))).collect()
}

/// The file at a path, if it is a regular file that can be read.
pub(super) fn open(path: &Path) -> Option<RotatedFile> {
    with_metadata(path, open_regular(path))
}

/// The file at a path that was found in a directory: never the target of a link.
pub(super) fn open_without_link(path: &Path) -> Option<RotatedFile> {
    with_metadata(path, open_regular_without_link(path))
}

fn with_metadata(path: &Path, opened: io::Result<(fs::File, Metadata)>) -> Option<RotatedFile> {
    let (file, metadata) = opened.ok()?;
    Some(RotatedFile {
        path: path.into(),
        file,
        key: FileKey::of(&metadata),
        length: metadata.len(),
        modified: metadata.modified().ok()?,
        start: OnceCell::new(),
    })
}

impl RotatedFile {
    /// Whether this is the file of a position, or a copy of it.
    pub fn has(&self, position: &SavedPosition) -> bool {
        let is_same = self.length >= position.offset
            && position.first_bytes.grown(&self.file).is_ok_and(|first| first.is_some());
        // Any file begins with no bytes.
        is_same && (self.key == position.key || !position.first_bytes.is_weak())
    }

    /// Whether this is another file, which was not written last before the other one.
    pub fn is_newer(&self, other: &Self) -> bool {
        self.key != other.key && self.modified >= other.modified
    }

    /// The first bytes; empty if they cannot be read.
    pub fn start(&self) -> &[u8] {
        self.start.get_or_init(|| start_of(&self.file).unwrap_or_default())
    }

    /// Whether it has too few bytes to be distinguished from another file.
    pub fn is_weak(&self) -> bool {
        FirstBytes::new(self.start()).is_weak()
    }

    /// Whether the content is the one of these first bytes.
    pub fn begins_with(&self, first_bytes: FirstBytes) -> bool {
        // Any file begins with no bytes.
        !first_bytes.is_weak() && first_bytes.begin(self.start())
    }

    /// Whether another file, with these first bytes when it was read, has this content, and maybe more.
    pub fn is_start_of(&self, other: &fs::File, first_bytes: FirstBytes) -> bool {
        let own = FirstBytes::new(self.start());
        // Without reading the other file, if its first bytes do not change.
        if own.is_full() && first_bytes.is_full() {
            return own == first_bytes;
        }
        !own.is_weak() && own.grown(other).is_ok_and(|first| first.is_some())
    }
}
