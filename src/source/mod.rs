//! Sources of packets: the record type, the trait, and the sources NFLOG, kernel log lines and captures.

mod combined;
mod input;
pub mod kernel_log;
mod link;
pub mod log;
pub mod nflog;
pub mod pcap;
pub mod recording;

use std::time::Duration;

pub use combined::LiveSource;

use crate::{
    event::{Connection, Hook},
    packet::{Direction, Headers},
};

/// One logged packet, borrowed from the buffer of its source.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Number of the NFLOG group, 0 where the source has no groups.
    pub group: u16,
    /// Name of the host that logged the packet, if it is not this one; untrusted bytes, empty for this host.
    pub host: &'a [u8],
    /// The rule's log prefix as the kernel gave it, without its terminating NUL; untrusted bytes.
    pub prefix: &'a [u8],
    /// The netfilter hook that logged the packet, if known.
    pub hook: Option<Hook>,
    /// Direction of the packet, if known.
    pub direction: Option<Direction>,
    /// `EtherType` of the payload, if known; otherwise the payload's version nibble decides.
    pub ether_type: Option<u16>,
    /// The headers, if the source has read them itself; `None` if they are decoded from the payload.
    pub headers: Option<Headers>,
    /// The firewall mark, 0 for none.
    pub mark: u32,
    /// Name of the input device; empty for none.
    pub in_device: &'a str,
    /// Name of the output device; empty for none.
    pub out_device: &'a str,
    /// Hardware address of the sender, at most 8 bytes; empty for none.
    pub hardware_address: &'a [u8],
    /// User id of the local socket that sent the packet.
    pub uid: Option<u32>,
    /// The connection of the packet, if the source knows it.
    pub connection: Option<Connection>,
    /// Time of the packet, microseconds since 1970-01-01 UTC; `None` if unknown.
    pub time: Option<u64>,
    /// The captured bytes of the packet, from its IP header on.
    pub payload: &'a [u8],
    /// Length of the packet before truncation, from its IP header on; the captured length if unknown.
    pub wire_length: u32,
    /// The message of NFLOG that has the packet, from `struct nfgenmsg` on; empty for other sources.
    pub message: &'a [u8],
}

/// The result of one call of [`Source::fill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// At least one record was passed to the callback.
    Batch,
    /// No record arrived before the timeout.
    Idle,
    /// The source has no more records.
    End,
}

/// A source of packets.
pub trait Source: Send {
    /// Waits at most `timeout` for the next batch, and passes each of its records to `take`.
    ///
    /// # Errors
    /// The source cannot continue. Malformed input that it can skip is counted instead.
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome>;

    /// Whether records may be handed over after a later [`Source::fill`], which then does not wait. The default is no.
    fn can_defer(&self) -> bool {
        false
    }

    /// The records of the latest [`Source::fill`] are about to be handed over to every consumer. The default does nothing.
    fn handing_over(&mut self) {}

    /// They were handed over. The default does nothing.
    fn handed_over(&mut self) {}

    /// Stops the source. [`Source::fill`] still returns the records received so far, and then the end. The
    /// default does nothing, for finite sources.
    fn close(&mut self) {}
}
