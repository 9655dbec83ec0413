//! A file that grows by whole rows, and is rotated.

mod content;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::{Duration, Instant},
};

pub(in crate::output) use content::FileContent;

use super::{Rotation, Sink, WriteProgress, write_most};
use crate::{
    output::records::Records,
    system::{clock::unix_micros, logging::ConditionLog},
};

/// Time after which a rotation that failed is tried again.
const ROTATION_PAUSE: Duration = Duration::from_secs(60);

/// A file that grows by whole rows, and is rotated.
pub(in crate::output) struct FileSink {
    path: PathBuf,
    rotation: Rotation,
    content: FileContent,
    open: Option<OpenFile>,
    /// When the last rotation failed, if it did.
    rotation_failed: Option<Instant>,
    rotation_log: ConditionLog,
}

struct OpenFile {
    file: File,
    /// The period of its first rows.
    period: u64,
}

impl FileSink {
    pub(in crate::output) fn new(path: PathBuf, rotation: Rotation, content: FileContent) -> Self {
        Self {
            path,
            rotation,
            content,
            open: None,
            rotation_failed: None,
            rotation_log: ConditionLog::new("output"),
        }
    }

    fn period(&self) -> u64 {
        self.rotation.period(unix_micros() / 1_000_000)
    }

    /// Opens the file for appending, and creates it if it is missing.
    fn open_file(&self) -> io::Result<OpenFile> {
        let file = self.open_regular()?;
        let metadata = file.metadata()?;
        if metadata.len() > 0 && !self.content.repair(&file)? {
            self.rotation.rotate(&self.path)?;
            let file = self.open_regular()?;
            return self.begin(file);
        }
        if file.metadata()?.len() == 0 {
            return self.begin(file);
        }
        let modified = u64::try_from(metadata.mtime()).unwrap_or_default();
        Ok(OpenFile { file, period: self.rotation.period(modified) })
    }

    fn open_regular(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // Opening a named pipe would wait for its reader.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(flags)
            .open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(file)
    }

    /// Writes the header of an empty file.
    fn begin(&self, mut file: File) -> io::Result<OpenFile> {
        self.write_header(&mut file)?;
        Ok(OpenFile { file, period: self.period() })
    }

    fn write_header(&self, file: &mut File) -> io::Result<()> {
        if let (_, Some(error)) = write_most(file, self.content.header()) {
            file.set_len(0)?;
            return Err(error);
        }
        Ok(())
    }

    /// Rotates the file if it is full, or if its period is over. Returns the number of bytes that fit. A file that cannot be
    /// rotated continues.
    fn make_room(&mut self, next: u64) -> io::Result<u64> {
        self.open()?;
        let (now, header) = (self.period(), self.content.header().len() as u64);
        let Some(mut open) = self.open.take() else { return Ok(0) };
        let mut size = open.file.metadata().map_err(|error| self.at_path(&error))?.len();
        if size == 0 {
            // Another program truncated it, such as logrotate with `copytruncate`.
            self.write_header(&mut open.file).map_err(|error| self.at_path(&error))?;
            size = header;
        }
        let is_empty = size <= header;
        if is_empty {
            open.period = now;
        }
        let is_over = open.period != now;
        self.open = Some(open);
        let limit = match self.rotation.size {
            0 => u64::MAX,
            limit => limit,
        };
        let is_full = size.saturating_add(next) > limit && !is_empty;
        if !is_full && !is_over {
            return Ok(limit.saturating_sub(size).max(next));
        }
        if self.rotation_failed.is_some_and(|failed| failed.elapsed() < ROTATION_PAUSE) {
            return Ok(u64::MAX);
        }
        if let Err(error) = self.rotation.rotate(&self.path) {
            self.rotation_failed = Some(Instant::now());
            self.report_no_rotation(&error);
            return Ok(u64::MAX);
        }
        self.rotation_failed = None;
        let path = self.path.display();
        self.rotation_log.resolve(&format!("output: {path} is rotated again"));
        self.open = None;
        self.open()?;
        Ok(limit.saturating_sub(header).max(next))
    }

    fn report_no_rotation(&mut self, error: &io::Error) {
        self.rotation_log.report(&format!(
            "{} cannot be rotated, so it grows without limit: {error}; let the program's user write to its directory, and \
             leave its name with .1 and so on to the program, or set rotate_size and rotate_interval to 0 and rotate it \
             with logrotate",
            self.path.display()
        ));
    }

    /// The error with the path.
    fn at_path(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    /// Writes the rows that fit into the current file.
    fn write_some(&mut self, records: &Records) -> Result<usize, (usize, io::Error)> {
        let next = records.iter().next().map_or(0, <[u8]>::len);
        let room = self.make_room(next as u64).map_err(|error| (0, error))?;
        let (rows, length) = records.whole(usize::try_from(room).unwrap_or(usize::MAX));
        let Some(open) = &mut self.open else { return Ok(0) };
        let before = match open.file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => return Err((0, self.at_path(&error))),
        };
        let (written, failure) = write_most(&mut open.file, &records.bytes()[..length]);
        let Some(error) = failure else { return Ok(rows) };
        let (whole_rows, whole) = records.whole(written);
        let is_ours = open.file.metadata().is_ok_and(|file| file.len() == before + written as u64);
        if written > whole && is_ours && open.file.set_len(before + whole as u64).is_err() {
            // The next opening repairs it.
            self.open = None;
        }
        Err((whole_rows, self.at_path(&error)))
    }
}

impl Sink for FileSink {
    fn open(&mut self) -> io::Result<()> {
        // A file that was deleted takes no more rows.
        let is_deleted = |open: &OpenFile| open.file.metadata().is_ok_and(|file| file.nlink() == 0);
        if self.open.as_ref().is_none_or(is_deleted) {
            self.open = None;
            self.open = Some(self.open_file().map_err(|error| self.at_path(&error))?);
            if let Err(error) = self.rotation.check(&self.path) {
                self.report_no_rotation(&error);
            }
        }
        Ok(())
    }

    fn write(&mut self, records: &Records) -> WriteProgress {
        match self.write_some(records) {
            Ok(written) => WriteProgress { written, ..WriteProgress::default() },
            Err((written, error)) => WriteProgress::failed(written, error),
        }
    }

    fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests;
