//! The file `position`: how many rows of the first session the database is known to hold.
//!
//! Only a hint: it is overwritten in place without a sync. When it is missing, outdated or damaged, the
//! database is asked.
//!
//! ```text
//! session 8 | writer 16 | delivered 8 | checksum of these 4 | writer 16 | sent 8 | checksum of these 4
//! ```
//!
//! The second part is the end of the batch that was sent last, to a database that has to get the same batch again.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{RowMark, open::open_file};

const SIZE: usize = 36;

const SENT_SIZE: usize = 28;

/// How far a session is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the session. All sessions before it are delivered.
    pub session: u64,
    /// Its writer.
    pub writer: [u8; 16],
    /// Number of its delivered rows.
    pub delivered: u64,
}

/// The open file.
#[derive(Debug)]
pub struct PositionFile {
    path: PathBuf,
    file: Option<File>,
}

impl PositionFile {
    /// Opens the file in this directory, and reads its position and the end of the last batch if they are intact. A file
    /// that cannot be opened is retried at the next write.
    #[must_use]
    pub fn open(directory: &Path) -> (Self, Option<Position>, Option<RowMark>) {
        let path = directory.join("position");
        let file = open_file(&path).ok();
        let mut bytes = [0; SIZE];
        let read = file.as_ref().is_some_and(|file| file.read_exact_at(&mut bytes, 0).is_ok());
        let position = if read { decode(&bytes) } else { None };
        let mut bytes = [0; SENT_SIZE];
        let read =
            file.as_ref().is_some_and(|file| file.read_exact_at(&mut bytes, SIZE as u64).is_ok());
        let sent = if read { decode_sent(&bytes) } else { None };
        (Self { path, file }, position, sent)
    }

    /// Overwrites the position.
    pub fn write(&mut self, position: Position) -> io::Result<()> {
        self.write_at(&encode(position), 0)
    }

    /// Overwrites the end of the last batch.
    pub fn write_sent(&mut self, sent: RowMark) -> io::Result<()> {
        self.write_at(&encode_sent(sent), SIZE as u64)
    }

    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open_file(&self.path)?,
        };
        let written = file.write_all_at(bytes, at);
        self.file = Some(file);
        written
    }
}

fn encode_sent(sent: RowMark) -> [u8; SENT_SIZE] {
    let mut bytes = [0; SENT_SIZE];
    bytes[0..16].copy_from_slice(&sent.writer);
    bytes[16..24].copy_from_slice(&sent.end.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..24]);
    bytes[24..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode_sent(bytes: &[u8; SENT_SIZE]) -> Option<RowMark> {
    let (fields, checksum) = bytes.split_last_chunk()?;
    if crc32fast::hash(fields) != u32::from_le_bytes(*checksum) {
        return None;
    }
    Some(RowMark {
        writer: *fields.get(0..16)?.first_chunk()?,
        end: u64::from_le_bytes(*fields.get(16..24)?.first_chunk()?),
    })
}

fn encode(position: Position) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[0..8].copy_from_slice(&position.session.to_le_bytes());
    bytes[8..24].copy_from_slice(&position.writer);
    bytes[24..32].copy_from_slice(&position.delivered.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..32]);
    bytes[32..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; SIZE]) -> Option<Position> {
    let (fields, checksum) = bytes.split_last_chunk()?;
    if crc32fast::hash(fields) != u32::from_le_bytes(*checksum) {
        return None;
    }
    Some(Position {
        session: u64::from_le_bytes(*fields.get(0..8)?.first_chunk()?),
        writer: *fields.get(8..24)?.first_chunk()?,
        delivered: u64::from_le_bytes(*fields.get(24..32)?.first_chunk()?),
    })
}
