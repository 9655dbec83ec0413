//! The slices on disk: one file for each tier, to which each new slice is appended.
//!
//! A file begins with [`MAGIC`]. Each record has the slice's number (u64), the length of its bytes (u32), a CRC-32 of
//! both and the bytes (u32), all little endian, and then the bytes. A file with twice the slices of its tier is replaced by
//! one with those that are kept.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    range::{SLICES, TIERS},
    tiers::Numbered,
};
use crate::system::locked_file::{LockError, LockedFile};

/// Marks a file, with the version of the format.
const MAGIC: &[u8; 8] = b"nflghs01";

/// Length of the header of a record.
const HEADER: usize = 16;

/// Maximum length of a slice: far more than one with the limits of a history takes.
const MAX_SLICE: usize = 1 << 20;

/// Maximum slices that are taken from a file, the last ones: as many as it has before it is replaced.
const MAX_RECORDS: usize = 2 * 1440;

/// Maximum length of a file that is read, bytes: far more than twice what all slices take in memory.
const MAX_FILE: u64 = 256 << 20;

/// The names of the files, by tier.
const NAMES: [&str; TIERS] = ["10s.slices", "1m.slices", "10m.slices", "1h.slices"];

/// The name of the file that one exporter locks.
const LOCK: &str = "lock";

/// Whether a name is that of a file of a history.
#[must_use]
pub fn is_history_file(name: &std::ffi::OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name == LOCK || NAMES.contains(&name.strip_suffix(NEW).unwrap_or(name))
}

/// Ends the name of a file that replaces another one.
const NEW: &str = ".new";

/// The files of a history, for one exporter.
#[derive(Debug)]
pub(super) struct HistoryFiles {
    directory: PathBuf,
    tiers: [TierFile; TIERS],
    _lock: LockedFile,
}

/// The slices of an earlier run.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub slices: [Vec<Numbered>; TIERS],
    /// Files of which a part was left out, because it was damaged.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct TierFile {
    /// `None` after an error: the file is then replaced.
    file: Option<File>,
    records: u64,
}

impl HistoryFiles {
    /// Opens the files in a directory, which is created if it is missing, and reads them.
    ///
    /// # Errors
    /// The directory cannot be used, or another exporter uses it.
    pub fn open(directory: &Path) -> io::Result<(Self, Loaded)> {
        fs::create_dir_all(directory)?;
        let lock = open(OpenOptions::new().write(true).create(true), &directory.join(LOCK))?;
        let lock = LockedFile::new(lock).map_err(|error| match error {
            LockError::Held(_) => {
                io::Error::other("another exporter uses it; set another history.directory")
            }
            LockError::Io(error) => error,
        })?;
        let mut loaded = Loaded::default();
        for (name, slices) in NAMES.into_iter().zip(&mut loaded.slices) {
            let path = directory.join(name);
            match read(&path) {
                Ok((read, damage)) => {
                    *slices = read;
                    if let Some(what) = damage {
                        loaded.damaged += 1;
                        tracing::warn!(file = %path.display(), what, "skipped a damaged part of the history");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    loaded.damaged += 1;
                    tracing::warn!(file = %path.display(), %error, "skipped a part of the history that cannot be read");
                }
            }
        }
        // All files are replaced when the first slice is written.
        Ok((Self { directory: directory.into(), tiers: Default::default(), _lock: lock }, loaded))
    }

    /// Adds a slice to the file of its tier. `kept` are all slices of the tier, also this one, for a file that has to be
    /// replaced. Returns whether it was: then the file has all of them.
    ///
    /// # Errors
    /// The file cannot be written. The next slice replaces it.
    pub fn add<'a>(
        &mut self,
        tier: usize,
        slice: &Numbered,
        kept: impl Iterator<Item = &'a Numbered>,
    ) -> io::Result<bool> {
        let file = &mut self.tiers[tier];
        match &mut file.file {
            Some(open) if file.records < 2 * SLICES[tier] => {
                let written = open.write_all(&record(slice));
                file.records += 1;
                if written.is_err() {
                    // It can end with a part of the record.
                    file.file = None;
                }
                written.map(|()| false)
            }
            _ => {
                file.file = None;
                *file = replace(&self.directory.join(NAMES[tier]), kept)?;
                Ok(true)
            }
        }
    }
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// The slices of a file, and what is damaged. A record at the end that is cut, as a kill leaves it, is no damage.
fn read(path: &Path) -> io::Result<(Vec<Numbered>, Option<&'static str>)> {
    let file = open(OpenOptions::new().read(true), path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        let is_cut = MAGIC.starts_with(&bytes);
        return Ok((Vec::new(), (!is_cut).then_some("unknown format or version")));
    };
    let mut slices = VecDeque::new();
    while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
        let [n0, n1, n2, n3, n4, n5, n6, n7, l0, l1, l2, l3, checksum @ ..] = *header;
        let number = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_SLICE {
            return Ok((slices.into(), Some("a record has an impossible length")));
        }
        let Some((bytes, after)) = after.split_at_checked(length) else { break };
        if crc(&header[..12], bytes) != u32::from_le_bytes(checksum) {
            return Ok((slices.into(), Some("a record has another checksum")));
        }
        slices.push_back(Numbered { number, bytes: bytes.into() });
        if slices.len() > MAX_RECORDS {
            slices.pop_front();
        }
        rest = after;
    }
    Ok((slices.into(), None))
}

/// Replaces a file by one with these slices. A reader finds the previous or the new one, also after a power failure.
fn replace<'a>(path: &Path, slices: impl Iterator<Item = &'a Numbered>) -> io::Result<TierFile> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = open(OpenOptions::new().append(true).create_new(true), &new)?;
    let mut writer = BufWriter::new(file);
    writer.write_all(MAGIC)?;
    let mut records = 0;
    for slice in slices {
        writer.write_all(&record(slice))?;
        records += 1;
    }
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(TierFile { file: Some(file), records })
}

fn record(slice: &Numbered) -> Vec<u8> {
    let mut record = slice.number.to_le_bytes().to_vec();
    // A slice has some ten kilobytes.
    record.extend(u32::try_from(slice.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend(crc(&record, &slice.bytes).to_le_bytes());
    record.extend_from_slice(&slice.bytes);
    record
}

fn crc(header: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(number: u64) -> Numbered {
        Numbered { number, bytes: vec![number.to_le_bytes()[0]; 10].into() }
    }

    /// Adds slices with these numbers to the first tier, as a run of the program does.
    fn run(directory: &Path, numbers: impl Iterator<Item = u64>) -> Loaded {
        let (mut files, mut loaded) = HistoryFiles::open(directory).unwrap();
        let found = loaded.slices[0].clone();
        for number in numbers {
            loaded.slices[0].push(slice(number));
            let _ = files.add(0, &slice(number), loaded.slices[0].iter()).unwrap();
        }
        loaded.slices[0] = found;
        loaded
    }

    fn numbers(loaded: &Loaded) -> Vec<u64> {
        loaded.slices[0].iter().map(|slice| slice.number).collect()
    }

    #[test]
    fn a_later_run_has_the_slices_of_the_earlier_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/history");
        assert_eq!(numbers(&run(&path, 1..4)), [0; 0]);
        assert_eq!(numbers(&run(&path, 4..6)), [1, 2, 3]);
        let loaded = run(&path, 6..6);
        assert_eq!((numbers(&loaded), loaded.damaged), (vec![1, 2, 3, 4, 5], 0));
        assert_eq!(loaded.slices[0][4], slice(5));
    }

    #[test]
    fn only_one_exporter_uses_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = HistoryFiles::open(directory.path()).unwrap();
        let error = HistoryFiles::open(directory.path()).unwrap_err().to_string();
        assert_eq!(error, "another exporter uses it; set another history.directory");
        drop(first);
        HistoryFiles::open(directory.path()).unwrap();
    }

    #[test]
    fn a_file_with_too_many_records_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (mut files, _) = HistoryFiles::open(directory.path()).unwrap();
        let size = || directory.path().join(NAMES[0]).metadata().unwrap().len();
        let limit = MAGIC.len() as u64 + 2 * SLICES[0] * 26;
        let mut was_full = false;
        for number in 0..5 * SLICES[0] {
            let kept: Vec<_> = (number.saturating_sub(SLICES[0] - 1)..=number).map(slice).collect();
            let _ = files.add(0, &slice(number), kept.iter()).unwrap();
            assert!(size() <= limit, "{}", size());
            was_full |= size() == limit;
        }
        assert!(was_full);
        drop(files);
        let kept = numbers(&run(directory.path(), 0..0));
        assert!(kept.ends_with(&(4 * SLICES[0]..5 * SLICES[0]).collect::<Vec<_>>()));
    }

    /// A kill leaves a part of the last record.
    #[test]
    fn a_cut_record_is_left_out_and_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), 1..4);
        let path = directory.path().join(NAMES[0]);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let loaded = run(directory.path(), 0..0);
            let expect = length.saturating_sub(MAGIC.len()) / 26;
            assert_eq!((loaded.slices[0].len(), loaded.damaged), (expect, 0), "{length} bytes");
        }
    }

    #[test]
    fn a_damaged_record_and_what_follows_are_left_out_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), 1..4);
        let path = directory.path().join(NAMES[0]);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            fs::write(&path, &bytes).unwrap();
            let loaded = run(directory.path(), 0..0);
            let before = at.saturating_sub(MAGIC.len()) / 26;
            // A length that exceeds the file is a cut record.
            assert!(loaded.slices[0].len() <= before.max(2), "byte {at}");
            assert_eq!(numbers(&loaded), (1..4).take(before).collect::<Vec<_>>(), "byte {at}");
        }
        // The next slice replaces the file.
        assert_eq!(run(directory.path(), 9..10).damaged, 1);
        let loaded = run(directory.path(), 0..0);
        assert_eq!((numbers(&loaded), loaded.damaged), (vec![1, 2, 9], 0));
    }

    #[test]
    fn what_is_no_file_is_left_out_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(NAMES[1])).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join(NAMES[2])).unwrap();
        fs::write(directory.path().join(NAMES[3]), "text").unwrap();
        assert_eq!(run(directory.path(), 0..0).damaged, 3);
    }
}
