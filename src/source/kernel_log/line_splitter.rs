//! Splits a stream of bytes into whole lines. A line that is too long is counted and skipped.

use std::sync::Arc;

use super::meter::{Input, LineMeter};
use crate::source::log::packet_line::{MAX_TEXT, SkipReason};

/// Keeps the start of the line that is not complete yet.
#[derive(Debug)]
pub(super) struct LineSplitter {
    input: Input,
    meter: Arc<LineMeter>,
    /// At most [`MAX_TEXT`] bytes.
    start: Vec<u8>,
    is_skipping: bool,
}

impl LineSplitter {
    pub fn new(input: Input, meter: Arc<LineMeter>) -> Self {
        Self { input, meter, start: Vec::new(), is_skipping: false }
    }

    /// The lines that are complete with these bytes.
    pub fn lines(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        if self.is_skipping {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return Vec::new() };
            self.is_skipping = false;
            bytes = &bytes[end + 1..];
        }
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let (whole, rest) = bytes.split_at(end);
        let mut lines = Vec::new();
        if !whole.is_empty() {
            lines = std::mem::take(&mut self.start);
            lines.extend_from_slice(whole);
        }
        self.start.extend_from_slice(rest);
        if self.start.len() > MAX_TEXT {
            self.skip();
        }
        lines
    }

    /// The last line, without a line break.
    pub fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.start)
    }

    fn skip(&mut self) {
        self.start.clear();
        self.is_skipping = true;
        self.meter.count(self.input, 1);
        self.meter.skip(SkipReason::TooLong, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn split(parts: &[&[u8]]) -> (Vec<u8>, u64) {
        let meter = Arc::<LineMeter>::default();
        let mut splitter = LineSplitter::new(Input::Stdin, Arc::clone(&meter));
        let mut lines: Vec<u8> = parts.iter().flat_map(|part| splitter.lines(part)).collect();
        lines.extend(splitter.end());
        (lines, meter.skipped[SkipReason::TooLong as usize].load(Relaxed))
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let text = b"one\ntwo\n\nthree";
        for size in 1..=text.len() {
            let parts: Vec<_> = text.chunks(size).collect();
            assert_eq!(split(&parts), (text.to_vec(), 0), "{size}");
        }
    }

    #[test]
    fn an_endless_line_is_skipped_up_to_its_end() {
        let part = [b'x'; 1000];
        let mut parts: Vec<&[u8]> = vec![b"a\n"];
        parts.extend([&part[..]; 30]);
        parts.push(b"end\nb\n");
        assert_eq!(split(&parts), (b"a\nb\n".to_vec(), 1));
    }
}
