//! A file that grows by whole rows, and is rotated.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Rotation, Sink, WriteProgress, whole_length, write_most};
use crate::{
    output::records::Records,
    system::{clock::unix_micros, logging::ConditionLog},
};

/// Maximum length of an unfinished last line that is removed, bytes: no row is longer.
const MAX_LINE: u64 = 64 * 1024;

/// Time after which a rotation that failed is tried again.
const ROTATION_PAUSE: Duration = Duration::from_secs(60);

/// What the rows of a file are.
#[derive(Clone, Debug)]
pub(in crate::output) enum FileContent {
    /// Lines.
    Lines,
    /// Lines with JSON objects.
    JsonLines,
    /// Records of a capture after this header.
    Capture {
        /// The header of each file.
        header: Vec<u8>,
        /// Whether the format is pcapng, and not pcap.
        is_pcapng: bool,
    },
}

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

    fn header(&self) -> &[u8] {
        match &self.content {
            FileContent::Capture { header, .. } => header,
            FileContent::Lines | FileContent::JsonLines => &[],
        }
    }

    fn period(&self) -> u64 {
        self.rotation.period(unix_micros() / 1_000_000)
    }

    /// Opens the file for appending, and creates it if it is missing.
    fn open_file(&self) -> io::Result<OpenFile> {
        let file = self.open_regular()?;
        let metadata = file.metadata()?;
        if metadata.len() > 0 && !self.repair(&file)? {
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
        if let (_, Some(error)) = write_most(file, self.header()) {
            file.set_len(0)?;
            return Err(error);
        }
        Ok(())
    }

    /// Removes an unfinished row at the end of an earlier run. Returns false if the file has another content, which stays as
    /// it is.
    fn repair(&self, file: &File) -> io::Result<bool> {
        if let FileContent::Capture { header, is_pcapng } = &self.content {
            let Some(whole) = whole_length(file, header, *is_pcapng)? else { return Ok(false) };
            if whole < file.metadata()?.len() {
                file.set_len(whole)?;
            }
            return Ok(true);
        }
        let (length, tail) = last_text(file)?;
        if matches!(tail.last(), None | Some(b'\n')) {
            return Ok(true);
        }
        let line = memchr::memrchr(b'\n', &tail).map_or(0, |end| end + 1);
        let is_row =
            matches!(self.content, FileContent::JsonLines) && tail[line..].starts_with(b"{\"");
        if is_row {
            file.set_len(length - (tail.len() - line) as u64)?;
        } else {
            // It may be another program's line, so it is completed.
            let (_, failure) = write_most(&mut &*file, b"\n");
            failure.map_or(Ok(()), Err)?;
        }
        Ok(true)
    }

    /// Rotates the file if it is full, or if its period is over. Returns the number of bytes that fit. A file that cannot be
    /// rotated continues.
    fn make_room(&mut self, next: u64) -> io::Result<u64> {
        self.open()?;
        let (now, header) = (self.period(), self.header().len() as u64);
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

/// Removes NUL bytes at the end of a file of lines, which a power loss can leave in the place of rows. Returns the length of
/// the file, and its end.
fn last_text(file: &File) -> io::Result<(u64, Vec<u8>)> {
    let mut length = file.metadata()?.len();
    loop {
        let mut tail = vec![0; usize::try_from(length.min(MAX_LINE)).unwrap_or_default()];
        let start = length - tail.len() as u64;
        file.read_exact_at(&mut tail, start)?;
        let text = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if text == tail.len() {
            return Ok((length, tail));
        }
        length = start + text as u64;
        file.set_len(length)?;
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
mod tests {
    use std::{fs, path::Path, time::Duration};

    use super::*;

    fn rotation(size: u64, keep: u32) -> Rotation {
        Rotation { size, interval: Duration::ZERO, keep }
    }

    fn rows(rows: &[&str]) -> Records {
        let mut records = Records::default();
        for row in rows {
            records.push(|bytes| {
                bytes.extend_from_slice(row.as_bytes());
                true
            });
        }
        records
    }

    /// Writes all rows, as the output's thread does.
    fn write_all(sink: &mut FileSink, mut records: Records) {
        while records.len() > 0 {
            let progress = sink.write(&records);
            assert!(progress.failure.is_none() && progress.written > 0, "{progress:?}");
            records.finish(progress.written);
        }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_is_rotated_between_rows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let mut sink = FileSink::new(path.clone(), rotation(8, 2), FileContent::Lines);
        write_all(
            &mut sink,
            rows(&["one\n", "two\n", "three\n", "a row that never fits\n", "4\n"]),
        );
        assert_eq!(read(&path), "4\n");
        assert_eq!(read(&directory.path().join("a.log.1")), "a row that never fits\n");
        assert_eq!(read(&directory.path().join("a.log.2")), "three\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_renamed_file_is_used_until_it_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let moved = directory.path().join("moved");
        let mut sink = FileSink::new(path.clone(), rotation(0, 1), FileContent::Lines);
        write_all(&mut sink, rows(&["1\n"]));
        fs::rename(&path, &moved).unwrap();
        write_all(&mut sink, rows(&["2\n"]));
        sink.close();
        write_all(&mut sink, rows(&["3\n"]));
        assert_eq!((read(&moved).as_str(), read(&path).as_str()), ("1\n2\n", "3\n"));
        fs::remove_file(&path).unwrap();
        write_all(&mut sink, rows(&["4\n"]));
        assert_eq!(read(&path), "4\n");
    }

    #[test]
    fn an_unfinished_line_is_removed_or_completed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let check = |before: &str, content: FileContent, expect: &str| {
            fs::write(&path, before).unwrap();
            write_all(
                &mut FileSink::new(path.clone(), rotation(0, 1), content),
                rows(&["{\"b\":1}\n"]),
            );
            assert_eq!(read(&path), expect, "{before}");
        };
        check("{\"a\":1}\n{\"a\":", FileContent::JsonLines, "{\"a\":1}\n{\"b\":1}\n");
        check("{\"a\":", FileContent::JsonLines, "{\"b\":1}\n");
        check("somebody's", FileContent::JsonLines, "somebody's\n{\"b\":1}\n");
        check("x\n{\"a\":", FileContent::Lines, "x\n{\"a\":\n{\"b\":1}\n");
        let nul = |count| "\0".repeat(count);
        check(&["x\n", &nul(200_000)].concat(), FileContent::Lines, "x\n{\"b\":1}\n");
        check(&["{\"a\":", &nul(3)].concat(), FileContent::JsonLines, "{\"b\":1}\n");
        check(&nul(70_000), FileContent::Lines, "{\"b\":1}\n");
    }

    #[test]
    fn a_file_that_cannot_be_rotated_continues() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::create_dir(directory.path().join("a.log.1")).unwrap();
        let mut sink = FileSink::new(path.clone(), rotation(8, 1), FileContent::Lines);
        write_all(&mut sink, rows(&["one\n", "two\n", "three\n", "four\n"]));
        assert_eq!(read(&path), "one\ntwo\nthree\nfour\n");
        fs::remove_dir(directory.path().join("a.log.1")).unwrap();
        sink.rotation_failed = None;
        write_all(&mut sink, rows(&["five\n"]));
        assert_eq!(read(&path), "five\n");
    }

    #[test]
    fn a_capture_that_was_truncated_gets_its_header() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let content = FileContent::Capture { header: b"HEADER".to_vec(), is_pcapng: false };
        let mut sink = FileSink::new(path.clone(), rotation(0, 1), content);
        write_all(&mut sink, rows(&["one"]));
        fs::write(&path, "").unwrap();
        write_all(&mut sink, rows(&["two", "three"]));
        assert_eq!(read(&path), "HEADERtwothree");
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/a.log");
        let mut sink = FileSink::new(path.clone(), rotation(0, 1), FileContent::Lines);
        let error = sink.open().unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        let progress = sink.write(&rows(&["one\n"]));
        let error = progress.failure.unwrap().to_string();
        assert_eq!(error.matches("missing/a.log").count(), 1, "{error}");
    }

    #[test]
    fn a_capture_continues_after_its_last_whole_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let content = FileContent::Capture { header: b"HEADER".to_vec(), is_pcapng: false };
        let record =
            |length: u32, data: &[u8]| [&[0; 8][..], &length.to_ne_bytes(), &[0; 4], data].concat();
        let text = |record: &[u8]| String::from_utf8(record.to_vec()).unwrap();
        let whole = record(3, b"abc");
        let next = text(&record(1, b"d"));
        for rest in [&[][..], &whole[..17], &whole[..3], &[0; 16], &[0; 100]] {
            fs::write(&path, [b"HEADER", &whole[..], rest].concat()).unwrap();
            let mut sink = FileSink::new(path.clone(), rotation(0, 1), content.clone());
            write_all(&mut sink, rows(&[&next]));
            assert!(!directory.path().join("a.pcap.1").exists());
            assert_eq!(fs::read(&path).unwrap(), [b"HEADER", &whole[..], next.as_bytes()].concat());
        }
        // Another program's file is rotated.
        fs::write(&path, "other").unwrap();
        write_all(&mut FileSink::new(path.clone(), rotation(0, 1), content), rows(&[&next]));
        assert_eq!(fs::read(&path).unwrap(), [b"HEADER", next.as_bytes()].concat());
        assert_eq!(read(&directory.path().join("a.pcap.1")), "other");
    }

    #[test]
    fn a_new_period_has_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::write(&path, "yesterday\n").unwrap();
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let daily = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
        let mut sink = FileSink::new(path.clone(), daily, FileContent::Lines);
        write_all(&mut sink, rows(&["today\n"]));
        write_all(&mut sink, rows(&["today too\n"]));
        assert_eq!(read(&path), "today\ntoday too\n");
        assert_eq!(read(&directory.path().join("a.log.1")), "yesterday\n");
    }

    #[test]
    fn an_empty_file_belongs_to_the_period_of_its_first_rows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let daily = Rotation { size: 0, interval: Duration::from_secs(86_400), keep: 1 };
        let mut sink = FileSink::new(path.clone(), daily, FileContent::Lines);
        sink.open().unwrap();
        // It was opened yesterday.
        sink.open.as_mut().unwrap().period -= 1;
        write_all(&mut sink, rows(&["1\n"]));
        write_all(&mut sink, rows(&["2\n"]));
        assert_eq!(read(&path), "1\n2\n");
        assert!(!directory.path().join("a.log.1").exists());
        sink.open.as_mut().unwrap().period -= 1;
        write_all(&mut sink, rows(&["3\n"]));
        assert_eq!(read(&path), "3\n");
    }

    #[test]
    fn a_named_pipe_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut sink = FileSink::new(path, rotation(0, 1), FileContent::Lines);
        assert!(sink.open().is_err());
    }
}
