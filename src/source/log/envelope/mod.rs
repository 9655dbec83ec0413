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

/// The program of a line that shows by its facility, or by a process id in its text, that some program wrote it.
const SOME_PROGRAM: &[u8] = b"?";

/// The facility of the kernel (RFC 5424, section 6.2.1).
const KERNEL: u64 = 0;

/// Facilities that relays and routers also use for messages of the kernel: user, local0 to local7.
fn may_be_of_the_kernel(facility: u64) -> bool {
    matches!(facility, KERNEL | 1 | 16..=23)
}

/// Takes a line apart. It may end with a line break.
#[must_use]
pub fn parse(line: &[u8]) -> Envelope<'_> {
    let (text, facility) = without_priority(trim(line));
    let mut envelope = if let Some(envelope) = rfc5424::parse(text).filter(|_| facility.is_some()) {
        envelope
    } else if facility.is_some() && text.starts_with(b"1 ") {
        // RFC 5424, but invalid: what a client sent to a program can be in any place.
        Envelope { program: Some(SOME_PROGRAM), ..bare(text) }
    } else if let Some((time, message)) = kmsg_record(text) {
        Envelope { time, ..bare(message) }
    } else {
        traditional(text, facility)
    };
    let is_other = facility.is_some_and(|facility| !may_be_of_the_kernel(facility));
    if envelope.program.is_none() && (is_other || has_process(envelope.message)) {
        envelope.program = Some(SOME_PROGRAM);
    }
    content(envelope)
}

/// Whether the text before a packet has a `NAME[PROCESS]:`, as in a line whose time has an unknown form.
fn has_process(message: &[u8]) -> bool {
    let text = &message[..memchr::memmem::find(message, b"IN=").unwrap_or(message.len())];
    memchr::memmem::find_iter(text, b"]:").any(|end| {
        let before = &text[..end];
        let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let name = before[..before.len() - digits].strip_suffix(b"[");
        digits > 0 && name.and_then(|name| name.last()).is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// A message without anything around it.
fn bare(message: &[u8]) -> Envelope<'_> {
    Envelope { host: None, program: None, time: LineTime::Unknown, message, repeated: None }
}

/// The line without line breaks, and without what is before a run of NULs: a crash leaves them in a file, between the
/// line that it cut and the next one. One NUL can be a part of a program's text.
fn trim(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    let line = &line[..end.map_or(0, |at| at + 1)];
    let line = match memchr::memrchr(0, line) {
        Some(at) if at == 0 || line[at - 1] == 0 => &line[at + 1..],
        _ => line,
    };
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// The text after `<PRIORITY>`, and its facility.
fn without_priority(text: &[u8]) -> (&[u8], Option<u64>) {
    let Some(digits) = text.strip_prefix(b"<") else { return (text, None) };
    match kernel_time::number(digits) {
        Some((priority @ 0..=999, [b'>', rest @ ..])) => (rest, Some(priority / 8)),
        _ => (text, None),
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
fn traditional(text: &[u8], facility: Option<u64>) -> Envelope<'_> {
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
    let is_other = facility.is_some_and(|facility| facility != KERNEL);
    let sender = Sender::without_time(envelope.message, facility.is_some() || has_time, is_other);
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
