//! Classifies errors of MySQL.

use std::error::Error as _;

use mysql_async::{DriverError, Error, IoError, ServerError};

use super::StoreError;

/// `ER_LOCK_DEADLOCK`
const DEADLOCK: u16 = 1213;

const PACKET: &str = "set the server's max_allowed_packet to 16M, at least 1M";

/// The error of a step, classified by what helps: a retry, an administrator, or leaving out rows.
pub(in crate::mirror) fn failure(doing: &str, error: &Error) -> StoreError {
    let text = |what: &dyn std::fmt::Display| format!("MySQL: cannot {doing}: {what}");
    match error {
        Error::Server(answer) => sort(answer, text(answer)),
        Error::Io(IoError::Tls(tls)) => StoreError::Denied(text(tls)),
        Error::Io(IoError::Io(io)) => {
            let certificate = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .is_some_and(|tls| matches!(tls, rustls::Error::InvalidCertificate(_)));
            if certificate {
                return StoreError::Denied(format!(
                    "{}; set the file of its authority in the URL, or use the host name of the certificate",
                    text(io)
                ));
            }
            StoreError::Unavailable(text(io))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            StoreError::Denied(text(&"the server offers no TLS"))
        }
        Error::Driver(DriverError::PacketTooLarge) => StoreError::Denied(text(&PACKET)),
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled,
        ) => StoreError::Denied(text(error)),
        // The driver's text is a dump of bytes.
        Error::Driver(DriverError::UnexpectedPacket { .. }) => {
            StoreError::Unavailable(text(&"unexpected answer of the server"))
        }
        Error::Other(_) | Error::Url(_) | Error::Driver(_) => {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            StoreError::Unavailable(text(&cause))
        }
    }
}

/// By the server's error number, otherwise by SQLSTATE (MySQL's and MariaDB's error references).
fn sort(answer: &ServerError, text: String) -> StoreError {
    match answer.code {
        // A deadlock, or on a cluster a transaction that another node's preceded: the server rolled it back.
        DEADLOCK => StoreError::Conflict(text),
        1045 | 1698 => StoreError::Denied(format!("{text}; check user and password of the URL")),
        1044 | 1049 => StoreError::Denied(format!(
            "{text}; as an administrator run CREATE DATABASE and GRANT ALL ON DATABASE.* TO USER"
        )),
        // The packet is too large: a retry would fail too.
        1153 => StoreError::Denied(format!("{text}; {PACKET}")),
        // A statement that was killed, too many connections, no room for a transaction: their SQLSTATEs are those
        // of syntax and rights.
        1040 | 1203 | 1226 | 1317 | 1969 | 3024 | 1615 => StoreError::Unavailable(text),
        // Values: wrong type or character set, too long, out of range, NULL where not allowed, or rejected by a
        // check or a trigger.
        1048 | 1062 | 1264 | 1265 | 1292 | 1300 | 1366 | 1367 | 1406 | 1452 | 1644 | 3819
        | 3988 | 4025 => StoreError::Rejected(text),
        // No default, no partition for the time, an expired password, or TLS is required.
        1364 | 1526 | 1820 | 1862 | 3118 | 3159 | 4151 => StoreError::Denied(text),
        _ => match answer.state.get(..2).unwrap_or_default() {
            "22" | "23" => StoreError::Rejected(text),
            "28" | "42" | "3D" => StoreError::Denied(text),
            _ => StoreError::Unavailable(text),
        },
    }
}

/// Whether a right is missing.
pub(super) fn lacks_right(error: &Error) -> bool {
    matches!(code(error), Some(1044 | 1142 | 1143 | 1227 | 1370))
}

/// The server's message, without the driver's prefix.
pub(super) fn answer(error: &Error) -> String {
    match error {
        Error::Server(answer) => answer.to_string(),
        error => error.to_string(),
    }
}

/// The server's error number, if the server sent the error.
pub(super) fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(answer) => Some(answer.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codes: &[(u16, &str)], expect: fn(String) -> StoreError) {
        for (code, state) in codes {
            let error = Error::Server(ServerError {
                code: *code,
                message: "it says".to_owned(),
                state: (*state).to_owned(),
            });
            let found = failure("write", &error);
            let message = format!("MySQL: cannot write: ERROR {code} ({state}): it says");
            assert_eq!(
                std::mem::discriminant(&found),
                std::mem::discriminant(&expect(String::new())),
                "{code}"
            );
            assert!(found.to_string().starts_with(&message), "{found}");
        }
    }

    #[test]
    fn temporary_errors() {
        let codes = [
            (1021, "HY000"),
            (1040, "08004"),
            (1053, "08S01"),
            (1114, "HY000"),
            (1047, "08S01"),
            (1180, "HY000"),
            (1205, "HY000"),
            (1226, "42000"),
            (1290, "HY000"),
            (1317, "70100"),
            (1836, "HY000"),
            (1927, "70100"),
            (9007, "HY000"),
        ];
        check(&codes, StoreError::Unavailable);
    }

    #[test]
    fn conflicts() {
        check(&[(1213, "40001")], StoreError::Conflict);
    }

    #[test]
    fn errors_for_an_administrator() {
        let codes = [
            (1044, "42000"),
            (1045, "28000"),
            (1049, "42000"),
            (1054, "42S22"),
            (1142, "42000"),
            (1143, "42000"),
            (1146, "42S02"),
            (1153, "08S01"),
            (1227, "42000"),
            (1364, "HY000"),
            (1526, "HY000"),
        ];
        check(&codes, StoreError::Denied);
    }

    #[test]
    fn errors_of_values() {
        let codes = [
            (1048, "23000"),
            (1264, "22003"),
            (1265, "01000"),
            (1292, "22007"),
            (1366, "HY000"),
            (1406, "22001"),
            (1644, "45000"),
            (3988, "HY000"),
            (4025, "23000"),
        ];
        check(&codes, StoreError::Rejected);
    }
}
