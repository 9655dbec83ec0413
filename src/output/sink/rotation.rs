//! When a file is rotated, and the names of rotated files: `FILE.1` is the newest one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// When a file is rotated, and how many rotated files are kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::output) struct Rotation {
    /// Maximum size of a file, bytes; 0 for no limit.
    pub(in crate::output) size: u64,
    /// Length of the periods in UTC, each of which has files of its own; zero for one period.
    pub(in crate::output) interval: Duration,
    /// Maximum number of rotated files.
    pub(in crate::output) keep: u32,
}

impl Rotation {
    /// The number of the period that includes a time, in seconds since 1970.
    pub(super) fn period(&self, seconds: u64) -> u64 {
        seconds.checked_div(self.interval.as_secs()).unwrap_or_default()
    }

    /// Renames a file and the rotated files before it. The oldest one is replaced.
    ///
    /// # Errors
    /// A file cannot be renamed, for example because the directory is not writable.
    pub(super) fn rotate(&self, path: &Path) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename(&numbered(path, number), &numbered(path, number + 1))?;
        }
        rename(path, &numbered(path, 1))
    }
}

/// Renames a file, if there is one.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let rotation = Rotation { size: 0, interval: Duration::ZERO, keep: 3 };
        for content in ["1", "2", "3", "4", "5"] {
            fs::write(&path, content).unwrap();
            rotation.rotate(&path).unwrap();
        }
        let read = |number| fs::read_to_string(numbered(&path, number)).ok();
        let contents = [1, 2, 3, 4].map(read);
        assert_eq!(contents, [Some("5".into()), Some("4".into()), Some("3".into()), None]);
        assert!(!path.exists());
    }

    #[test]
    fn periods_begin_at_multiples_of_the_interval() {
        let day = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
        assert_eq!([0, 86_399, 86_400].map(|time| day.period(time)), [0, 0, 1]);
        let none = Rotation { interval: Duration::ZERO, ..day };
        assert_eq!(none.period(86_400), 0);
    }
}
