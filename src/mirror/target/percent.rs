//! Decodes the percent codes of a URL.

use percent_encoding::percent_decode_str;

use super::TargetError;

/// Decodes percent codes.
pub(super) fn decode(value: &str) -> Result<String, TargetError> {
    let text = percent_decode_str(value).decode_utf8();
    let text = text.map_err(|_| TargetError::Syntax("its percent codes are not valid UTF-8"))?;
    if text.contains('\0') {
        return Err(TargetError::Syntax("it has a %00 in it"));
    }
    Ok(text.into_owned())
}

/// Decodes text that messages show.
pub(super) fn one_line(value: &str) -> Result<String, TargetError> {
    let text = decode(value)?;
    if text.contains(char::is_control) {
        return Err(TargetError::Syntax("it has a control character in it"));
    }
    Ok(text)
}
