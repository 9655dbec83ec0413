//! The header of RFC 5424.

use super::{Envelope, bare, date, sender::word};
use crate::source::log::line_time::LineTime;

/// Reads the text after the priority: `1 TIME HOST PROGRAM PROCESS MESSAGE-ID DATA MESSAGE`, where `-` is no value.
/// `None` for another format.
pub(super) fn parse(text: &[u8]) -> Option<Envelope<'_>> {
    let text = text.strip_prefix(b"1 ")?;
    let (time, text) = match text.strip_prefix(b"- ") {
        Some(rest) => (LineTime::Unknown, rest),
        None => date::iso(text)?,
    };
    let (host, text) = word(text);
    let (program, text) = word(text);
    let (_process, text) = word(text);
    let (_message_id, text) = word(text);
    let message = after_data(text)?;
    let message = message.strip_prefix(b" ").unwrap_or(message);
    Some(Envelope {
        host: (host != b"-").then_some(host),
        program: (program != b"-").then_some(program),
        time,
        ..bare(message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message))
    })
}

/// The text after the structured data: `-`, or elements such as `[id name="value"]`.
fn after_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let mut rest = text.strip_prefix(b"[")?;
    loop {
        let mut is_quoted = false;
        let mut is_escaped = false;
        let end = rest.iter().position(|byte| {
            if is_escaped {
                is_escaped = false;
            } else if is_quoted && *byte == b'\\' {
                is_escaped = true;
            } else if *byte == b'"' {
                is_quoted = !is_quoted;
            }
            *byte == b']' && !is_quoted
        })?;
        rest = &rest[end + 1..];
        match rest.strip_prefix(b"[") {
            Some(next) => rest = next,
            None => return Some(rest),
        }
    }
}
