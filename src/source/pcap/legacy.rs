//! The format pcap: one header of 24 bytes, then frames (draft-ietf-opsawg-pcap).

use pcap_parser::pcap::{
    parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use super::{
    error::Trouble,
    frame::{Frame, u32_of},
    input::Input,
    link::Link,
};

/// Longest frame: libpcap's `MAXIMUM_SNAPLEN`. A longer one means that the file is damaged.
const MAX_FRAME: u32 = 262_144;
const FILE_HEADER: usize = 24;
/// Time (8), captured length (4), original length (4).
const FRAME_HEADER: usize = 16;
/// The same with an interface index and more behind it (Kuznetzov's format).
const MODIFIED_FRAME_HEADER: usize = 24;
/// The upper bits of the link type tell of checksums behind the frames.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// Whether a pcap file can begin like this: microseconds, nanoseconds or Kuznetzov's, either byte
/// order but for the last.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    matches!(
        *bytes,
        [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0xc3, 0xd4]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x34, 0xcd, 0xb2, 0xa1]
    )
}

/// What the file's header says of all its frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    link: Link,
    big_endian: bool,
    nanoseconds: bool,
    modified: bool,
}

impl Header {
    /// Takes the file's header.
    pub(super) fn read(input: &mut Input) -> Result<Self, Trouble> {
        if !input.need(FILE_HEADER)? {
            return Err(Trouble::Cut);
        }
        let (_, header) = parse_pcap_header(input.peek(FILE_HEADER))
            .map_err(|_| Trouble::damaged("the file header cannot be read"))?;
        let number = header.network.0.cast_unsigned() & LINK_TYPE_MASK;
        let read = Self {
            link: Link::from_number(number).ok_or(Trouble::LinkType(number))?,
            big_endian: header.is_bigendian(),
            nanoseconds: header.is_nanosecond_precision(),
            modified: header.is_modified_format(),
        };
        input.take(FILE_HEADER);
        Ok(read)
    }

    /// Takes the next frame; `None` behind the last one.
    pub(super) fn next(self, input: &mut Input) -> Result<Option<Frame<'_>>, Trouble> {
        let header = if self.modified { MODIFIED_FRAME_HEADER } else { FRAME_HEADER };
        if !input.need(header)? {
            return if input.is_at_boundary() { Ok(None) } else { Err(Trouble::Cut) };
        }
        let length = u32_of(self.big_endian, input.peek(header), 8).unwrap_or_default();
        if length > MAX_FRAME {
            return Err(Trouble::Damaged(format!(
                "a frame claims {length} bytes, {MAX_FRAME} is the most"
            )));
        }
        let whole = header + length as usize;
        if !input.need(whole)? {
            return Err(Trouble::Cut);
        }
        let bytes = input.take(whole);
        let parsed = if self.modified {
            parse_pcap_frame_modified(bytes)
        } else if self.big_endian {
            parse_pcap_frame_be(bytes)
        } else {
            parse_pcap_frame(bytes)
        };
        let Ok((_, frame)) = parsed else { return Ok(Some(Frame::UNREADABLE)) };
        let fraction = if self.nanoseconds { frame.ts_usec / 1000 } else { frame.ts_usec };
        Ok(Some(Frame {
            link: Some(self.link),
            big_endian: self.big_endian,
            device: "",
            direction: None,
            time: Some(u64::from(frame.ts_sec) * 1_000_000 + u64::from(fraction)),
            original_length: frame.origlen,
            data: frame.data,
        }))
    }
}
