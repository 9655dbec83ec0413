//! When a file is rotated, and the names of rotated files: `FILE.1` is the newest one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Access, access};

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

    /// Whether files are rotated.
    fn is_on(&self) -> bool {
        self.size > 0 || !self.interval.is_zero()
    }

    /// Checks that a file can be rotated.
    ///
    /// # Errors
    /// Files are rotated, and the directory is not writable or the name of the newest rotated file is that of a directory.
    pub(super) fn check(&self, path: &Path) -> io::Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        if numbered(path, 1).is_dir() {
            return Err(io::Error::other(format!(
                "{} is a directory",
                numbered(path, 1).display()
            )));
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        access(directory, Access::WRITE_OK | Access::EXEC_OK)?;
        Ok(())
    }

    /// Renames a file and the rotated files before it, up to the first free number. Without one, the oldest file is replaced.
    /// Those of an earlier, higher limit are removed.
    ///
    /// # Errors
    /// A file cannot be renamed, for example because the directory is not writable. The number of the file before it is free
    /// then, so that a retry moves no older file on.
    pub(super) fn rotate(&self, path: &Path) -> io::Result<()> {
        let is_free = |number: &u32| fs::symlink_metadata(numbered(path, *number)).is_err();
        let last = (1..self.keep).find(is_free).unwrap_or(self.keep);
        for number in (1..last).rev() {
            rename(&numbered(path, number), &numbered(path, number + 1))?;
        }
        rename(path, &numbered(path, 1))?;
        // Without rotation, they can be another program's.
        if self.is_on() {
            let mut extra = (self.keep.saturating_add(1)..).map(|number| numbered(path, number));
            extra.find(|file| fs::remove_file(file).is_err());
        }
        Ok(())
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

    /// A mount point cannot be renamed, nor a file of another user in a directory with the sticky bit.
    #[test]
    fn a_retry_after_a_failure_keeps_older_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let rotation = Rotation { size: 0, interval: Duration::ZERO, keep: 4 };
        // As after a failure to rename `a.log.1`: the number after it is free.
        for (name, content) in [("", "5"), (".1", "4"), (".3", "3"), (".4", "2")] {
            fs::write(directory.path().join(format!("a.log{name}")), content).unwrap();
        }
        rotation.rotate(&path).unwrap();
        let read = |number| fs::read_to_string(numbered(&path, number)).ok();
        assert_eq!([1, 2, 3, 4].map(read), ["5", "4", "3", "2"].map(|it| Some(it.into())));
        // As after a failure to rename `a.log`.
        fs::remove_file(numbered(&path, 1)).unwrap();
        fs::write(&path, "6").unwrap();
        rotation.rotate(&path).unwrap();
        assert_eq!([1, 2, 3, 4].map(read), ["6", "4", "3", "2"].map(|it| Some(it.into())));
    }

    #[test]
    fn files_beyond_a_lower_limit_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        for (size, left) in [(0, 4), (1, 2)] {
            fs::write(&path, "").unwrap();
            for number in 1..5 {
                fs::write(numbered(&path, number), "").unwrap();
            }
            Rotation { size, interval: Duration::ZERO, keep: 2 }.rotate(&path).unwrap();
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), left);
        }
    }

    #[test]
    fn a_directory_in_the_way_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let rotation = Rotation { size: 1, interval: Duration::ZERO, keep: 2 };
        rotation.check(&path).unwrap();
        fs::create_dir(numbered(&path, 1)).unwrap();
        assert!(rotation.check(&path).is_err());
        Rotation { size: 0, ..rotation }.check(&path).unwrap();
        assert!(rotation.check(Path::new("/proc/1/a.log")).is_err());
    }

    #[test]
    fn periods_begin_at_multiples_of_the_interval() {
        let day = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
        assert_eq!([0, 86_399, 86_400].map(|time| day.period(time)), [0, 0, 1]);
        let none = Rotation { interval: Duration::ZERO, ..day };
        assert_eq!(none.period(86_400), 0);
    }
}
