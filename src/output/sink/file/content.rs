//! What a file contains, and the repair of what an earlier run left unfinished.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::super::{whole_length, write_most};

/// Maximum length of an unfinished last line that is removed, bytes: no row is longer.
const MAX_LINE: u64 = 64 * 1024;

/// What the rows of a file are.
#[derive(Clone, Debug)]
pub(in crate::output) enum FileContent {
    /// Lines.
    Lines,
    /// Lines with JSON objects.
    JsonLines,
    /// Records of a capture after this header.
    Capture {
        /// The header of each file.
        header: Vec<u8>,
        /// Whether the format is pcapng, and not pcap.
        is_pcapng: bool,
    },
}

impl FileContent {
    /// The header of each file.
    pub(super) fn header(&self) -> &[u8] {
        match self {
            Self::Capture { header, .. } => header,
            Self::Lines | Self::JsonLines => &[],
        }
    }

    /// Removes an unfinished row at the end of an earlier run. Returns false if the file has another content, which stays as
    /// it is.
    pub(super) fn repair(&self, file: &File) -> io::Result<bool> {
        if let Self::Capture { header, is_pcapng } = self {
            let Some(whole) = whole_length(file, header, *is_pcapng)? else { return Ok(false) };
            if whole < file.metadata()?.len() {
                file.set_len(whole)?;
            }
            return Ok(true);
        }
        let (length, tail) = last_text(file)?;
        if matches!(tail.last(), None | Some(b'\n')) {
            return Ok(true);
        }
        let line = memchr::memrchr(b'\n', &tail).map_or(0, |end| end + 1);
        let is_row = matches!(self, Self::JsonLines) && tail[line..].starts_with(b"{\"");
        if is_row {
            file.set_len(length - (tail.len() - line) as u64)?;
        } else {
            // It may be another program's line, so it is completed.
            let (_, failure) = write_most(&mut &*file, b"\n");
            failure.map_or(Ok(()), Err)?;
        }
        Ok(true)
    }
}

/// Removes NUL bytes at the end of a file of lines, which a power loss can leave in the place of rows. Returns the length of
/// the file, and its end.
fn last_text(file: &File) -> io::Result<(u64, Vec<u8>)> {
    let mut length = file.metadata()?.len();
    loop {
        let mut tail = vec![0; usize::try_from(length.min(MAX_LINE)).unwrap_or_default()];
        let start = length - tail.len() as u64;
        file.read_exact_at(&mut tail, start)?;
        let text = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if text == tail.len() {
            return Ok((length, tail));
        }
        length = start + text as u64;
        file.set_len(length)?;
    }
}
