//! Reads `/dev/kmsg`, the kernel's own log: one record for each read, numbered.
//!
//! Format: `Documentation/ABI/testing/dev-kmsg` of the kernel.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use super::{
    config::StartAt,
    meter::{Input, LineMeter},
    queue::{Chunk, ChunkQueue},
};

/// Path of the device.
pub const DEVICE: &str = "/dev/kmsg";

/// Longer than every record: `CONSOLE_EXT_LOG_MAX` of the kernel is 8,192.
const RECORD: usize = 16 * 1024;

/// Maximum bytes of one chunk.
const CHUNK: usize = 64 * 1024;

/// Cannot open the device.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {DEVICE}: {cause}; {}", advice(cause))]
pub struct KmsgError {
    cause: io::Error,
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "with kernel.dmesg_restrict = 1, this needs the capability CAP_SYSLOG: start the program as root, or \
             grant it (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_SYSLOG, ProtectKernelLogs=no, \
             PrivateDevices=no, DeviceAllow=/dev/kmsg r)"
        }
        io::ErrorKind::NotFound => {
            "a container does not have the device: run the program on the host, or follow a log file with \
             --kernel-log.file"
        }
        _ => "follow a log file with --kernel-log.file instead",
    }
}

/// Checks whether the device can be opened.
///
/// # Errors
/// Why it cannot, and what to do.
pub fn check_kmsg() -> Result<(), KmsgError> {
    Kmsg::open(StartAt::End).map(drop)
}

/// The open device.
#[derive(Debug)]
pub(super) struct Kmsg(File);

impl Kmsg {
    /// Opens the device. Reading it needs no privilege then.
    pub fn open(from: StartAt) -> Result<Self, KmsgError> {
        let opened = || {
            let mut file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
                .open(Path::new(DEVICE))?;
            match from {
                StartAt::End => file.seek(SeekFrom::End(0))?,
                StartAt::Start => file.seek(SeekFrom::Start(0))?,
            };
            Ok(file)
        };
        opened().map(Self).map_err(|cause| KmsgError { cause })
    }

    /// Reads records until the queue is stopped, and then those that are there.
    pub fn run(mut self, queue: &ChunkQueue, meter: &Arc<LineMeter>) -> io::Result<()> {
        let mut records = Records::default();
        loop {
            let is_last = queue.is_stopped();
            let is_blocked = records.read(&mut self.0)?;
            if records.lost > 0 {
                meter.lose(Input::Kmsg, std::mem::take(&mut records.lost));
            }
            let lines = std::mem::take(&mut records.lines);
            let chunk =
                Chunk { lines, input: Input::Kmsg, stream: 0, sender: None, checkpoint: None };
            if !chunk.lines.is_empty() && !queue.push(chunk) {
                return Ok(());
            }
            if is_last && (is_blocked || queue.is_over()) {
                return Ok(());
            }
            if is_blocked {
                queue.wait(Some(self.0.as_fd()), None)?;
            }
        }
    }
}

/// The records of the kernel, as lines.
#[derive(Debug, Default)]
struct Records {
    lines: Vec<u8>,
    /// Records that were overwritten before they were read.
    lost: u64,
    /// Number of the next record.
    next: Option<u64>,
}

impl Records {
    /// Reads up to a chunk. Returns whether there was no further record.
    fn read(&mut self, device: &mut impl Read) -> io::Result<bool> {
        let mut record = [0; RECORD];
        while self.lines.len() < CHUNK {
            match device.read(&mut record) {
                Ok(0) => return Ok(true),
                Ok(length) => self.add(&record[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // Records were overwritten; the next one has the first number that still exists.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Adds a record: `PRIORITY,NUMBER,MICROSECONDS,FLAGS;MESSAGE`, and lines with properties of a device.
    fn add(&mut self, record: &[u8]) {
        let header = |field: usize| {
            let fields = record.split(|byte| *byte == b';').next().unwrap_or_default();
            let text = fields.split(|byte| *byte == b',').nth(field)?;
            std::str::from_utf8(text).ok()?.parse::<u64>().ok()
        };
        if let Some(number) = header(1) {
            self.lost += self.next.map_or(0, |next| number.saturating_sub(next));
            self.next = Some(number + 1);
        }
        // Programs can write to the device, but not as facility 0, the kernel.
        if header(0).is_none_or(|priority| priority >> 3 != 0) {
            return;
        }
        let line = record.split(|byte| *byte == b'\n').next().unwrap_or_default();
        unescape(line, &mut self.lines);
        self.lines.push(b'\n');
    }
}

/// Decodes `\x5c`. Control characters stay escaped, so that a record stays one line.
fn unescape(mut text: &[u8], to: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        to.extend_from_slice(&text[..at]);
        text = &text[at..];
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = match text {
            [b'\\', b'x', high, low, ..] => digit(*high)
                .zip(digit(*low))
                .and_then(|(high, low)| u8::try_from(high << 4 | low).ok()),
            _ => None,
        };
        if let Some(byte) = byte.filter(|byte| *byte >= b' ') {
            to.push(byte);
            text = &text[4..];
        } else {
            to.push(b'\\');
            text = &text[1..];
        }
    }
    to.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A device with these records and errors.
    struct Device(VecDeque<io::Result<&'static str>>);

    impl Read for Device {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                Some(Ok(record)) => {
                    buffer[..record.len()].copy_from_slice(record.as_bytes());
                    Ok(record.len())
                }
                Some(Err(error)) => Err(error),
                None => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    fn read(records: impl IntoIterator<Item = io::Result<&'static str>>) -> (String, u64) {
        let mut read = Records::default();
        assert!(read.read(&mut Device(records.into_iter().collect())).unwrap());
        (String::from_utf8(read.lines).unwrap(), read.lost)
    }

    #[test]
    fn overwritten_records_are_counted_by_their_numbers() {
        let overwritten = || Err(io::Error::from_raw_os_error(libc::EPIPE));
        let (lines, lost) = read([
            Ok("4,100,1,-;IN=a"),
            Ok("4,101,2,-;IN=b"),
            overwritten(),
            Ok("4,150,3,-;IN=c"),
            overwritten(),
            Ok("4,151,4,-;IN=d"),
        ]);
        assert_eq!(lines, "4,100,1,-;IN=a\n4,101,2,-;IN=b\n4,150,3,-;IN=c\n4,151,4,-;IN=d\n");
        assert_eq!(lost, 48);
    }

    #[test]
    fn only_lines_of_the_kernel_are_read() {
        let (lines, lost) = read([
            Ok("12,1,1,-;IN=forged"),
            Ok("4,2,1,-;usb\\x20 1\n SUBSYSTEM=usb\n DEVICE=c1:1\n"),
            Ok("x"),
            Ok("4,4,1,-,caller=T1;a\\x0ab\\x5c\\xc3\\xa4\\x4"),
        ]);
        assert_eq!(lines, "4,2,1,-;usb  1\n4,4,1,-,caller=T1;a\\x0ab\\ä\\x4\n");
        assert_eq!(lost, 1);
    }
}
