//! Where packets come from: one record type, one trait with one method that matters.

mod link;
pub mod nflog;
pub mod pcap;

use std::time::Duration;

use crate::{
    event::Hook,
    packet::{DecodeIssue, Direction},
};

/// One logged packet as its source hands it over, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Number of the NFLOG group, 0 where the source has no groups.
    pub group: u16,
    /// The rule's log prefix as the kernel gave it, without its terminating NUL; untrusted bytes.
    pub prefix: &'a [u8],
    /// Where in the kernel the packet was logged, if the source knows.
    pub hook: Option<Hook>,
    /// Which way the packet went, if the source knows.
    pub direction: Option<Direction>,
    /// `EtherType` of the payload, if the source knows; else the payload's version nibble decides.
    pub ether_type: Option<u16>,
    /// Why there is no payload to decode; `None` where there is.
    pub issue: Option<DecodeIssue>,
    /// The firewall mark, 0 for none.
    pub mark: u32,
    /// Name of the device the packet came in on; empty for none.
    pub in_device: &'a str,
    /// Name of the device the packet goes out on; empty for none.
    pub out_device: &'a str,
    /// Hardware address of the sender, at most 8 bytes; empty for none.
    pub hardware_address: &'a [u8],
    /// User id of the local socket that sent the packet.
    pub uid: Option<u32>,
    /// Time of the packet, microseconds since 1970-01-01 UTC; `None` when the source has none.
    pub time: Option<u64>,
    /// The packet from its IP header on, as far as it was captured.
    pub payload: &'a [u8],
    /// Length of the packet from its IP header on before it was cut, where the source knows it;
    /// else the captured length.
    pub wire_length: u32,
}

/// What one call of [`Source::fill`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Some records were handed over.
    Batch,
    /// Nothing came in the time given.
    Idle,
    /// The source has no more records, ever.
    End,
}

/// A place packets come from.
pub trait Source: Send {
    /// Waits for the next batch, `patience` at most, and hands each of its records to `take`.
    ///
    /// # Errors
    /// A source that cannot go on; whatever it can step over it counts instead.
    fn fill(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome>;

    /// Lets no more come. What came so far can still be had from [`Source::fill`], which then tells
    /// the end. Nothing to do for a source that ends by itself.
    fn close(&mut self) {}
}
