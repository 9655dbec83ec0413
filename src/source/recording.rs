//! Files of recorded packets: captures and logs, told apart by their content.

use std::{fs::File, io, path::Path, sync::Arc, time::Duration};

use super::{
    ReadOutcome, Record, Source,
    input::{self, Input},
    kernel_log::{LineMeter, LogFile, first_time},
    log::line_time::Zone,
    pcap::{Capture, CaptureOptions, PcapError, is_magic},
};
use crate::system::clock::{micros_since_1970, unix_micros};

/// An open file of which nothing was read yet, so that privileges can be dropped before it is parsed.
#[derive(Debug)]
pub struct UnreadRecording {
    name: String,
    file: File,
    /// When it was last written, or now for a pipe: microseconds since 1970.
    written: u64,
}

/// How to read files.
#[derive(Clone, Debug)]
pub struct RecordingOptions {
    /// Options of captures.
    pub capture: CaptureOptions,
    /// Time zone of the lines of logs.
    pub zone: Zone,
    /// Counts the lines of logs.
    pub meter: Arc<LineMeter>,
}

/// A file of recorded packets.
#[derive(Debug)]
pub struct Recording {
    name: String,
    written: u64,
    options: RecordingOptions,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Too few bytes were read. `None` only while it is replaced.
    Unknown(Option<Input>),
    Capture(Capture),
    Log(LogFile),
}

impl UnreadRecording {
    /// Opens a file, or stdin for `-`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
        match input::open(path) {
            Ok(file) => {
                let modified = file.metadata().ok().filter(std::fs::Metadata::is_file);
                let modified = modified.and_then(|metadata| metadata.modified().ok());
                let written = modified.map_or_else(unix_micros, micros_since_1970);
                Ok(Self { name, file, written })
            }
            Err(cause) => Err(PcapError::Open { file: name, cause }),
        }
    }

    /// The time of the first line of a log, microseconds since 1970; `None` for captures and pipes.
    pub fn first_time(&mut self, zone: &Zone) -> Option<u64> {
        first_time(&mut self.file, self.written, zone)
    }
}

impl Recording {
    /// Starts reading without waiting for bytes.
    ///
    /// # Errors
    /// The file is a directory, or cannot be read.
    pub fn begin(unread: UnreadRecording, options: RecordingOptions) -> Result<Self, PcapError> {
        let UnreadRecording { name, file, written } = unread;
        match Input::from_file(file) {
            Ok(input) => {
                Ok(Self { name, written, options, content: Content::Unknown(Some(input)) })
            }
            Err(cause) => Err(PcapError::Open { file: name, cause }),
        }
    }

    /// Bytes read from the file so far, compressed ones if it is compressed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.input().map_or(0, Input::position)
    }

    /// Size of the file, bytes; `None` for a pipe.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.input()?.size()
    }

    fn input(&self) -> Option<&Input> {
        match &self.content {
            Content::Unknown(input) => input.as_ref(),
            Content::Capture(capture) => Some(capture.input()),
            Content::Log(log) => Some(log.input()),
        }
    }

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the first bytes of the file; false if there are none before the timeout.
    fn detect(&mut self, timeout: Duration) -> bool {
        let Content::Unknown(unknown) = &mut self.content else { return true };
        let Some(mut input) = unknown.take() else { return true };
        input.wait_at_most(timeout);
        let is_capture = match input.fill(4) {
            Ok(true) => is_magic(input.peek(4)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *unknown = Some(input);
                return false;
            }
            // A log is empty after its rotation; a capture has at least a header.
            Ok(false) if input.peek_all().is_empty() => has_capture_name(&self.name),
            // A capture has errors for such files.
            Ok(false) | Err(_) => true,
        };
        let (name, options) = (self.name.clone(), self.options.clone());
        self.content = if is_capture || is_binary(input.peek_all()) {
            Content::Capture(Capture::from_input(name, input, options.capture))
        } else {
            let RecordingOptions { zone, meter, .. } = options;
            Content::Log(LogFile::from_input(name, input, self.written, zone, meter))
        };
        true
    }
}

/// Whether a name is that of a capture: `a.pcap`, `a.pcapng.gz`, or `a.pcap1` as `tcpdump -C` writes it.
fn has_capture_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split('.').skip(1).any(|part| part.to_ascii_lowercase().starts_with("pcap"))
}

/// Whether the first bytes are not those of a text. A log can begin with NULs after a crash.
fn is_binary(first: &[u8]) -> bool {
    let first = &first[..first.len().min(512)];
    let is_control =
        |byte: &&u8| **byte < b' ' && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x1b | 0);
    let has_nul = first.contains(&0) && first.first() != Some(&0);
    has_nul || first.iter().any(|byte| is_control(&byte))
}

impl Source for Recording {
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        if !self.detect(timeout) {
            return Ok(ReadOutcome::Idle);
        }
        match &mut self.content {
            Content::Unknown(_) => Ok(ReadOutcome::Idle),
            Content::Capture(capture) => capture.fill(timeout, take),
            Content::Log(log) => log.fill(timeout, take),
        }
    }
}
