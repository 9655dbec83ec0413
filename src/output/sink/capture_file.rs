//! The end of the last whole record in a capture file, so that writing can continue there.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, SeekFrom},
};

/// Length of the header of a record of pcap: time, captured length, original length.
const PCAP_RECORD: u64 = 16;

/// Length of the type and the length of a block of pcapng.
const PCAPNG_BLOCK: u64 = 8;

/// The length of the header and of the whole records of a capture, if it begins with this header in pcap format, or with
/// its first block in pcapng format; `None` for another content.
///
/// # Errors
/// The file cannot be read.
pub(in crate::output) fn whole_length(
    file: &File,
    header: &[u8],
    is_pcapng: bool,
) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut found = vec![0; header.len()];
    if length < header.len() as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut found)?;
    if found != header {
        return Ok(None);
    }
    let mut end = header.len() as u64;
    let (header_length, at) = if is_pcapng { (PCAPNG_BLOCK, 4) } else { (PCAP_RECORD, 8) };
    while end + header_length <= length {
        let mut start = [0; 16];
        let start = &mut start[..if is_pcapng { 8 } else { 16 }];
        reader.read_exact(start)?;
        let word = start[at..].first_chunk().copied().unwrap_or_default();
        let claimed = u64::from(u32::from_ne_bytes(word));
        let whole = if is_pcapng { claimed } else { header_length + claimed };
        // A power loss can leave NUL bytes in the place of records, none of which is empty.
        if claimed == 0 || whole < header_length || end + whole > length {
            break;
        }
        let rest = i64::try_from(whole - header_length).map_err(io::Error::other)?;
        reader.seek_relative(rest)?;
        end += whole;
    }
    Ok(Some(end))
}
