//! The file with the positions: two slots, written in turn, so that one is whole after a crash.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::saved_position::{SavedPosition, SpoolMark};
use crate::system::locked_file::{LockError, LockedFile};

/// Distance of the two slots; each has at most this size.
const SLOT: u64 = SLOT_LENGTH as u64;

const SLOT_LENGTH: usize = 4 << 20;

/// Marks a slot, with the version of the format.
const MAGIC: [u8; 8] = *b"nflgkl01";

/// Length of the header of a slot: magic, length and checksum.
const HEADER: usize = 16;

/// The open file; without one, positions are not saved.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    file: Option<LockedFile>,
    number: u64,
}

/// What a slot contains.
#[derive(Serialize, Deserialize)]
struct Slot<P> {
    /// Counts the writes: the higher one is the newer slot.
    number: u64,
    positions: P,
    /// The positions that hold once the spool has all rows before the mark.
    after_append: Option<(SpoolMark, P)>,
}

/// The content of an existing file.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub positions: Vec<SavedPosition>,
    /// When the positions were saved.
    pub time: Option<SystemTime>,
}

impl StateFile {
    /// No file.
    pub fn none() -> Self {
        Self { path: PathBuf::new(), file: None, number: 0 }
    }

    /// Opens or creates the file, for one exporter only. `has_spooled` returns whether an earlier run spooled all rows
    /// before a point.
    ///
    /// # Errors
    /// It cannot be opened, or another exporter uses it.
    pub fn open(path: &Path, has_spooled: &dyn Fn(SpoolMark) -> bool) -> io::Result<(Self, Saved)> {
        let file = LockedFile::new(create(path)?).map_err(|error| match error {
            LockError::Held(_) => {
                io::Error::other("another exporter uses it; set another kernel_log.state_file")
            }
            LockError::Io(error) => error,
        })?;
        let newest = [0, SLOT].into_iter().filter_map(|at| read_slot(&file, at));
        let newest = newest.max_by_key(|slot| slot.number);
        let time = newest.as_ref().and_then(|_| file.metadata().ok()?.modified().ok());
        let number = newest.as_ref().map_or(0, |slot| slot.number);
        let positions = newest.map(|slot| match slot.after_append {
            Some((mark, positions)) if has_spooled(mark) => positions,
            _ => slot.positions,
        });
        let positions = positions.unwrap_or_default();
        Ok((Self { path: path.into(), file: Some(file), number }, Saved { positions, time }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the positions, and those that hold once the spool has all rows before a mark.
    pub fn save(
        &mut self,
        positions: &[SavedPosition],
        after_append: Option<(SpoolMark, &[SavedPosition])>,
    ) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.number += 1;
        let mut bytes = MAGIC.to_vec();
        bytes.resize(HEADER, 0);
        let slot = Slot { number: self.number, positions, after_append };
        let mut bytes = postcard::to_extend(&slot, bytes).map_err(io::Error::other)?;
        if bytes.len() as u64 > SLOT {
            return Err(io::Error::other("too many files are followed"));
        }
        let length = u32::try_from(bytes.len() - HEADER).map_err(io::Error::other)?;
        let checksum = crc32fast::hash(&bytes[HEADER..]);
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        file.write_all_at(&bytes, self.number % 2 * SLOT)
    }
}

/// Opens the file, or creates it; before privileges are dropped, because the program's user may not be able to.
///
/// # Errors
/// It cannot be opened; or it is not a file of positions, which is an error of the kind `InvalidData`.
pub fn create(path: &Path) -> io::Result<File> {
    // Before it is opened, which can have side effects.
    match fs::symlink_metadata(path) {
        Ok(metadata) => only_own(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    only_own(&metadata)?;
    if has_positions(&file, metadata.len())? {
        return Ok(file);
    }
    Err(foreign("it is not empty and contains no positions"))
}

/// Rejects a link, a device, and a file that has another name too.
fn only_own(metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(foreign("it is not a regular file"));
    }
    // Without a link, it was removed since.
    if metadata.nlink() > 1 { Err(foreign("it has more than one hard link")) } else { Ok(()) }
}

fn foreign(why: &str) -> io::Error {
    let text = format!("{why}; set kernel_log.state_file to the path of a new file, or remove it");
    io::Error::new(ErrorKind::InvalidData, text)
}

/// Whether the file is empty or begins a slot with [`MAGIC`]. After a power failure, it can consist of zeros.
fn has_positions(file: &File, length: u64) -> io::Result<bool> {
    if length > 2 * SLOT {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.take(2 * SLOT).read_to_end(&mut bytes)?;
    let begins = |slot: &[u8]| slot.starts_with(&MAGIC);
    Ok(bytes.chunks(SLOT_LENGTH).any(begins) || bytes.iter().all(|byte| *byte == 0))
}

fn read_slot(file: &File, at: u64) -> Option<Slot<Vec<SavedPosition>>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, at).ok()?;
    let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let length = u64::from(number(8)?);
    if header[..8] != MAGIC || length > SLOT {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, at + HEADER as u64).ok()?;
    if crc32fast::hash(&bytes) != number(12)? {
        return None;
    }
    postcard::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel_log::follow::{fingerprint::FirstBytes, saved_position::FileKey};

    fn position(offset: u64) -> SavedPosition {
        SavedPosition {
            path: "/var/log/kern.log".into(),
            key: FileKey { device: 1, inode: 2 },
            first_bytes: FirstBytes::default(),
            offset,
        }
    }

    #[test]
    fn the_newest_whole_slot_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let (mut file, saved) = StateFile::open(&path, &|_| false).unwrap();
        assert!(saved.positions.is_empty() && saved.time.is_none());
        for offset in [7, 8, 9] {
            file.save(&[position(offset)], None).unwrap();
        }
        let error = StateFile::open(&path, &|_| false).unwrap_err().to_string();
        assert_eq!(error, "another exporter uses it; set another kernel_log.state_file");
        drop(file);
        let saved = |path: &Path| StateFile::open(path, &|_| false).unwrap().1.positions;
        assert_eq!(saved(&path), [position(9)]);
        // The third write was cut by a crash.
        let raw = OpenOptions::new().write(true).open(&path).unwrap();
        raw.write_all_at(b"x", SLOT + 20).unwrap();
        assert_eq!(saved(&path), [position(8)]);
        raw.write_all_at(b"x", 20).unwrap();
        assert!(saved(&path).is_empty());
    }

    #[test]
    fn only_a_file_of_positions_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let is_rejected = |path: &Path, why: &str| {
            let error = StateFile::open(path, &|_| false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert_eq!(
                error.to_string(),
                format!("{why}; set kernel_log.state_file to the path of a new file, or remove it")
            );
        };
        for text in ["root:x:0:0", "\0\0\0\0\0\0\0\0\0\0\0\0x"] {
            fs::write(path("text"), text).unwrap();
            is_rejected(&path("text"), "it is not empty and contains no positions");
            assert_eq!(fs::read_to_string(path("text")).unwrap(), text);
        }
        std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
        is_rejected(&path("link"), "it is not a regular file");
        is_rejected(directory.path(), "it is not a regular file");
        fs::write(path("one"), "").unwrap();
        fs::hard_link(path("one"), path("other")).unwrap();
        is_rejected(&path("one"), "it has more than one hard link");
        fs::write(path("zeros"), [0; 100]).unwrap();
        StateFile::open(&path("zeros"), &|_| false).unwrap();
        // Only the second slot was written.
        let open = || StateFile::open(&path("new"), &|_| false).unwrap();
        open().0.save(&[position(7)], None).unwrap();
        assert_eq!(open().1.positions, [position(7)]);
    }

    /// A kill between an append to the spool and the next save.
    #[test]
    fn the_spool_decides_which_positions_hold() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mark = SpoolMark { writer: [7; 16], end: 100 };
        let (mut file, _) = StateFile::open(&path, &|_| false).unwrap();
        file.save(&[position(7)], Some((mark, &[position(8)]))).unwrap();
        drop(file);
        for (spooled, offset) in [(99, 7), (100, 8), (101, 8)] {
            let has_spooled = |mark: SpoolMark| mark.writer == [7; 16] && mark.end <= spooled;
            let (_, saved) = StateFile::open(&path, &has_spooled).unwrap();
            assert_eq!(saved.positions, [position(offset)], "{spooled}");
        }
    }
}
