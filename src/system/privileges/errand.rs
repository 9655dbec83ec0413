//! A piece of work done with another account's rights, to see what they are worth.

use std::{panic, thread};

use super::{Account, PrivilegesError, account::become_account, capabilities};

/// Does the work on a thread of its own that became the account, where one is given, and that has no
/// capability: as the exporter runs. The caller's own rights stay.
///
/// # Errors
/// The thread cannot become that account.
pub fn with_rights_of<T: Send>(
    account: Option<&Account>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, PrivilegesError> {
    let errand = || {
        if let Some(account) = account {
            become_account(account)?;
        }
        capabilities::clear().map_err(PrivilegesError::Capabilities)?;
        Ok(work())
    };
    thread::scope(|scope| {
        scope.spawn(errand).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}
