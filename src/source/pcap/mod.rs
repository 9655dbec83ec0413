//! Capture files as a source: pcap and pcapng, compressed or not, from a file or a pipe.

// pcap-parser 0.17 reads blocks of pcapng: safe code, no panic found, bounded by the slice it is given.
// Its readers stay unused (a large block stops them), as does pcap-file (transmutes, 3.0 unreleased).
mod decompress;
mod error;
mod frame;
mod input;
mod legacy;
mod nflog;
mod ng;
mod pipe;
mod record;
#[cfg(test)]
mod tests;

use std::{fs::File, io, path::Path, time::Duration};

use self::{
    error::{ReadError, list},
    frame::{DeviceNames, Frame},
    input::Input,
};
use super::{ReadOutcome, Source};

pub use error::{CapturePart, PcapError};

/// Most records one [`Source::fill`] hands over.
const BATCH: usize = 256;

/// How a capture is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Log prefix of packets whose capture carries none.
    pub prefix: String,
}

/// An open capture. Memory is bounded, however large or hostile the file: one buffer of 1 MiB, up to
/// 4096 interface names, for a moment the options of one block (16 MiB if it is full of them), and
/// the window of a compressed file (up to 128 MiB for zstd and xz).
///
/// Every frame of the file becomes exactly one record. One that is too short for its link header,
/// or whose block cannot be read, becomes a record with an empty payload; one of a link type that is
/// not supported becomes a record that says so.
///
/// A file that is cut or damaged gives every record before that place, and then, once, the error.
/// So does a file of which no frame has a link type that is supported.
#[derive(Debug)]
pub struct Capture {
    name: String,
    options: CaptureOptions,
    input: Input,
    /// `None` until the file's first bytes have come.
    format: Option<Format>,
    devices: DeviceNames,
    frames: u64,
    unsupported: Unsupported,
    failed: Option<PcapError>,
    ended: bool,
}

/// Frames of link types that are not supported.
#[derive(Debug, Default)]
struct Unsupported {
    frames: u64,
    /// Some of the link types.
    numbers: Vec<u32>,
}

/// Most link types that are named in a message.
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
    /// Tells the format by the first 4 bytes.
    fn detect(input: &mut Input) -> Result<Self, ReadError> {
        if !input.need(4)? {
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

/// A capture that is open, and of which nothing was looked at yet: rights that it took to open it can
/// be given up before.
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

    /// Begins to read, but waits for no bytes: whether it is a capture shows later.
    pub fn begin(unread: UnreadCapture, options: CaptureOptions) -> Result<Self, PcapError> {
        let UnreadCapture { name, file } = unread;
        match Input::from_file(file) {
            Ok(input) => Ok(Self::from_input(name, input, options)),
            Err(cause) => Err(PcapError::Open { file: name, cause }),
        }
    }

    /// Reads a capture from anywhere; `name` stands for it in messages. Its size is unknown.
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

    fn from_input(name: String, input: Input, options: CaptureOptions) -> Self {
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

    /// Hands over the next frame; false after the last one.
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

    /// Ends the file, after its last frame or with what is wrong.
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
            self.failed = Some(error.of(&self.name, self.input.offset(), self.frames));
        } else if *frames > 0 {
            tracing::warn!(
                "{}: {frames} of {} frames are counted as undecoded: link type {} is not supported",
                self.name,
                self.frames,
                list(numbers)
            );
        }
    }

    /// What the capture is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes read from the file so far, compressed ones where it is compressed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// Bytes of the file; `None` for a pipe.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.input.size()
    }

    /// Frames handed over so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

impl Source for Capture {
    /// The error, a [`PcapError`], comes alone: after the batches, and once.
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&super::Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        let mut records = 0;
        self.input.wait_at_most(patience);
        while records < BATCH && !self.ended {
            match self.next(take) {
                Ok(true) => {
                    records += 1;
                    // What is there already goes out now; a pipe may pause for long.
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
