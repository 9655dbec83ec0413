//! Finds the header of a packet's line, `IN=DEVICE OUT=DEVICE `, and the prefix before it.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use crate::source::log::kernel_time;

/// Maximum length of a device name: `IFNAMSIZ` of the kernel without its NUL.
const MAX_DEVICE: usize = 15;

/// Maximum length of a prefix: that of nftables, `NF_LOG_PREFIXLEN` without its NUL.
const MAX_PREFIX: usize = 127;

static OUT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b" OUT="));

/// The header of a packet's line in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// Offset of `IN=`.
    pub at: usize,
    pub in_device: &'a [u8],
    pub out_device: &'a [u8],
    /// Offset of the fields after the header.
    pub fields: usize,
}

/// The last header of a text: a prefix can contain the text of another.
pub(super) fn last_header(text: &[u8]) -> Option<Header<'_>> {
    OUT.find_iter(text).filter_map(|at| header_at(text, at)).last()
}

/// The header whose ` OUT=` is at this offset.
fn header_at(text: &[u8], out: usize) -> Option<Header<'_>> {
    let earliest = out.saturating_sub(MAX_DEVICE + 3);
    // The last one of the word: no blank is needed before `IN=`.
    let at = (earliest..=out.checked_sub(3)?).rev().find(|at| text[*at..].starts_with(b"IN="))?;
    let in_device = &text[at + 3..out];
    let after = &text[out + 5..];
    let length = after.iter().position(|byte| *byte <= b' ').unwrap_or(after.len());
    if length > MAX_DEVICE || in_device.iter().any(|byte| *byte <= b' ') {
        return None;
    }
    let fields = (out + 5 + length + 1).min(text.len());
    // A control character ends the line.
    let fields = if after.get(length) == Some(&b' ') { fields } else { text.len() };
    Some(Header { at, in_device, out_device: &after[..length], fields })
}

/// The prefix in the text before a header.
///
/// After a control character, after the level of a message, and after another line without a line break at its end.
pub(super) fn prefix(before: &[u8]) -> &[u8] {
    let control = before.iter().rposition(|byte| *byte < b' ');
    let before = &before[control.map_or(0, |at| at + 1)..];
    let level = before
        .windows(3)
        .rposition(|three| matches!(three, [b'<', level, b'>'] if level.is_ascii_digit()));
    let before = &before[level.map_or(0, |at| at + 3)..];
    let before = if let Some(message) = after_envelope(before) {
        message
    } else if let Some(earlier) = last_header(before)
        && memmem::find(&before[earlier.fields..], b"SRC=").is_some()
    {
        // Where the prefix begins in the other packet's line is not known.
        &[]
    } else {
        before
    };
    &before[before.len().saturating_sub(MAX_PREFIX)..]
}

/// The text after the last `kernel: ` and the time in brackets that can follow it.
fn after_envelope(text: &[u8]) -> Option<&[u8]> {
    const KERNEL: &[u8] = b"kernel: ";
    let text = &text[memmem::rfind(text, KERNEL)? + KERNEL.len()..];
    Some(kernel_time::split(text).map_or(text, |(_, rest)| rest))
}

/// Whether a text without a header is a part of a packet's line: its beginning, or its end.
pub(super) fn is_part_of_packet(text: &[u8]) -> bool {
    const FIELDS: [&[u8]; 8] =
        [b" SRC=", b" DST=", b" LEN=", b" TTL=", b" HOPLIMIT=", b" PROTO=", b" SPT=", b" DPT="];
    let found = FIELDS.iter().filter(|field| memmem::find(text, field).is_some());
    if found.count() >= 2 {
        return true;
    }
    // The beginning: up to `IN=DEVICE OUT`.
    let end = text.len() - text.iter().rev().take_while(|byte| **byte <= b' ').count();
    let earliest = end.saturating_sub(MAX_DEVICE + 3 + 4);
    let Some(at) = memmem::rfind(&text[earliest..end], b"IN=") else { return false };
    let mut words = text[earliest + at..end].split(|byte| *byte == b' ');
    words.next();
    words.next().is_none_or(|word| b"OUT=".starts_with(word)) && words.next().is_none()
}
