//! Reads capture files: pcap and pcapng, compressed or not, from a file or a pipe.

// pcap-parser 0.17 parses blocks of pcapng: safe code, no panic found, bounded by its input slice. Its readers
// are not used, because they stop at a large block; pcap-file is not, because it transmutes.
mod error;
mod frame;
mod legacy;
mod nflog;
mod ng;
mod record;
#[cfg(test)]
mod tests;

use std::{fs::File, io, path::Path, time::Duration};

use self::{
    error::{ReadError, list},
    frame::{DeviceNames, Frame},
};
use super::{
    ReadOutcome, Source,
    input::{self, Input},
};

pub use error::{CapturePart, PcapError};

/// Maximum number of records of one [`Source::fill`].
const BATCH: usize = 256;

/// Options of reading a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Log prefix of packets without one.
    pub prefix: String,
}

/// An open capture.
///
/// Memory is bounded for every file: one buffer of 1 MiB, at most 4096 interface names, temporarily the options
/// of one block (at most 16 MiB), and the window of a compressed file (at most 128 MiB, for zstd and xz).
///
/// Every frame becomes exactly one record. The record of a frame that is too short for its link header, or
/// whose block cannot be parsed, has an empty payload; that of a frame with an unsupported link type has an
/// issue.
///
/// A truncated or corrupt file gives all records before the error, and then the error, once. So does a file in
/// which no frame has a supported link type.
#[derive(Debug)]
pub struct Capture {
    name: String,
    options: CaptureOptions,
    input: Input,
    /// `None` until the first bytes were read.
    format: Option<Format>,
    devices: DeviceNames,
    frames: u64,
    unsupported: Unsupported,
    failed: Option<PcapError>,
    ended: bool,
}

/// Frames of unsupported link types.
#[derive(Debug, Default)]
struct Unsupported {
    frames: u64,
    /// Some of the link types.
    numbers: Vec<u32>,
}

/// Maximum number of link types in a message.
const MAX_NAMED: usize = 8;

impl Unsupported {
    fn count(&mut self, number: u32) {
        self.frames += 1;
        if self.numbers.len() < MAX_NAMED && !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
    }
}

/// The two file formats.
#[derive(Debug)]
enum Format {
    Legacy(legacy::FileHeader),
    Ng(ng::NgSection),
}

impl Format {
    /// Detects the format by the first 4 bytes.
    fn detect(input: &mut Input) -> Result<Self, ReadError> {
        if !input.fill(4)? {
            return Err(ReadError::NotACapture(input.peek_all().to_vec()));
        }
        let magic = input.peek(4);
        if magic == ng::SECTION_HEADER.to_le_bytes() {
            Ok(Self::Ng(ng::NgSection::default()))
        } else if legacy::is_magic(magic) {
            Ok(Self::Legacy(legacy::FileHeader::read(input)?))
        } else {
            Err(ReadError::NotACapture(magic.to_vec()))
        }
    }

    /// The next frame; `None` after the last one.
    fn next<'a>(&'a mut self, input: &'a mut Input) -> Result<Option<Frame<'a>>, ReadError> {
        match self {
            Self::Legacy(header) => header.next(input),
            Self::Ng(section) => section.next(input),
        }
    }
}

/// Whether a file with these first 4 bytes is a capture.
#[must_use]
pub(in crate::source) fn is_magic(first: &[u8]) -> bool {
    first == ng::SECTION_HEADER.to_le_bytes() || legacy::is_magic(first)
}

/// An open capture of which nothing was read yet, so that privileges can be dropped before it is parsed.
#[derive(Debug)]
pub struct UnreadCapture {
    name: String,
    file: File,
}

impl UnreadCapture {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
        match input::open(path) {
            Ok(file) => Ok(Self { name, file }),
            Err(cause) => Err(PcapError::Open { file: name, cause }),
        }
    }
}

impl Capture {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path, options: CaptureOptions) -> Result<Self, PcapError> {
        Self::begin(UnreadCapture::open(path)?, options)
    }

    /// Starts reading without waiting for bytes; the format is checked later.
    pub fn begin(unread: UnreadCapture, options: CaptureOptions) -> Result<Self, PcapError> {
        let UnreadCapture { name, file } = unread;
        match Input::from_file(file) {
            Ok(input) => Ok(Self::from_input(name, input, options)),
            Err(cause) => Err(PcapError::Open { file: name, cause }),
        }
    }

    /// Reads a capture of unknown size from a reader; `name` identifies it in messages.
    pub fn from_reader(
        name: &str,
        reader: impl io::Read + Send + 'static,
        options: CaptureOptions,
    ) -> Result<Self, PcapError> {
        match Input::from_reader(reader) {
            Ok(input) => Ok(Self::from_input(name.into(), input, options)),
            Err(cause) => Err(PcapError::Open { file: name.into(), cause }),
        }
    }

    /// Reads a capture from an input of which nothing was consumed.
    pub(in crate::source) fn from_input(
        name: String,
        input: Input,
        options: CaptureOptions,
    ) -> Self {
        Self {
            name,
            options,
            input,
            format: None,
            devices: DeviceNames::default(),
            frames: 0,
            unsupported: Unsupported::default(),
            failed: None,
            ended: false,
        }
    }

    /// Passes the next frame's record to `take`; false after the last one.
    fn next(&mut self, take: &mut dyn FnMut(&super::Record<'_>)) -> Result<bool, ReadError> {
        let format = match &mut self.format {
            Some(format) => format,
            None => self.format.insert(Format::detect(&mut self.input)?),
        };
        let Some(frame) = format.next(&mut self.input)? else { return Ok(false) };
        let (record, unsupported) = frame.record(self.options.prefix.as_bytes(), &mut self.devices);
        take(&record);
        self.frames += 1;
        if let Some(number) = unsupported {
            self.unsupported.count(number);
        }
        Ok(true)
    }

    /// Ends reading, after the last frame or with an error.
    fn end(&mut self, error: Option<ReadError>) {
        self.ended = true;
        let Unsupported { frames, numbers } = &mut self.unsupported;
        let error = match error {
            None if *frames > 0 && *frames == self.frames => {
                Some(ReadError::LinkTypes(std::mem::take(numbers)))
            }
            error => error,
        };
        if let Some(error) = error {
            self.failed = Some(error.at(&self.name, self.input.offset(), self.frames));
        } else if *frames > 0 {
            tracing::warn!(
                "{}: {frames} of {} frames counted as undecoded: unsupported link type {}",
                self.name,
                self.frames,
                list(numbers)
            );
        }
    }

    /// The capture's name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The input, for its position and its size.
    pub(in crate::source) fn input(&self) -> &Input {
        &self.input
    }

    /// Frames read so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

impl Source for Capture {
    /// The error, a [`PcapError`], is returned once, after all batches.
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&super::Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        let mut records = 0;
        self.input.wait_at_most(timeout);
        while records < BATCH && !self.ended {
            match self.next(take) {
                Ok(true) => {
                    records += 1;
                    // Return the records read so far; a pipe may have no bytes for a long time.
                    self.input.do_not_wait();
                }
                Ok(false) => self.end(None),
                Err(ReadError::Read(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.end(Some(error)),
            }
        }
        if records > 0 {
            return Ok(ReadOutcome::Batch);
        }
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None if self.ended => Ok(ReadOutcome::End),
            None => Ok(ReadOutcome::Idle),
        }
    }
}
