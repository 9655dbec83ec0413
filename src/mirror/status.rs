//! The state of the mirror at one moment, for metrics and the page.

use std::{sync::Arc, time::Duration};

use super::account::Account;

/// The state of the mirror at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MirrorStatus {
    /// Where every row is.
    pub account: Account,
    /// Whether the database accepted the last rows, or answered the last ping.
    pub up: bool,
    /// The servers of the URL, as [`Target::address`](super::Target::address) writes them.
    pub servers: Arc<[String]>,
    /// Index of the connected server; `None` while none is connected.
    pub connected: Option<usize>,
    /// Rows that the database lost after it had confirmed them; they are also counted as written.
    pub reverted: u64,
    /// Age of the oldest packet that the database does not hold yet; 0 for none.
    pub lag: Duration,
    /// Bytes of the spool on disk.
    pub spool_size: u64,
    /// Rows in it for another database.
    pub other_target_rows: u64,
    /// Maximum size of the spool, bytes.
    pub spool_limit: u64,
    /// Whether expired rows are kept because a clock looks wrong.
    pub retention_held: bool,
    /// Panics in the mirror's threads.
    pub panics: u64,
    /// Time of the last successful maintenance, seconds since 1970; 0 for never.
    pub maintenance_timestamp: u64,
}
