//! Deadlines of a store's calls.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use crate::mirror::store::StoreError;

/// Deadline for a connection to one server.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Deadline for the schema.
pub(super) const PREPARE: Duration = Duration::from_secs(60);

/// Deadline for a transaction or a query.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Deadline for maintenance; rows wait in the spool meanwhile.
pub(super) const MAINTENANCE: Duration = Duration::from_secs(120);

/// Applies a deadline to a call. On a timeout the call is dropped, and its connection with it.
pub(super) async fn within<T>(
    time: Duration,
    what: &str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(time, call).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!("{what} timed out after {} s", time.as_secs())))
    })
}
