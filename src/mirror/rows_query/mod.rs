//! Questions of the drill-down about stored rows: which packets, and what to show of them.

mod columns;
pub(super) mod packets;
mod source_order;
pub(super) mod sources;
mod statement;

use std::{net::IpAddr, ops::RangeInclusive};

pub use columns::{Column, ColumnKind};
pub use packets::COLUMNS as PACKET_COLUMNS;
pub use source_order::SourceOrder;
pub use sources::COLUMNS as SOURCE_COLUMNS;

pub(super) use statement::{Access, Dialect, Parameter, Statement};

/// A question about the rows of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Times of the packets, microseconds since 1970-01-01 UTC.
    pub period: RangeInclusive<u64>,
    /// What all packets must have.
    pub conditions: Vec<RowCondition>,
    /// What to return of them.
    pub subject: Subject,
    /// Maximum number of rows of the answer.
    pub limit: u32,
}

/// A condition on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowCondition {
    /// The host that logged it.
    Host(String),
    /// The country of the remote end, as in the column.
    Country(String),
    /// The log prefix.
    Prefix(String),
    /// The upper-layer protocol; `None`: not decoded.
    Protocol(Option<u8>),
    /// The destination port; `None`: it has no ports.
    Port(Option<u16>),
    /// The source is one of these addresses, of one IP version; `None`: not decoded.
    Source(Option<RangeInclusive<IpAddr>>),
}

/// What an answer contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The sources in an order, as [`SOURCE_COLUMNS`].
    Sources {
        /// The order.
        order: SourceOrder,
        /// Number of sources to leave out at the start.
        skip: u32,
    },
    /// The newest packets, as [`PACKET_COLUMNS`].
    Packets {
        /// Only packets before this one.
        before: Option<RowPosition>,
    },
}

/// The place of a row in the order of all rows: newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPosition {
    /// Its time, microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// Its number: the column `id`, in ClickHouse `sequence`.
    pub number: u64,
    /// In ClickHouse the column `writer`, 32 hexadecimal digits; otherwise empty.
    pub writer: String,
}

#[cfg(test)]
mod tests;
