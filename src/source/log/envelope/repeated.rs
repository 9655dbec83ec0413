//! Lines of a syslog daemon that stand for several equal messages.

use crate::source::log::kernel_time::number;

/// Splits `message repeated 28 times: [ MESSAGE]` of rsyslog into number and message, which rsyslog cuts at 800 bytes.
/// `last message repeated 28 times` of other daemons has no message.
pub(super) fn split(text: &[u8]) -> Option<(u32, &[u8])> {
    let is_last = text.starts_with(b"last ");
    let text = text.strip_prefix(b"last ").unwrap_or(text).strip_prefix(b"message repeated ")?;
    let (count, text) = number(text)?;
    let text = text.strip_prefix(b" time")?;
    let text = text.strip_prefix(b"s").unwrap_or(text);
    let count = u32::try_from(count).ok()?;
    if is_last {
        return Some((count, &[]));
    }
    let text = text.strip_prefix(b": [")?;
    let end = text.iter().rposition(|byte| *byte == b']').unwrap_or(text.len());
    Some((count, text[..end].trim_ascii_start()))
}
