//! A whole log file, compressed or not, read once.

use std::{
    fs::File,
    io::{self, Seek as _},
    sync::Arc,
    time::Duration,
};

use super::{
    line_reader::{LineReader, Origin, TimeLimits},
    meter::{Input as InputKind, LineMeter},
};
use crate::source::{
    ReadOutcome, Record, Source,
    input::Input,
    log::{
        envelope,
        line_time::Zone,
        packet_line::{MAX_TEXT, SkipReason},
    },
};

/// Maximum number of records of one [`Source::fill`].
const BATCH: u32 = 256;

/// Maximum number of lines of one [`Source::fill`].
const LINES: u32 = 4096;

/// How much of a file is read to find its first time, bytes.
const FIRST_LINES: usize = 64 * 1024;

/// A log file cannot be read to its end, or has lines and no packet.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// No line is a packet.
    #[error(
        "{file}: neither a capture (pcap, pcapng) nor a log with packets of a firewall: none of its {lines} lines \
         describes a packet; use a capture by `tcpdump -w`, or a log with lines such as `kernel: [UFW BLOCK] IN=eth0 \
         OUT= … SRC=192.0.2.1 DST=…`"
    )]
    NoPackets {
        /// The file.
        file: String,
        /// Its lines.
        lines: u64,
    },
    /// Reading or decompressing failed.
    #[error(
        "cannot read {file} after line {lines}: {cause}; the {packets} packets before it are counted"
    )]
    Read {
        /// The file.
        file: String,
        /// Lines before the error.
        lines: u64,
        /// Packets before the error.
        packets: u64,
        /// The error.
        cause: io::Error,
    },
}

/// An open log file: a [`Source`].
#[derive(Debug)]
pub struct LogFile {
    name: String,
    input: Input,
    reader: LineReader,
    meter: Arc<LineMeter>,
    /// When the file was last written, or now: microseconds since 1970.
    written: u64,
    /// Time of the last line that has one.
    last_time: Option<u64>,
    lines: u64,
    packets: u64,
    /// The rest of a line, up to its end, is skipped.
    is_in_skipped_line: bool,
    ended: bool,
}

impl LogFile {
    /// Reads a log from an input of which nothing was consumed.
    pub(in crate::source) fn from_input(
        name: String,
        input: Input,
        written: u64,
        zone: Zone,
        meter: Arc<LineMeter>,
    ) -> Self {
        Self {
            name,
            input,
            // Any host may have written it.
            reader: LineReader::new(zone, Arc::clone(&meter), ""),
            meter,
            written,
            last_time: None,
            lines: 0,
            packets: 0,
            is_in_skipped_line: false,
            ended: false,
        }
    }

    /// The input, for its position and its size.
    pub(in crate::source) fn input(&self) -> &Input {
        &self.input
    }

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the next line; false if there is none.
    fn next(&mut self, take: &mut dyn FnMut(&Record<'_>)) -> io::Result<bool> {
        let mut searched = 0;
        loop {
            let bytes = self.input.peek_all();
            if let Some(end) = memchr::memchr(b'\n', &bytes[searched..]) {
                self.line(searched + end + 1, take);
                return Ok(true);
            }
            searched = bytes.len();
            if searched > MAX_TEXT {
                self.skip(searched);
                return Ok(true);
            }
            if !self.input.fill(searched + 1)? {
                let rest = self.input.peek_all().len();
                if rest > 0 {
                    self.line(rest, take);
                }
                return Ok(rest > 0);
            }
        }
    }

    fn line(&mut self, length: usize, take: &mut dyn FnMut(&Record<'_>)) {
        if std::mem::take(&mut self.is_in_skipped_line) {
            self.input.take(length);
            return;
        }
        let origin = Origin {
            input: InputKind::File,
            stream: 0,
            sender: &[],
            reference: self.written,
            boot: None,
            unknown: self.last_time.or(Some(self.written)),
            limits: TimeLimits::RECORDED,
        };
        self.lines += 1;
        let time = self.reader.read(self.input.take(length), &origin, take);
        self.last_time = time.or(self.last_time);
    }

    /// Skips the start of a line that is too long.
    fn skip(&mut self, length: usize) {
        self.input.take(length);
        if !self.is_in_skipped_line {
            self.is_in_skipped_line = true;
            self.lines += 1;
            self.meter.count(InputKind::File, 1);
            self.meter.skip(SkipReason::TooLong, 1);
        }
    }

    fn end(&mut self, error: Option<io::Error>) -> anyhow::Result<ReadOutcome> {
        self.ended = true;
        let (file, lines, packets) = (self.name.clone(), self.lines, self.packets);
        match error {
            Some(cause) => Err(LogFileError::Read { file, lines, packets, cause }.into()),
            None if packets == 0 && lines > 0 => {
                Err(LogFileError::NoPackets { file, lines }.into())
            }
            None => Ok(ReadOutcome::End),
        }
    }
}

impl Source for LogFile {
    /// The error, a [`LogFileError`], is returned once, after all batches.
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        if self.ended {
            return Ok(ReadOutcome::End);
        }
        self.input.wait_at_most(timeout);
        let mut records = self.reader.read_repeated(BATCH, take);
        let mut failed = None;
        let mut lines = 0;
        while records < BATCH && lines < LINES && !self.reader.is_repeating() {
            lines += 1;
            let read = self.next(&mut |record| {
                records += 1;
                take(record);
            });
            match read {
                Ok(true) => {}
                Ok(false) if records == 0 => return self.end(None),
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            // Return the records read so far; a pipe may have no bytes for a long time.
            self.input.do_not_wait();
        }
        self.packets += u64::from(records);
        match failed {
            // The same error comes again after the records.
            Some(error) if records == 0 => self.end(Some(error)),
            _ if records > 0 => Ok(ReadOutcome::Batch),
            _ => Ok(ReadOutcome::Idle),
        }
    }
}

/// The time of the first line of a file that has one, microseconds since 1970. The file is read from its start
/// afterwards. `None` for a pipe, and for a file without times.
pub fn first_time(file: &mut File, written: u64, zone: &Zone) -> Option<u64> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let found = time_in(file.try_clone().ok()?, written, zone);
    file.rewind().ok()?;
    found
}

fn time_in(file: File, written: u64, zone: &Zone) -> Option<u64> {
    let mut input = Input::from_reader(file).ok()?;
    // Fails for a shorter file, whose bytes are in the buffer then.
    let _ = input.fill(FIRST_LINES);
    let lines = input.peek_all().split(|byte| *byte == b'\n').take(1000);
    lines.map(envelope::parse).find_map(|envelope| envelope.time.resolve(written, zone))
}
