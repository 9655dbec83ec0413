//! The time that the kernel writes before a message: `[12345.678901] `, seconds since the start of the system.

/// Splits the time, in microseconds, from the message after it. `None` for a text without one.
///
/// Kernels with `CONFIG_PRINTK_CALLER` write the thread or processor after it: `[   12.345678][    C0] `.
pub(super) fn split(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b"[")?;
    let (seconds, text) = number(text.trim_ascii_start())?;
    let text = text.strip_prefix(b".")?;
    let (micros, text) = fraction(text)?;
    let mut text = text.strip_prefix(b"]")?;
    if let Some(caller) = text.strip_prefix(b"[") {
        let end = caller.iter().take(CALLER).position(|byte| *byte == b']')?;
        text = &caller[end + 1..];
    }
    let time = seconds.checked_mul(1_000_000)?.checked_add(u64::from(micros))?;
    Some((time, text.strip_prefix(b" ").unwrap_or(text)))
}

/// Maximum length of the caller.
const CALLER: usize = 16;

/// A decimal number at the start of a text, and the text after it.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 18 {
        return None;
    }
    let number = text[..length].iter().fold(0, |number, byte| number * 10 + u64::from(byte - b'0'));
    Some((number, &text[length..]))
}

/// The digits of a fraction of a second, in microseconds, and the text after them.
pub(super) fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let digits = text[..length].iter().chain(std::iter::repeat(&b'0')).take(6);
    let micros = digits.fold(0, |micros, byte| micros * 10 + u32::from(byte - b'0'));
    Some((micros, &text[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_padding_and_callers() {
        let texts: [(&str, Option<(u64, &str)>); 8] = [
            ("[12345.678901] text", Some((12_345_678_901, "text"))),
            ("[    1.000001] text", Some((1_000_001, "text"))),
            ("[    1.25][    C0] text", Some((1_250_000, "text"))),
            ("[1.2][ T123] [UFW BLOCK] ", Some((1_200_000, "[UFW BLOCK] "))),
            ("[UFW BLOCK] IN=", None),
            ("[12] text", None),
            ("[1.2", None),
            ("", None),
        ];
        for (text, expect) in texts {
            let split = split(text.as_bytes());
            let expect = expect.map(|(time, rest)| (time, rest.as_bytes()));
            assert_eq!(split, expect, "{text}");
        }
    }
}
