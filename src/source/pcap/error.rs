//! What can be wrong with a capture, and where in it.

use std::io;

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
    /// A link layer that is not read.
    #[error(
        "{file}: holds frames of link type {number}, which is not read; capture as NFLOG, Ethernet, Linux cooked, raw IP or loopback (`tcpdump -y`)"
    )]
    LinkType {
        /// The file.
        file: String,
        /// The number in the registry of link types (tcpdump.org/linktypes.html).
        number: u32,
    },
    /// The file ends in the middle of a frame.
    #[error(
        "{file}: ends in the middle of a frame, at byte {offset}; the {frames} frames before it are counted"
    )]
    Cut {
        /// The file.
        file: String,
        /// Where the frame begins, in the uncompressed file.
        offset: u64,
        /// Frames that were whole.
        frames: u64,
    },
    /// The file contradicts itself, so that no later frame can be found.
    #[error("{file}: damaged at byte {offset}: {what}; the {frames} frames before it are counted")]
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
    #[error(
        "{file}: cannot read after byte {offset}: {cause}; the {frames} frames before are counted"
    )]
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

/// What the readers of the formats report: a [`PcapError`] that does not know its file yet.
#[derive(Debug)]
pub(super) enum Trouble {
    NotACapture(Vec<u8>),
    LinkType(u32),
    Cut,
    Damaged(String),
    Read(io::Error),
}

impl Trouble {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// The error of this file at this place.
    pub(super) fn of(self, file: &str, offset: u64, frames: u64) -> PcapError {
        let file = file.to_owned();
        match self {
            Self::NotACapture(begin) => PcapError::NotACapture { file, begin: start(&begin) },
            Self::LinkType(number) => PcapError::LinkType { file, number },
            Self::Cut => PcapError::Cut { file, offset, frames },
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

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // How the decompression says that its input was cut.
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Read(error),
        }
    }
}
