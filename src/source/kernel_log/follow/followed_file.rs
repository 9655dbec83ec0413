//! One followed file: reads its new lines, and notices that it was truncated.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    time::Instant,
};

use super::{
    fingerprint::FirstBytes,
    rotated::RotatedFile,
    saved_position::{FileKey, SavedPosition},
};

/// Maximum bytes of one read.
const CHUNK: usize = 64 * 1024;

/// An open file.
#[derive(Debug)]
pub(super) struct FollowedFile {
    /// Its number among all that were followed.
    pub id: u64,
    /// Its path before it was rotated.
    pub path: PathBuf,
    pub key: FileKey,
    pub first_bytes: FirstBytes,
    /// How far it was read.
    pub offset: u64,
    /// Another file has its place: no more lines are expected.
    pub is_rotated: bool,
    /// When its last lines were read.
    pub last_lines: Instant,
    /// The rest of a line, up to its end, is skipped.
    is_in_skipped_line: bool,
    file: File,
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum FileRead {
    /// Whole lines.
    Lines(Vec<u8>),
    /// A part of a line that is too long, and is skipped up to its end.
    TooLong,
    /// A part of a line that was skipped.
    Skipped,
    /// Nothing new.
    End,
    /// The file was truncated, or replaced in place.
    Truncated,
}

impl FollowedFile {
    /// Follows an open file from an offset on.
    pub fn new(id: u64, path: PathBuf, file: File, offset: u64) -> io::Result<Self> {
        let key = FileKey::of(&file.metadata()?);
        let first_bytes = FirstBytes::of(&file)?;
        Ok(Self {
            id,
            path,
            key,
            first_bytes,
            offset,
            is_rotated: false,
            last_lines: Instant::now(),
            is_in_skipped_line: false,
            file,
        })
    }

    /// Moves to the end of the file. A line that is not complete there is skipped: its start was written before.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        self.offset = self.file.metadata()?.len();
        let mut last = [b'\n'];
        if self.offset > 0 {
            self.file.read_at(&mut last, self.offset - 1)?;
        }
        self.is_in_skipped_line = last != [b'\n'];
        Ok(())
    }

    pub fn position(&self) -> SavedPosition {
        SavedPosition {
            path: self.path.clone(),
            key: self.key,
            first_bytes: self.first_bytes,
            offset: self.offset,
        }
    }

    /// Continues in another file with the same content, such as the copy of a file that was truncated.
    pub fn switch_to(&mut self, file: File, is_rotated: bool) -> io::Result<()> {
        self.key = FileKey::of(&file.metadata()?);
        self.first_bytes = FirstBytes::of(&file)?;
        (self.file, self.is_rotated) = (file, is_rotated);
        Ok(())
    }

    /// Starts again at the start of the file, under another number.
    pub fn restart(&mut self, id: u64) -> io::Result<()> {
        self.first_bytes = FirstBytes::of(&self.file)?;
        (self.id, self.offset, self.is_in_skipped_line) = (id, 0, false);
        Ok(())
    }

    /// Whether another file is a copy of this one, as it is now or was when it was read.
    pub fn is_copy(&self, other: &RotatedFile) -> bool {
        other.key != self.key
            && (other.begins_with(self.first_bytes)
                || other.is_start_of(&self.file, self.first_bytes))
    }

    /// Whether it was read to its end.
    pub fn is_read(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() == self.offset)
    }

    /// Whether the file has no name.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Reads the next whole lines.
    pub fn read(&mut self) -> io::Result<FileRead> {
        self.read_part(false)
    }

    /// Reads a last line without a line break.
    pub fn read_rest(&mut self) -> io::Result<FileRead> {
        self.read_part(true)
    }

    fn read_part(&mut self, is_last: bool) -> io::Result<FileRead> {
        let mut bytes = vec![0; CHUNK];
        let length = self.file.read_at(&mut bytes, self.offset)?;
        bytes.truncate(length);
        // After the read: bytes of a file that was truncated and written again meanwhile are not used.
        let is_shorter = length == 0 && self.file.metadata()?.len() < self.offset;
        match self.first_bytes.grown(&self.file)? {
            Some(first_bytes) if !is_shorter => self.first_bytes = first_bytes,
            _ => return Ok(FileRead::Truncated),
        }
        if length == 0 {
            return Ok(FileRead::End);
        }
        let first_end = memchr::memchr(b'\n', &bytes).map(|at| at + 1);
        if self.is_in_skipped_line {
            self.is_in_skipped_line = first_end.is_none();
            self.advance(first_end.unwrap_or(length));
            return Ok(FileRead::Skipped);
        }
        match memchr::memrchr(b'\n', &bytes) {
            Some(last) => bytes.truncate(last + 1),
            None if length == CHUNK => {
                self.is_in_skipped_line = true;
                self.advance(length);
                return Ok(FileRead::TooLong);
            }
            None if is_last => {}
            None => return Ok(FileRead::End),
        }
        self.advance(bytes.len());
        Ok(FileRead::Lines(bytes))
    }

    fn advance(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.last_lines = Instant::now();
    }
}
