//! Runs a task with the privileges of another account, to test them.

use std::{panic, thread};

use super::{Account, PrivilegesError, account::become_account, capabilities};

/// Runs the task on a thread of its own, as the account if one is given, and without capabilities, as the exporter
/// runs. The caller keeps its privileges.
///
/// # Errors
/// The thread cannot change to that account.
pub fn with_rights_of<T: Send>(
    account: Option<&Account>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, PrivilegesError> {
    let task = || {
        if let Some(account) = account {
            become_account(account)?;
        }
        capabilities::clear().map_err(PrivilegesError::Capabilities)?;
        Ok(work())
    };
    thread::scope(|scope| {
        scope.spawn(task).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}
