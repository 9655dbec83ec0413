//! Classifies errors of SQLite.

use rusqlite::{Error, ErrorCode};

use super::StoreError;

/// The error of a step on the file `name`, classified by what helps: a retry, an administrator, or leaving out
/// rows.
pub(in crate::mirror) fn failure(name: &str, doing: &str, error: &Error) -> StoreError {
    let text = format!("SQLite {name}: cannot {doing}: {error}{}", hint(error));
    match error.sqlite_error_code() {
        Some(
            ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::ParameterOutOfRange,
        ) => StoreError::Rejected(text),
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied
            // An error in the statement: a table or column is missing.
            | ErrorCode::Unknown,
        )
        | None => StoreError::Denied(text),
        // Locked, read-only, full, unreadable, out of memory.
        Some(_) => StoreError::Unavailable(text),
    }
}

fn hint(error: &Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another process holds its lock: end that process's transaction"
        }
        Some(ErrorCode::ReadOnly) => "; make the file, its directory and its file system writable",
        Some(ErrorCode::DiskFull) => "; free some space, or set mirror.retention",
        Some(ErrorCode::CannotOpen) => {
            "; check that its directory exists, and that the program's user can write to the directory and to the file"
        }
        Some(ErrorCode::NotADatabase) => "; use another file, or move this one away",
        Some(ErrorCode::DatabaseCorrupt) => "; sqlite3's .recover may restore its rows",
        _ => "",
    }
}
