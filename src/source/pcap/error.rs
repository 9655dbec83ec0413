//! Errors of captures, with their position.

use std::io;

use crate::source::link::NamedLinkType;

/// A capture cannot be opened, or not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("{file}: cannot open the capture: {cause}")]
    Open {
        /// The file.
        file: String,
        /// The system's error.
        cause: io::Error,
    },
    /// The file is not a capture.
    #[error(
        "{file}: not a pcap or pcapng file ({begin}); use a capture by `tcpdump -w`, or convert another format \
         with `editcap -F pcapng`"
    )]
    NotACapture {
        /// The file.
        file: String,
        /// Description of its first bytes.
        begin: String,
    },
    /// No frame has a supported link type.
    #[error(
        "cannot read {file}: unsupported link type {} ({}); capture on a network interface, or choose another link type with `tcpdump -y` (`tcpdump -L` lists those of an interface)",
        list(numbers), uncounted(*frames)
    )]
    LinkTypes {
        /// The file.
        file: String,
        /// Some of the numbers in the registry of link types (tcpdump.org/linktypes.html).
        numbers: Vec<u32>,
        /// Frames read, and counted as undecoded.
        frames: u64,
    },
    /// The file is truncated.
    #[error("{file} ends in the middle of {}; {}", part.at(*offset), counted(*frames))]
    Cut {
        /// The file.
        file: String,
        /// The truncated part.
        part: CapturePart,
        /// Its offset in the uncompressed file, bytes.
        offset: u64,
        /// Frames before it.
        frames: u64,
    },
    /// The file is corrupt, so that no later frame can be found.
    #[error("{file} is damaged at byte {offset}: {what}; {}", counted(*frames))]
    Damaged {
        /// The file.
        file: String,
        /// Offset in the uncompressed file, bytes.
        offset: u64,
        /// Frames before the error.
        frames: u64,
        /// The inconsistency.
        what: String,
    },
    /// Reading or decompressing failed.
    #[error("cannot read {file} after byte {offset}: {cause}; {}", counted(*frames))]
    Read {
        /// The file.
        file: String,
        /// Offset in the uncompressed file, bytes.
        offset: u64,
        /// Frames before the error.
        frames: u64,
        /// The error.
        cause: io::Error,
    },
}

/// A part of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapturePart {
    /// The header of a pcap file, or the first section header of a pcapng file.
    FileHeader,
    /// A pcapng block without a frame.
    Block,
    /// A frame, including its header.
    Frame,
    /// The compressed data.
    Compression,
}

impl CapturePart {
    /// Description of the part and its offset.
    fn at(self, offset: u64) -> String {
        match self {
            Self::FileHeader => "its file header".into(),
            Self::Block => format!("a block, at byte {offset}"),
            Self::Frame => format!("a frame, at byte {offset}"),
            Self::Compression => {
                format!("its compressed data, after {offset} bytes of what it holds")
            }
        }
    }
}

/// Describes how the frames before an error were counted.
fn counted(frames: u64) -> String {
    match frames {
        0 => "no frame comes before it".into(),
        1 => "the frame before it is counted".into(),
        _ => format!("the {frames} frames before it are counted"),
    }
}

/// Describes how unsupported frames were counted.
fn uncounted(frames: u64) -> String {
    match frames {
        0 => "no frame was read".into(),
        1 => "1 frame is counted as undecoded".into(),
        _ => format!("{frames} frames are counted as undecoded"),
    }
}

/// Numbers and names of link types, separated by commas.
pub(super) fn list(numbers: &[u32]) -> String {
    let names = numbers.iter().map(|number| NamedLinkType(*number).to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// The error of a format reader: a [`PcapError`] without file and position.
#[derive(Debug)]
pub(super) enum ReadError {
    NotACapture(Vec<u8>),
    LinkTypes(Vec<u32>),
    Cut(CapturePart),
    Damaged(String),
    Read(io::Error),
}

impl ReadError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Adds file and position.
    pub(super) fn at(self, file: &str, offset: u64, frames: u64) -> PcapError {
        let file = file.to_owned();
        match self {
            Self::NotACapture(begin) => PcapError::NotACapture { file, begin: start(&begin) },
            Self::LinkTypes(numbers) => PcapError::LinkTypes { file, numbers, frames },
            Self::Cut(part) => PcapError::Cut { file, part, offset, frames },
            Self::Damaged(what) => PcapError::Damaged { file, offset, frames, what },
            Self::Read(cause) => PcapError::Read { file, offset, frames, cause },
        }
    }
}

/// Describes a file's first bytes, as text if they are printable.
fn start(begin: &[u8]) -> String {
    let is_text = begin.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    match begin {
        [] => "it is empty".into(),
        text if is_text => format!("starts with {:?}", String::from_utf8_lossy(text)),
        bytes => format!("starts with the bytes {bytes:02x?}"),
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The decoders report truncated input by this kind.
            io::ErrorKind::UnexpectedEof => Self::Cut(CapturePart::Compression),
            _ => Self::Read(error),
        }
    }
}
