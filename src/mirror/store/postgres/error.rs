//! Classifies errors of PostgreSQL.

use std::{error::Error as _, io};

use tokio_postgres::{Error, Row, error::DbError, types::FromSql};

use super::StoreError;

/// The error of a step, classified by what helps: a retry, an administrator, or leaving out rows.
pub(in crate::mirror) fn failure(doing: &str, error: &Error) -> StoreError {
    if let Some(answer) = error.as_db_error() {
        return sort(answer, format!("PostgreSQL: cannot {doing}: {}", describe(answer)));
    }
    let mut text = format!("PostgreSQL: cannot {doing}: {error}");
    let (mut io, mut certificate) = (error.is_closed(), false);
    let mut cause = error.source();
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
        certificate |= matches!(tls, Some(rustls::Error::InvalidCertificate(_)));
        io |= inner.is::<io::Error>();
        cause = inner.source();
    }
    // An error without a cause in the network is a setting: a missing password, or a server without TLS.
    if error.to_string().starts_with("error serializing") {
        return StoreError::Rejected(text);
    }
    if io && !certificate { StoreError::Unavailable(text) } else { StoreError::Denied(text) }
}

/// The value of a column. An unexpected one is an error, where the driver's `get` panics.
pub(in crate::mirror) fn value<'row, T: FromSql<'row>>(
    row: &'row Row,
    column: usize,
    doing: &str,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| failure(doing, &error))
}

fn describe(answer: &DbError) -> String {
    let mut text = format!("{} ({})", answer.message(), answer.code().code());
    for more in [answer.detail(), answer.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}

fn sort(answer: &DbError, text: String) -> StoreError {
    // A check that an administrator added has a name.
    if answer.code().code() == "23514" && answer.constraint().is_none() {
        return match answer.table() {
            // No partition accepts the row: maintenance creates one.
            Some("packets") => StoreError::Denied(text),
            // The row was routed to the default partition while another exporter created its day: a retry finds
            // the day.
            _ => StoreError::Unavailable(text),
        };
    }
    by_code(answer.code().code(), text)
}

/// By SQLSTATE (PostgreSQL's manual, appendix A).
fn by_code(code: &str, text: String) -> StoreError {
    match code.get(..2).unwrap_or_default() {
        // Wrong password, no such database or schema, no right, no such table or column.
        "28" | "3D" | "3F" | "42" | "0A" => StoreError::Denied(text),
        // Values, constraints, and rows too large for a page of an index.
        "22" | "23" | "54" => StoreError::Rejected(text),
        // A deadlock or a serialization failure: the transaction was rolled back.
        "40" if code != "40003" => StoreError::Conflict(text),
        // 08 connection, 25 transaction (a standby), 40003 unknown outcome, 53 resources, 55 locks,
        // 57 shut down or cancelled, 58 the disk, XX the server's own.
        _ => StoreError::Unavailable(text),
    }
}

/// Whether a table of this name exists already (42P07).
pub(super) fn is_in_the_way(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == "42P07")
}

/// Whether a right is missing (42501).
pub(super) fn lacks_right(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == "42501")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (code, expect) in [
            ("08006", "Unavailable"),
            ("25006", "Unavailable"),
            ("40P01", "Conflict"),
            ("40001", "Conflict"),
            ("40003", "Unavailable"),
            ("53300", "Unavailable"),
            ("55P03", "Unavailable"),
            ("57P03", "Unavailable"),
            ("57014", "Unavailable"),
            ("XX000", "Unavailable"),
            ("28P01", "Denied"),
            ("3D000", "Denied"),
            ("42501", "Denied"),
            ("42P01", "Denied"),
            ("22021", "Rejected"),
            ("23505", "Rejected"),
        ] {
            let sorted = format!("{:?}", by_code(code, String::new()));
            assert_eq!(sorted.split_once('(').unwrap().0, expect, "{code}");
        }
    }
}
