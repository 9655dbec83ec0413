//! The state of one output at one moment.

use super::account::OutputAccount;

/// The state of one output at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputStatus {
    /// The output's name.
    pub name: String,
    /// Where every packet is.
    pub account: OutputAccount,
    /// Whether the target accepted the last rows, or could be opened.
    pub is_up: bool,
}
