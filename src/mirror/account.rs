//! The account of every row: its state, or why it was lost.

/// Why a row was not kept: the values of the label `reason` of the dropped rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Packets arrived faster than rows were built.
    QueueFull,
    /// The spool is full, and the database accepts no rows.
    SpoolFull,
    /// The disk fails, the memory buffer is full, and the database accepts no rows.
    SpoolFailed,
    /// The rows could not be read back from the spool.
    SpoolCorrupt,
    /// The database rejected the values of this row.
    Rejected,
    /// The row was for another database, and `mirror.spool.other_target` is `drop`.
    OtherTarget,
    /// Building the row panicked: a bug.
    Panicked,
}

impl DropReason {
    /// Every reason, in the order of discriminants.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolFailed,
        Self::SpoolCorrupt,
        Self::Rejected,
        Self::OtherTarget,
        Self::Panicked,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::SpoolCorrupt => "spool_corrupt",
            Self::Rejected => "rejected",
            Self::OtherTarget => "other_target",
            Self::Panicked => "panicked",
        }
    }
}

/// Counts of rows by state. At every moment
/// `written + spooled + queued + dropped + filtered = offered + recovered`, and `offered` is the
/// number of received packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Packets that the reader offered.
    pub offered: u64,
    /// Rows that an earlier run left in the spool.
    pub recovered: u64,
    /// Packets without a row yet.
    pub queued: u64,
    /// Rows that the database does not hold yet.
    pub spooled: u64,
    /// Rows in the database.
    pub written: u64,
    /// Lost rows, by [`DropReason`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Packets that need no row, by [`Filtered`](super::select::Filtered).
    pub filtered: [u64; 3],
}

impl Account {
    pub(super) fn offer(&mut self, packets: usize, taken: usize) {
        self.offered += packets as u64;
        self.queued += taken as u64;
        self.dropped[DropReason::QueueFull as usize] += (packets - taken) as u64;
    }

    /// Books queued packets: some are filtered, the rows of the others were appended.
    pub(super) fn spool(&mut self, rows: usize, filtered: [u64; 3]) {
        self.filter(filtered);
        self.queued -= rows as u64;
        self.spooled += rows as u64;
    }

    /// Books queued packets: some are filtered, the rows of the others are lost.
    pub(super) fn refuse(&mut self, rows: usize, filtered: [u64; 3], reason: DropReason) {
        self.filter(filtered);
        self.queued -= rows as u64;
        self.dropped[reason as usize] += rows as u64;
    }

    fn filter(&mut self, filtered: [u64; 3]) {
        for (total, more) in self.filtered.iter_mut().zip(filtered) {
            *total += more;
            self.queued -= more;
        }
    }

    pub(super) fn recover(&mut self, rows: u64) {
        self.recovered += rows;
        self.spooled += rows;
    }

    pub(super) fn write(&mut self, rows: u64) {
        self.spooled -= rows;
        self.written += rows;
    }

    pub(super) fn lose(&mut self, rows: u64, reason: DropReason) {
        self.spooled -= rows;
        self.dropped[reason as usize] += rows;
    }
}
