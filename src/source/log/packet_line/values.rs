//! Values of fields: numbers, addresses, names.

use std::net::IpAddr;

/// A decimal number of at most ten digits.
pub(super) fn decimal<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut number = 0_u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(byte - b'0');
    }
    T::try_from(number).ok()
}

/// A hexadecimal number of at most eight digits, with or without `0x`. Only in lower case, as it is written: `Dec` of
/// another line's date is no number.
pub(super) fn hexadecimal(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut number = 0_u32;
    for byte in digits {
        let digit = char::from(*byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase())?;
        number = number << 4 | digit;
    }
    Some(number)
}

/// An IPv4 or IPv6 address, with digits in lower case as above.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A name; its part before the first byte that is not UTF-8.
pub(super) fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    }
}
