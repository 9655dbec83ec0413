//! The format pcap: one header of 24 bytes, then frames (draft-ietf-opsawg-pcap).
//!
//! Older versions and Kuznetzov's format, which the draft omits, follow libpcap's sf-pcap.c.

use super::{
    error::{CapturePart, ReadError},
    frame::{Frame, FrameLink, u16_of, u32_of},
    input::Input,
};

/// Maximum length of a frame: libpcap's `MAXIMUM_SNAPLEN`. A longer one means that the file is corrupt.
const MAX_FRAME: u32 = 262_144;
const FILE_HEADER: usize = 24;
/// Time (8), captured length (4), original length (4).
const FRAME_HEADER: usize = 16;
/// The same with an interface index and more after it (Kuznetzov's format).
const MODIFIED_FRAME_HEADER: usize = 24;
/// Mask of the link type; the upper bits describe checksums after the frames.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// The properties that the magic number encodes.
#[derive(Clone, Copy, Debug)]
struct Magic {
    big_endian: bool,
    nanoseconds: bool,
    modified: bool,
}

impl Magic {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = u32_of(true, bytes, 0)?;
        [true, false].into_iter().find_map(|big_endian| {
            let number = if big_endian { number } else { number.swap_bytes() };
            let (nanoseconds, modified) = match number {
                0xa1b2_c3d4 => (false, false),
                0xa1b2_3c4d => (true, false),
                0xa1b2_cd34 => (false, true),
                _ => return None,
            };
            Some(Self { big_endian, nanoseconds, modified })
        })
    }
}

/// Whether the bytes are a magic number of pcap: microseconds, nanoseconds or Kuznetzov's, in either byte
/// order.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    Magic::read(bytes).is_some()
}

/// Order of the two lengths of a frame.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    /// Before version 2.3, and in DG/UX's version 543.0.
    OriginalFirst,
    /// Version 2.3: programs wrote either order. The captured length is the smaller one.
    SmallerIsCaptured,
}

/// The file header: the properties of all frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileHeader {
    link: FrameLink,
    magic: Magic,
    lengths: Lengths,
}

impl FileHeader {
    /// Reads the file header.
    pub(super) fn read(input: &mut Input) -> Result<Self, ReadError> {
        if !input.fill(FILE_HEADER)? {
            return Err(ReadError::Cut(CapturePart::FileHeader));
        }
        let bytes = input.take(FILE_HEADER);
        let unreadable = || ReadError::damaged("the file header cannot be parsed");
        let magic = Magic::read(bytes).ok_or_else(unreadable)?;
        let version = u16_of(magic.big_endian, bytes, 4).zip(u16_of(magic.big_endian, bytes, 6));
        let lengths = match version.ok_or_else(unreadable)? {
            (2, 0..3) | (543, 0) => Lengths::OriginalFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            _ => Lengths::CapturedFirst,
        };
        let link = u32_of(magic.big_endian, bytes, 20).ok_or_else(unreadable)? & LINK_TYPE_MASK;
        match FrameLink::from_number(link) {
            FrameLink::Unsupported(number) => Err(ReadError::LinkTypes(vec![number])),
            link => Ok(Self { link, magic, lengths }),
        }
    }

    /// Reads the next frame; `None` after the last one.
    pub(super) fn next(self, input: &mut Input) -> Result<Option<Frame<'_>>, ReadError> {
        let Magic { big_endian, nanoseconds, modified } = self.magic;
        let length = if modified { MODIFIED_FRAME_HEADER } else { FRAME_HEADER };
        if !input.fill(length)? {
            return if input.is_at_boundary() {
                Ok(None)
            } else {
                Err(ReadError::Cut(CapturePart::Frame))
            };
        }
        let header = input.peek(length);
        let number = |at| u32_of(big_endian, header, at).unwrap_or_default();
        let (seconds, fraction) = (number(0), number(4));
        let (captured, original) = self.lengths.sort(number(8), number(12));
        if captured > MAX_FRAME {
            return Err(ReadError::Damaged(format!(
                "a frame has a length of {captured} bytes; the maximum is {MAX_FRAME}"
            )));
        }
        let whole = length + captured as usize;
        if !input.fill(whole)? {
            return Err(ReadError::Cut(CapturePart::Frame));
        }
        let fraction = if nanoseconds { fraction / 1000 } else { fraction };
        Ok(Some(Frame {
            link: self.link,
            big_endian,
            device: "",
            direction: None,
            time: Some(u64::from(seconds) * 1_000_000 + u64::from(fraction)),
            original_length: original,
            data: &input.take(whole)[length..],
        }))
    }
}

impl Lengths {
    /// The captured and the original length, given in the order of the file.
    fn sort(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::OriginalFirst => (second, first),
            Self::SmallerIsCaptured if first > second => (second, first),
            Self::CapturedFirst | Self::SmallerIsCaptured => (first, second),
        }
    }
}
