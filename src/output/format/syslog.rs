//! The header of a syslog message, RFC 5424.

use std::io::Write as _;

use super::time::rfc3339;

/// Facility local0 and severity informational.
const PRIORITY: u8 = 16 * 8 + 6;

/// Maximum length of the host name in a message, RFC 5424, 6.
const MAX_HOST: usize = 255;

/// Appends the header of a message, with a space before the text.
pub(super) fn header(time: u64, host: &str, bytes: &mut Vec<u8>) {
    let host: String = host.chars().filter(char::is_ascii_graphic).take(MAX_HOST).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let (time, process) = (rfc3339(time), std::process::id());
    // Writing to memory does not fail.
    let _ = write!(bytes, "<{PRIORITY}>1 {time} {host} nflog_exporter {process} packet - ");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_every_field() {
        let check = |host: &str, expect: &str| {
            let mut bytes = Vec::new();
            header(1_500_000, host, &mut bytes);
            let process = std::process::id();
            let expect = format!(
                "<134>1 1970-01-01T00:00:01.500000Z {expect} nflog_exporter {process} packet - "
            );
            assert_eq!(String::from_utf8(bytes).unwrap(), expect);
        };
        check("gw", "gw");
        check("", "-");
        check("a b\n", "ab");
    }
}
