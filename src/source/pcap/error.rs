//! What can be wrong with a capture, and where in it.

use std::io;

/// A capture that cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("cannot open the capture {file}: {cause}")]
    Open {
        /// The file.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is something else.
    #[error(
        "{file} is neither pcap nor pcapng: it begins with {begin}; convert it with `editcap -F pcapng`"
    )]
    NotACapture {
        /// The file.
        file: String,
        /// Its first bytes.
        begin: String,
    },
    /// A link layer that is not read.
    #[error(
        "{file} holds frames of link type {number}, which is not read; capture as NFLOG, Ethernet, Linux cooked, raw IP or loopback (`tcpdump -y`)"
    )]
    LinkType {
        /// The file.
        file: String,
        /// The number in the registry of link types (tcpdump.org/linktypes.html).
        number: u32,
    },
    /// The file ends in the middle of a frame.
    #[error(
        "{file} ends in the middle of a frame, at byte {offset}; the {frames} frames before it are counted"
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
    #[error(
        "{file} is damaged at byte {offset}: {what}; the {frames} frames before it are counted"
    )]
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
        "cannot read {file} behind byte {offset}: {cause}; the {frames} frames before are counted"
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
            Self::NotACapture(begin) if begin.is_empty() => {
                PcapError::NotACapture { file, begin: "nothing, it is empty".into() }
            }
            Self::NotACapture(begin) => {
                PcapError::NotACapture { file, begin: format!("{begin:02x?}") }
            }
            Self::LinkType(number) => PcapError::LinkType { file, number },
            Self::Cut => PcapError::Cut { file, offset, frames },
            Self::Damaged(what) => PcapError::Damaged { file, offset, frames, what },
            Self::Read(cause) => PcapError::Read { file, offset, frames, cause },
        }
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
