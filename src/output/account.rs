//! The account of an output: where every packet is, or why it was not written.

use crate::mirror::select::Filtered;

/// Why an output lost a packet: the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputDropReason {
    /// The queue was full, because the target was down or too slow.
    QueueFull,
    /// The row was longer than a datagram of the target can be.
    TooLong,
    /// The exporter ended while the target was down.
    Unavailable,
    /// Making the row panicked: a bug.
    Panicked,
}

impl OutputDropReason {
    /// Every reason, in the order of discriminants.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::TooLong, Self::Unavailable, Self::Panicked];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLong => "too_long",
            Self::Unavailable => "unavailable",
            Self::Panicked => "panicked",
        }
    }
}

/// Number of reasons for which a packet gives no row.
pub(super) const FILTERED: usize = Filtered::ALL.len() + 1;

/// Index of the reason that the format cannot represent the packet, for example because its source has no bytes of it.
pub(super) const FORMAT: usize = Filtered::ALL.len();

/// The names of the reasons for which a packet gives no row, in the order of their counts.
pub(super) fn filtered_names() -> [&'static str; FILTERED] {
    let [prefix, country, sample] = Filtered::ALL.map(Filtered::name);
    [prefix, country, sample, "format"]
}

/// Counts of the packets of one output. At every moment `written + queued + dropped + filtered = offered`, and `offered` is
/// the number of received packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputAccount {
    /// Packets that the reader offered.
    pub offered: u64,
    /// Packets whose rows are not written yet.
    pub queued: u64,
    /// Rows that the system accepted for the file or the socket.
    pub written: u64,
    /// Lost packets, by [`OutputDropReason`].
    pub dropped: [u64; OutputDropReason::ALL.len()],
    /// Packets that give no row: by prefix, country and sample, and because of the format.
    pub filtered: [u64; FILTERED],
}

impl OutputAccount {
    pub(super) fn offer(&mut self, packets: u64, is_taken: bool) {
        self.offered += packets;
        if is_taken {
            self.queued += packets;
        } else {
            self.dropped[OutputDropReason::QueueFull as usize] += packets;
        }
    }

    pub(super) fn write(&mut self, rows: u64) {
        self.queued -= rows;
        self.written += rows;
    }

    pub(super) fn lose(&mut self, rows: u64, reason: OutputDropReason) {
        self.queued -= rows;
        self.dropped[reason as usize] += rows;
    }

    pub(super) fn filter(&mut self, filtered: [u64; FILTERED]) {
        for (total, more) in self.filtered.iter_mut().zip(filtered) {
            *total += more;
            self.queued -= more;
        }
    }
}
