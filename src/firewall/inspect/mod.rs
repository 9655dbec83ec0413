//! Inspects the loaded rules of this host, and which of them packets reach.

mod chains;
mod iptables;
mod listing;
mod nft;
mod reachability;

#[cfg(test)]
pub use chains::Base;
pub use chains::{Chain, Condition, LogTarget, Matches, Rule, Syntax, Table, Verdict};
pub use iptables::quoted;
pub use listing::{Listing, listing, native, saved};
pub use reachability::{Logging, Reach, logging};
