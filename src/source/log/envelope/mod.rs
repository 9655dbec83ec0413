//! Reads what syslog daemons, `dmesg` and `journalctl` write around a message of the kernel.
//!
//! Formats: RFC 3164 and 5424, with and without priority; times as rsyslog, systemd and `BusyBox` write them; lines of
//! `dmesg`, `/dev/kmsg` and `logread`; lines that say that a message was repeated; lines of the message alone. The
//! text is untrusted: any bytes have a result.

mod date;
mod repeated;
mod rfc5424;
mod sender;

use super::{kernel_time, line_time::LineTime};
use sender::Sender;

/// A line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Name or address of the host that wrote the message.
    pub host: Option<&'a [u8]>,
    /// Name of the program that wrote the message, without its process id; `None` if the line does not show it.
    pub program: Option<&'a [u8]>,
    /// When the message was written.
    pub time: LineTime,
    /// The message, without the time of the kernel.
    pub message: &'a [u8],
    /// The line stands for so many equal messages, which were written after a line with the message. The message is
    /// empty if the line does not show it: it is that of the previous line of the host.
    pub repeated: Option<u32>,
}

impl Envelope<'_> {
    /// Whether the program writes lines of packets: the kernel, or ulogd. The text of another program can come from
    /// the network and look like a packet, as in `Invalid user …` of sshd.
    #[must_use]
    pub fn may_log_packets(&self) -> bool {
        self.program.is_none_or(|program| matches!(program, b"kernel" | b"ulogd"))
    }
}

/// Takes a line apart. It may end with a line break.
#[must_use]
pub fn parse(line: &[u8]) -> Envelope<'_> {
    let (text, priority) = without_priority(trim(line));
    let envelope = if let Some(envelope) = rfc5424::parse(text).filter(|_| priority) {
        envelope
    } else if let Some((time, message)) = kmsg_record(text) {
        Envelope { time, ..bare(message) }
    } else {
        traditional(text, priority)
    };
    content(envelope)
}

/// A message without anything around it.
fn bare(message: &[u8]) -> Envelope<'_> {
    Envelope { host: None, program: None, time: LineTime::Unknown, message, repeated: None }
}

/// The line without line breaks, and without what is before its last NUL: a crash leaves NULs in a file, between the
/// line that it cut and the next one.
fn trim(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    let line = &line[..end.map_or(0, |at| at + 1)];
    let line = memchr::memrchr(0, line).map_or(line, |at| &line[at + 1..]);
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// The text after `<PRIORITY>`, and whether there is one.
fn without_priority(text: &[u8]) -> (&[u8], bool) {
    let Some(digits) = text.strip_prefix(b"<") else { return (text, false) };
    match kernel_time::number(digits) {
        Some((0..=999, [b'>', rest @ ..])) => (rest, true),
        _ => (text, false),
    }
}

/// A record of `/dev/kmsg`: `4,1234,5678901,-;message`.
fn kmsg_record(text: &[u8]) -> Option<(LineTime, &[u8])> {
    let (_, text) = kernel_time::number(text)?;
    let (_, text) = kernel_time::number(text.strip_prefix(b",")?)?;
    let (micros, text) = kernel_time::number(text.strip_prefix(b",")?)?;
    let message = text.iter().take(64).position(|byte| *byte == b';')?;
    text.starts_with(b",").then_some((LineTime::SinceBoot(micros), &text[message + 1..]))
}

/// RFC 3164 and its kin: time, host and program, each of which may be missing.
fn traditional(text: &[u8], has_priority: bool) -> Envelope<'_> {
    let mut envelope = bare(without_facility(text));
    // A relay can put its own time and host before those of the sender.
    for _ in 0..2 {
        let Some((time, rest)) = date::wall_time(envelope.message) else { break };
        let sender = Sender::after_time(rest);
        envelope = Envelope {
            host: sender.host.or(envelope.host),
            program: sender.program,
            time,
            message: sender.rest,
            repeated: None,
        };
        if envelope.program.is_some() {
            break;
        }
    }
    if envelope.time != LineTime::Unknown {
        return envelope;
    }
    if let Some((micros, rest)) = kernel_time::split(envelope.message) {
        envelope.time = LineTime::SinceBoot(micros);
        envelope.message = rest;
    }
    let has_time = envelope.time != LineTime::Unknown;
    let sender = Sender::without_time(envelope.message, has_priority || has_time);
    Envelope { host: sender.host, program: sender.program, message: sender.rest, ..envelope }
}

/// The text after `kern  :warn  : `, which `dmesg --decode` writes.
fn without_facility(text: &[u8]) -> &[u8] {
    let after = |text: &'_ [u8]| text.iter().take(9).position(|byte| *byte == b':');
    let facility =
        text.strip_prefix(b"kern").filter(|rest| matches!(rest.first(), Some(b' ' | b':')));
    let Some(level) = facility.and_then(|rest| Some(&rest[after(rest)? + 1..])) else {
        return text;
    };
    let Some(end) = after(level) else { return text };
    let message = &level[end + 1..];
    message.strip_prefix(b" ").unwrap_or(message)
}

/// Removes the time of the kernel from the message, and reads how often it was repeated.
fn content(mut envelope: Envelope<'_>) -> Envelope<'_> {
    without_kernel_time(&mut envelope);
    if let Some((count, message)) = repeated::split(envelope.message) {
        envelope.repeated = Some(count);
        envelope.message = message.strip_prefix(b"kernel: ").unwrap_or(message);
        without_kernel_time(&mut envelope);
    }
    envelope
}

fn without_kernel_time(envelope: &mut Envelope<'_>) {
    if let Some((micros, rest)) = kernel_time::split(envelope.message) {
        envelope.message = rest;
        if envelope.time == LineTime::Unknown {
            envelope.time = LineTime::SinceBoot(micros);
        }
    }
}
