//! The byte format of a segment: its header, the headers of its frames, and rows as their payload.
//!
//! All numbers are little-endian, all checksums CRC-32. Any change of [`Row`] or of this file requires a
//! new [`VERSION`].
//!
//! ```text
//! segment  magic 8 | version 2 | length of host 2 | session 8 | writer 16 | first row 8 | time 8
//!          | length of target 2 | host | target | checksum 4
//!          (version 1: without the target and its length)
//! rows     each row, followed by its context (versions 1 and 2: without the context)
//! frame    length of payload 4 | rows 4 | first row 8 | time 8 | checksum of payload 4
//!          | checksum of these 28 bytes 4 | payload
//! ```

use std::ops::Range;

use postcard::ser_flavors::Flavor;

use crate::mirror::{
    row::{Row, RowContext},
    store::Writer,
};

/// Version of the format.
pub const VERSION: u16 = 3;
/// The version whose rows have no context.
const BARE_ROWS: u16 = 2;
/// The version before, which had no target either.
const UNMARKED: u16 = 1;
/// Bytes of a segment's header before the first difference between versions.
const SEGMENT_START: usize = 52;
/// Maximum bytes of a segment's header.
pub const SEGMENT_HEADER_MAX: usize = SEGMENT_START + 2 + HOST_MAX + TARGET_MAX + 4;
/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 32;
/// Maximum rows of a frame.
pub const FRAME_ROWS: usize = 1024;
/// Maximum length of a host name, bytes.
pub const HOST_MAX: usize = 255;
/// Maximum length of a database's identity, bytes: more than any path.
pub const TARGET_MAX: usize = 4352;

const MAGIC: [u8; 8] = *b"nflogspl";
/// Maximum bytes of a frame's payload: more than [`FRAME_ROWS`] of the longest rows.
const PAYLOAD_MAX: usize = 4 << 20;
/// Minimum bytes of a row: one for each field.
const ROW_MIN: usize = 29;
/// Limit of row and session numbers: the maximum of a signed column.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// The header of a segment. Segments of earlier versions are only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Version of the format.
    pub version: u16,
    /// Number of the session, counted in this directory.
    pub session: u64,
    /// Writer of the rows.
    pub writer: Writer,
    /// Number of the first row.
    pub first: u64,
    /// Time of its creation, microseconds since 1970.
    pub time: u64,
    /// The database of the rows; `None` in a segment of the first version.
    pub target: Option<String>,
}

/// Why a segment's header is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// An unknown version of the format.
    Version(u16),
    /// The bytes are damaged.
    Damaged,
}

impl SegmentHeader {
    /// Encodes the header. The host is at most [`HOST_MAX`] bytes long, the target at most [`TARGET_MAX`].
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "both lengths are limited")]
    pub fn encode(&self) -> Vec<u8> {
        let host = self.writer.host.as_bytes();
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&(host.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.session.to_le_bytes());
        bytes.extend_from_slice(&self.writer.id);
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.time.to_le_bytes());
        let target = self.target.as_ref().map(String::as_bytes);
        if let Some(target) = target {
            bytes.extend_from_slice(&(target.len() as u16).to_le_bytes());
        }
        bytes.extend_from_slice(host);
        bytes.extend_from_slice(target.unwrap_or_default());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes the header at the start of these bytes; also returns its length.
    pub fn decode(bytes: &[u8]) -> Result<(Self, u64), HeaderError> {
        Self::fields(bytes).ok_or_else(|| {
            // The layout of a later version is unknown, including its checksum.
            match (bytes.starts_with(&MAGIC), number(bytes, 8).map(u16::from_le_bytes)) {
                (true, Some(version)) if !(UNMARKED..=VERSION).contains(&version) => {
                    HeaderError::Version(version)
                }
                _ => HeaderError::Damaged,
            }
        })
    }

    fn fields(bytes: &[u8]) -> Option<(Self, u64)> {
        let version = u16::from_le_bytes(number(bytes, 8)?);
        let host = usize::from(u16::from_le_bytes(number(bytes, 10)?));
        let (names, target) = match version {
            UNMARKED => (SEGMENT_START, 0),
            BARE_ROWS | VERSION => {
                let length = u16::from_le_bytes(number(bytes, SEGMENT_START)?);
                (SEGMENT_START + 2, usize::from(length))
            }
            _ => return None,
        };
        if !bytes.starts_with(&MAGIC) || host > HOST_MAX || target > TARGET_MAX {
            return None;
        }
        let end = names + host + target;
        let text = |from: usize, length: usize| {
            String::from_utf8(bytes.get(from..from + length)?.to_vec()).ok()
        };
        let checksum = u32::from_le_bytes(number(bytes, end)?);
        if crc32fast::hash(bytes.get(..end)?) != checksum {
            return None;
        }
        let header = Self {
            version,
            session: u64::from_le_bytes(number(bytes, 12)?),
            writer: Writer { id: number(bytes, 20)?, host: text(names, host)? },
            first: u64::from_le_bytes(number(bytes, 36)?),
            time: u64::from_le_bytes(number(bytes, 44)?),
            target: if version == UNMARKED { None } else { Some(text(names + host, target)?) },
        };
        let valid = header.session < NUMBER_MAX && header.first < NUMBER_MAX;
        valid.then_some((header, (end + 4) as u64))
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Number of the first row.
    pub first: u64,
    /// Number of rows, 1 to [`FRAME_ROWS`].
    pub rows: u32,
    /// When they were appended, microseconds since 1970.
    pub time: u64,
    /// Bytes of the payload.
    pub length: u32,
    checksum: u32,
}

impl FrameHeader {
    /// Decodes the header; `None` when it is damaged.
    #[must_use]
    pub fn decode(bytes: &[u8; FRAME_HEADER]) -> Option<Self> {
        let checksum = u32::from_le_bytes(number(bytes, 28)?);
        if crc32fast::hash(&bytes[..28]) != checksum {
            return None;
        }
        let header = Self {
            length: u32::from_le_bytes(number(bytes, 0)?),
            rows: u32::from_le_bytes(number(bytes, 4)?),
            first: u64::from_le_bytes(number(bytes, 8)?),
            time: u64::from_le_bytes(number(bytes, 16)?),
            checksum: u32::from_le_bytes(number(bytes, 24)?),
        };
        // A block of zeros has a valid checksum, but no rows.
        let (rows, length) = (header.rows as usize, header.length as usize);
        let valid = (1..=FRAME_ROWS).contains(&rows)
            && (rows * ROW_MIN..=PAYLOAD_MAX).contains(&length)
            && header.first < NUMBER_MAX - u64::from(header.rows);
        valid.then_some(header)
    }

    /// Number of the row after the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.rows)
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn size(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.length)
    }

    /// Appends the rows that are wanted of this frame, whose segment has this version. Returns `false` and appends
    /// nothing when the payload is damaged.
    pub fn rows_of(
        &self,
        version: u16,
        payload: &[u8],
        wanted: Range<u64>,
        rows: &mut Vec<Row>,
    ) -> bool {
        let before = rows.len();
        let whole = self.decode_rows(version, payload, wanted, rows);
        if !whole {
            rows.truncate(before);
        }
        whole
    }

    fn decode_rows(
        &self,
        version: u16,
        payload: &[u8],
        wanted: Range<u64>,
        rows: &mut Vec<Row>,
    ) -> bool {
        if crc32fast::hash(payload) != self.checksum {
            return false;
        }
        rows.reserve(self.rows as usize);
        let mut rest = payload;
        for number in self.first..self.end() {
            let Some((row, after)) = take_row(version, rest) else { return false };
            rest = after;
            if wanted.contains(&number) {
                rows.push(row);
            }
        }
        rest.is_empty()
    }
}

/// The row at the start of these bytes, and the bytes after it.
fn take_row(version: u16, bytes: &[u8]) -> Option<(Row, &[u8])> {
    let (mut row, mut rest) = postcard::take_from_bytes::<Row>(bytes).ok()?;
    if version > BARE_ROWS {
        (row.context, rest) = postcard::take_from_bytes::<RowContext>(rest).ok()?;
    }
    Some((row, rest))
}

/// Appends the rows as frames. Returns `false` when a row exceeds the maximum length.
#[expect(clippy::cast_possible_truncation, reason = "a frame's rows and bytes are limited")]
pub fn encode_frames(rows: &[Row], first: u64, time: u64, bytes: &mut Vec<u8>) -> bool {
    let mut first = first;
    for rows in rows.chunks(FRAME_ROWS) {
        let start = bytes.len();
        bytes.resize(start + FRAME_HEADER, 0);
        for row in rows {
            let row = (row, &row.context);
            if postcard::serialize_with_flavor(&row, AppendTo(bytes)).is_err() {
                return false;
            }
        }
        let (header, payload) = bytes[start..].split_at_mut(FRAME_HEADER);
        if payload.len() > PAYLOAD_MAX {
            return false;
        }
        header[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(rows.len() as u32).to_le_bytes());
        header[8..16].copy_from_slice(&first.to_le_bytes());
        header[16..24].copy_from_slice(&time.to_le_bytes());
        header[24..28].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let checksum = crc32fast::hash(&header[..28]);
        header[28..32].copy_from_slice(&checksum.to_le_bytes());
        first += rows.len() as u64;
    }
    true
}

/// The bytes of a number at this offset.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Serializes to the end of a reused vector.
struct AppendTo<'a>(&'a mut Vec<u8>);

impl Flavor for AppendTo<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
