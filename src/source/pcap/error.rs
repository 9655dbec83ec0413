//! What can be wrong with a capture, and where in it.

use std::io;

use crate::source::link::NamedLinkType;

/// A capture that cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("{file}: cannot open the capture: {cause}")]
    Open {
        /// The file.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is something else.
    #[error(
        "{file}: not a pcap or pcapng file ({begin}); give a capture as `tcpdump -w` writes it, or convert \
         one of another format with `editcap -F pcapng`"
    )]
    NotACapture {
        /// The file.
        file: String,
        /// What it starts with.
        begin: String,
    },
    /// No frame has a link layer that is supported.
    #[error(
        "cannot read {file}: its frames have link type {}, which is not supported ({}); capture on a network interface, or choose another link type with `tcpdump -y` (`tcpdump -L` lists those of an interface)",
        list(numbers), uncounted(*frames)
    )]
    LinkTypes {
        /// The file.
        file: String,
        /// Some of the numbers in the registry of link types (tcpdump.org/linktypes.html).
        numbers: Vec<u32>,
        /// Frames that were read, and counted as undecoded.
        frames: u64,
    },
    /// The file ends where it should not.
    #[error("{file} ends in the middle of {}; {}", part.at(*offset), counted(*frames))]
    Cut {
        /// The file.
        file: String,
        /// What is cut.
        part: CapturePart,
        /// Where that begins, in the uncompressed file.
        offset: u64,
        /// Frames that were whole.
        frames: u64,
    },
    /// The file contradicts itself, so that no later frame can be found.
    #[error("{file} is damaged at byte {offset}: {what}; {}", counted(*frames))]
    Damaged {
        /// The file.
        file: String,
        /// Where, in the uncompressed file.
        offset: u64,
        /// Frames before that.
        frames: u64,
        /// What is wrong.
        what: String,
    },
    /// The system, or the decompression, failed.
    #[error("cannot read {file} after byte {offset}: {cause}; {}", counted(*frames))]
    Read {
        /// The file.
        file: String,
        /// Where, in the uncompressed file.
        offset: u64,
        /// Frames before that.
        frames: u64,
        /// What went wrong.
        cause: io::Error,
    },
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapturePart {
    /// What stands before the first frame, and says how to read the frames.
    FileHeader,
    /// A block of pcapng that holds no frame.
    Block,
    /// A frame, its header included.
    Frame,
    /// The compressed data.
    Compression,
}

impl CapturePart {
    /// Which part, and where it is; a file header stands at the begin.
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

/// What became of the frames before an error.
fn counted(frames: u64) -> String {
    match frames {
        0 => "no frame comes before it".into(),
        1 => "the frame before it is counted".into(),
        _ => format!("the {frames} frames before it are counted"),
    }
}

/// What became of frames that are not supported.
fn uncounted(frames: u64) -> String {
    match frames {
        0 => "no frame was read".into(),
        1 => "1 frame is counted as undecoded".into(),
        _ => format!("{frames} frames are counted as undecoded"),
    }
}

/// Link types, by number and name.
pub(super) fn list(numbers: &[u32]) -> String {
    let names = numbers.iter().map(|number| NamedLinkType(*number).to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// What the readers of the formats report: a [`PcapError`] that does not know its file yet.
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

    /// The error of this file at this place.
    pub(super) fn of(self, file: &str, offset: u64, frames: u64) -> PcapError {
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

/// What a file starts with, as text where it is text.
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
            // How the decompression says that its input was cut.
            io::ErrorKind::UnexpectedEof => Self::Cut(CapturePart::Compression),
            _ => Self::Read(error),
        }
    }
}
