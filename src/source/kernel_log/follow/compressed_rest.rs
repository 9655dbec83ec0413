//! Reads the rest of a rotated file that was compressed while the program was not running.

use std::{
    io::{self, Read, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Follower,
    fingerprint::{FirstBytes, START},
    rotated::{RotatedFile, compressed_files},
    saved_position::SavedPosition,
};
use crate::source::{
    input::decompressed,
    kernel_log::{
        line_splitter::LineSplitter,
        meter::{Input, LineMeter},
        queue::Chunk,
    },
};

/// Maximum bytes of one read.
const CHUNK: usize = 64 * 1024;

/// An open compressed file. Positions in it count decompressed bytes.
pub(super) struct CompressedRest {
    /// Its number among all that were followed.
    id: u64,
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    splitter: LineSplitter,
    /// Bytes that were read.
    read: u64,
    /// Bytes of whole lines that were read.
    offset: u64,
    is_over: bool,
}

impl CompressedRest {
    fn open(id: u64, file: &RotatedFile, offset: u64, meter: &Arc<LineMeter>) -> io::Result<Self> {
        let mut reader = from_start(file)?;
        let skipped = io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        if skipped < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let splitter = LineSplitter::new(Input::File, Arc::clone(meter));
        let path = file.path.clone();
        Ok(Self { id, path, reader, splitter, read: offset, offset, is_over: false })
    }

    /// The next whole lines; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; CHUNK];
        while !self.is_over {
            let length = self.reader.read(&mut buffer)?;
            let lines = if length == 0 {
                self.is_over = true;
                self.offset = self.read;
                self.splitter.end()
            } else {
                let bytes = &buffer[..length];
                if let Some(last) = memchr::memrchr(b'\n', bytes) {
                    self.offset = self.read + last as u64 + 1;
                }
                self.read += length as u64;
                self.splitter.lines(bytes)
            };
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        Ok(None)
    }
}

/// A reader of the decompressed bytes.
fn from_start(file: &RotatedFile) -> io::Result<Box<dyn Read + Send>> {
    let mut source = file.file.try_clone()?;
    source.rewind()?;
    decompressed(source)
}

/// The first bytes of the decompressed file; empty if it cannot be decompressed.
fn decompressed_start(file: &RotatedFile) -> Vec<u8> {
    let mut start = Vec::new();
    let read =
        from_start(file).and_then(|reader| reader.take(START as u64).read_to_end(&mut start));
    if read.is_err() {
        start.clear();
    }
    start
}

/// The compressed file of a position, found by its decompressed first bytes.
pub(super) fn find_compressed(position: &SavedPosition) -> Option<RotatedFile> {
    if position.first_bytes.is_weak() {
        return None;
    }
    let mut files = compressed_files(&position.path).into_iter();
    files.find(|file| position.first_bytes.begin(&decompressed_start(file)))
}

impl Follower {
    /// Reads the rest of a compressed file from a position on, before other files.
    pub(super) fn read_rest(&mut self, file: &RotatedFile, position: SavedPosition) {
        let (id, offset) = (self.next_id, position.offset);
        match CompressedRest::open(id, file, offset, &self.meter) {
            Ok(rest) => {
                self.next_id += 1;
                self.positions.set(id, position);
                self.added.push((file.path.clone(), offset));
                self.compressed.push_back(rest);
            }
            Err(error) => warn(&file.path, offset, &error),
        }
    }

    /// Reads the compressed files of a path that are newer than one of its rotated files.
    pub(super) fn read_newer_compressed(&mut self, than: &RotatedFile, path: &Path) {
        for file in compressed_files(path) {
            if !file.is_newer(than) {
                continue;
            }
            let first_bytes = FirstBytes::new(&decompressed_start(&file));
            // A file is compressed before its original is removed.
            let is_copy = self.files.iter().any(|followed| followed.first_bytes == first_bytes);
            if !is_copy && !first_bytes.is_weak() {
                let position =
                    SavedPosition { path: path.into(), key: file.key, first_bytes, offset: 0 };
                self.read_rest(&file, position);
            }
        }
    }

    /// Reads all compressed files to their ends; false if the queue is stopped.
    pub(super) fn read_compressed(&mut self) -> bool {
        while let Some(rest) = self.compressed.front_mut() {
            match rest.next() {
                Ok(Some(lines)) => {
                    let chunk = Chunk::of_file(lines, rest.id, rest.offset);
                    if !self.queue.push(chunk) || self.queue.is_stopped() {
                        return false;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => warn(&rest.path, rest.offset, &error),
            }
            self.read_rests.push((rest.id, rest.offset));
            self.compressed.pop_front();
        }
        let positions = &self.positions;
        self.read_rests.retain(|(id, offset)| {
            let is_counted = positions.offset(*id).is_none_or(|counted| counted >= *offset);
            if is_counted {
                positions.forget(*id);
            }
            !is_counted
        });
        true
    }
}

fn warn(path: &Path, offset: u64, error: &io::Error) {
    tracing::warn!(
        "cannot decompress {} after byte {offset}: {error}; its later lines are not counted",
        path.display()
    );
}
