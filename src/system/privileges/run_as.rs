//! Runs a task with the privileges of another account, to check that they suffice.

use std::{panic, thread};

use super::{PrivilegesError, UserAccount, account::become_account, capabilities};

/// Runs the task on a thread of its own, without capabilities and as the account if one is given, like the exporter.
/// The caller keeps its privileges.
///
/// # Errors
/// The thread cannot change to that account.
pub fn with_rights_of<T: Send>(
    account: Option<&UserAccount>,
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
