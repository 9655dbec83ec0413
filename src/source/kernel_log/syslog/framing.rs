//! Splits the bytes of a connection into messages: RFC 6587, with octet counts or line breaks, told apart for each message.

use std::sync::Arc;

use crate::source::{
    kernel_log::meter::{Input, LineMeter},
    log::packet_line::{MAX_TEXT, SkipReason},
};

/// Maximum number of digits of an octet count.
const MAX_DIGITS: usize = 6;

/// Keeps the start of the message that is not complete yet.
#[derive(Debug)]
pub(super) struct FrameSplitter {
    meter: Arc<LineMeter>,
    /// At most [`MAX_TEXT`] bytes.
    start: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// At the first byte of a message, or in its octet count.
    Begin,
    /// In a message of which this number of bytes is missing.
    Counted(usize),
    /// In a message that ends with a line break.
    Line,
    /// In a counted message that is skipped.
    SkipCounted(usize),
    /// In a line that is skipped.
    SkipLine,
}

impl FrameSplitter {
    pub fn new(meter: Arc<LineMeter>) -> Self {
        Self { meter, start: Vec::new(), state: State::Begin }
    }

    /// Whether a message is not complete.
    pub fn is_in_message(&self) -> bool {
        !matches!(self.state, State::Begin) || !self.start.is_empty()
    }

    /// Appends the messages that are complete with these bytes to `lines`, each with a line break.
    pub fn split(&mut self, mut bytes: &[u8], lines: &mut Vec<u8>) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Begin => self.begin(bytes),
                State::Counted(missing) => self.counted(missing, bytes, lines),
                State::Line => self.line(bytes, lines),
                State::SkipCounted(missing) => {
                    let count = missing.min(bytes.len());
                    self.state = match missing - count {
                        0 => State::Begin,
                        missing => State::SkipCounted(missing),
                    };
                    &bytes[count..]
                }
                State::SkipLine => match line_end(bytes) {
                    Some(end) => {
                        self.state = State::Begin;
                        &bytes[end + 1..]
                    }
                    None => &[],
                },
            };
        }
    }

    /// A last message without an end.
    pub fn end(&mut self, lines: &mut Vec<u8>) {
        if matches!(self.state, State::Line | State::Begin) && !self.start.is_empty() {
            self.finish(lines);
        }
    }

    /// Reads the octet count, if there is one.
    fn begin<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((&first, rest)) = bytes.split_first() else { return bytes };
        let is_first = self.start.is_empty();
        match first {
            // Between messages.
            b'\n' | b'\r' | 0 | b' ' if is_first => rest,
            b'1'..=b'9' if is_first => self.digit(first, rest),
            b'0'..=b'9' if !is_first && self.start.len() < MAX_DIGITS => self.digit(first, rest),
            b' ' => {
                let digits = self.start.iter();
                let count = digits.fold(0, |count, digit| count * 10 + usize::from(digit - b'0'));
                self.start.clear();
                self.state = if count > MAX_TEXT {
                    self.skip();
                    State::SkipCounted(count)
                } else {
                    State::Counted(count)
                };
                rest
            }
            // What looked like a count is a part of the line.
            _ => {
                self.state = State::Line;
                bytes
            }
        }
    }

    fn digit<'a>(&mut self, digit: u8, rest: &'a [u8]) -> &'a [u8] {
        self.start.push(digit);
        rest
    }

    fn counted<'a>(&mut self, missing: usize, bytes: &'a [u8], lines: &mut Vec<u8>) -> &'a [u8] {
        let count = missing.min(bytes.len());
        // A line break in a message must not split it.
        self.start.extend(bytes[..count].iter().map(|byte| match byte {
            b'\n' => b' ',
            byte => *byte,
        }));
        self.state = State::Counted(missing - count);
        if missing == count {
            self.finish(lines);
        }
        &bytes[count..]
    }

    fn line<'a>(&mut self, bytes: &'a [u8], lines: &mut Vec<u8>) -> &'a [u8] {
        let end = line_end(bytes);
        let length = end.unwrap_or(bytes.len());
        if self.start.len() + length > MAX_TEXT {
            self.start.clear();
            self.skip();
            self.state = State::SkipLine;
            return bytes;
        }
        self.start.extend_from_slice(&bytes[..length]);
        match end {
            Some(end) => {
                self.finish(lines);
                &bytes[end + 1..]
            }
            None => &[],
        }
    }

    fn finish(&mut self, lines: &mut Vec<u8>) {
        lines.append(&mut self.start);
        lines.push(b'\n');
        self.state = State::Begin;
    }

    fn skip(&mut self) {
        self.meter.count(Input::Syslog, 1);
        self.meter.skip(SkipReason::TooLong, 1);
    }
}

/// The end of a line: some senders write NUL instead of a line break.
fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn split(text: &[u8], size: usize) -> (String, u64) {
        let meter = Arc::<LineMeter>::default();
        let mut splitter = FrameSplitter::new(Arc::clone(&meter));
        let mut lines = Vec::new();
        for part in text.chunks(size) {
            splitter.split(part, &mut lines);
            assert!(splitter.start.len() <= MAX_TEXT, "{}", splitter.start.len());
        }
        splitter.end(&mut lines);
        let skipped = meter.skipped[SkipReason::TooLong as usize].load(Relaxed);
        (String::from_utf8_lossy(&lines).into_owned(), skipped)
    }

    /// However the bytes arrive: also one by one.
    #[track_caller]
    fn check(text: &str, expect: &str, skipped: u64) {
        for size in [1, 2, 3, 7, 100, 1 << 20] {
            assert_eq!(split(text.as_bytes(), size), (expect.into(), skipped), "size {size}");
        }
    }

    #[test]
    fn messages_have_counts_or_line_breaks() {
        check("<4>one\n<4>two\r\n", "<4>one\n<4>two\r\n", 0);
        check("6 <4>one6 <4>t\no<4>three\n", "<4>one\n<4>t o\n<4>three\n", 0);
        check("6 <4>one6 <4>two<4>three\n", "<4>one\n<4>two\n<4>three\n", 0);
        check("6 <4>one\n6 <4>two\n", "<4>one\n<4>two\n", 0);
        check("<4>nul\0<4>two", "<4>nul\n<4>two\n", 0);
        check("2026-12-03 kernel: x\n", "2026-12-03 kernel: x\n", 0);
        check("1234567 x\n", "1234567 x\n", 0);
        check("", "", 0);
    }

    #[test]
    fn wrong_counts_end_with_the_next_line_break() {
        // Too small: the rest is a line.
        check("3 <4>one\n<4>two\n", "<4>\none\n<4>two\n", 0);
        // Too large: it takes a part of the next message.
        check("9 <4>one\n<4>two\n<4>three\n", "<4>one <4\n>two\n<4>three\n", 0);
        check("0 <4>one\n<4>two\n", "0 <4>one\n<4>two\n", 0);
    }

    #[test]
    fn messages_that_are_too_long_are_skipped() {
        let long = "x".repeat(9000);
        check(&format!("{long}\n<4>two\n"), "<4>two\n", 1);
        check(&format!("9000 {long}<4>two\n"), "<4>two\n", 1);
        check(&format!("999999 {long}"), "", 1);
        let most = "x".repeat(8192);
        check(&format!("{most}\n8192 {most}"), &format!("{most}\n{most}\n"), 0);
    }
}
