//! Classifies errors of ClickHouse.

use std::{error::Error, io};

use hyper::StatusCode;

use super::super::StoreError;

/// Maximum length of the server's text in a message, characters.
const MAX_TEXT: usize = 400;

/// The error of a request that got no answer.
pub(super) fn network(doing: &str, error: &(dyn Error + 'static)) -> StoreError {
    let mut text = format!("ClickHouse: cannot {doing}: {error}");
    let (mut is_certificate, mut is_no_http) = (false, false);
    let mut cause = Some(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        let tls = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        is_certificate |= matches!(tls, Some(rustls::Error::InvalidCertificate(_)));
        is_no_http |= matches!(tls, Some(rustls::Error::InvalidMessage(_)))
            || inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        cause = inner.source();
    }
    if is_no_http {
        text.push_str(NO_HTTP);
    }
    if is_certificate || is_no_http {
        StoreError::Denied(text)
    } else {
        StoreError::Unavailable(text)
    }
}

const NO_HTTP: &str = "; write clickhouse:// with the port of the HTTP interface (8123), or clickhouses:// with that \
                       of HTTPS (8443)";

/// The error of an answer, by ClickHouse's number of it or else by its status.
pub(super) fn refused(
    doing: &str,
    status: StatusCode,
    code: Option<u32>,
    text: &str,
) -> StoreError {
    let line = text.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    let text = format!("ClickHouse: cannot {doing}: {line}");
    match code {
        Some(code) => by_code(code, text),
        // A proxy whose server is unavailable.
        None if status.is_server_error() => {
            StoreError::Unavailable(format!("{text} (HTTP status {status})"))
        }
        None => StoreError::Denied(format!("{text} (HTTP status {status}){NO_HTTP}")),
    }
}

/// By the number of the error (`src/Common/ErrorCodes.cpp` of ClickHouse).
fn by_code(code: u32, text: String) -> StoreError {
    match code {
        // Users and passwords.
        192..=195 | 516 => {
            StoreError::Denied(format!("{text}; check the user and the password of the URL"))
        }
        // No such database.
        81 => StoreError::Denied(format!("{text}; run CREATE DATABASE")),
        // A right is missing.
        291 | 497 => StoreError::Denied(format!("{text}{GRANTS}")),
        // No such column, function, identifier, table, setting; a table in the way; read-only; not supported.
        8 | 10 | 16 | 36 | 44 | 46 | 47 | 48 | 57 | 60 | 62 | 80 | 115 | 164 | 344 | 452 => {
            StoreError::Denied(text)
        }
        // Values, and constraints that an administrator added.
        6 | 27 | 53 | 69 | 70 | 72 | 117 | 131 | 321 | 349 | 395 | 469 => {
            StoreError::Rejected(text)
        }
        // Too many parts, no memory, a time limit, no space, no Keeper, …
        _ => StoreError::Unavailable(text),
    }
}

/// The fix for a missing right.
pub(super) const GRANTS: &str = "; as an administrator, run: nflog_exporter schema --for clickhouse | \
    clickhouse-client --multiquery --database DATABASE, then, with the name of our user: GRANT SELECT, INSERT ON \
    DATABASE.packets TO …; GRANT CREATE TEMPORARY TABLE ON *.* TO …; and for retention: GRANT ALTER TTL, ALTER DELETE ON DATABASE.packets TO …; GRANT SELECT ON system.parts TO …";

#[cfg(test)]
mod tests {
    use super::*;

    fn class(error: &StoreError) -> String {
        let text = format!("{error:?}");
        text.split_once('(').unwrap().0.to_owned()
    }

    #[test]
    fn codes() {
        for (code, expect) in [
            (516, "Denied"),
            (497, "Denied"),
            (60, "Denied"),
            (81, "Denied"),
            (115, "Denied"),
            (469, "Rejected"),
            (27, "Rejected"),
            // TOO_MANY_PARTS, MEMORY_LIMIT_EXCEEDED, TIMEOUT_EXCEEDED, NOT_ENOUGH_SPACE, KEEPER_EXCEPTION,
            // TABLE_IS_READ_ONLY, CANNOT_READ_ALL_DATA.
            (252, "Unavailable"),
            (241, "Unavailable"),
            (159, "Unavailable"),
            (243, "Unavailable"),
            (999, "Unavailable"),
            (242, "Unavailable"),
            (33, "Unavailable"),
        ] {
            let error = refused("write", StatusCode::INTERNAL_SERVER_ERROR, Some(code), "");
            assert_eq!(class(&error), expect, "{code}");
        }
    }

    #[test]
    fn answers_without_a_code_come_from_another_server() {
        let proxy = refused("write", StatusCode::BAD_GATEWAY, None, "<html>\nx");
        assert_eq!(class(&proxy), "Unavailable");
        let other = refused("write", StatusCode::NOT_FOUND, None, "nothing here\u{1b}[31m");
        assert_eq!(class(&other), "Denied");
        let text = other.to_string();
        assert!(
            text.contains("nothing here[31m (HTTP status 404") && text.contains("8123"),
            "{text}"
        );
    }
}
