//! The account of every row: where it is or what became of it, exact at every moment.

/// Why a row was not kept: the values of the label `reason` of the dropped rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Packets came faster than rows can be made of them.
    QueueFull,
    /// The spool has its full size, and the database takes nothing.
    SpoolFull,
    /// The disk takes nothing, memory is full, and the database takes nothing.
    SpoolFailed,
    /// The spool could not be read back.
    SpoolCorrupt,
    /// The database refuses the values of this row.
    Refused,
    /// It was for another database, and the configuration asks to drop such rows.
    OtherTarget,
    /// This program failed to make a row of the packet; a bug.
    Panicked,
}

impl Dropped {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolFailed,
        Self::SpoolCorrupt,
        Self::Refused,
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
            Self::Refused => "refused",
            Self::OtherTarget => "other_target",
            Self::Panicked => "panicked",
        }
    }
}

/// Where every row is. At every moment:
/// `written + spooled + queued + dropped + filtered = offered + recovered`, and `offered` is the
/// number of packets received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Packets that the reader offered.
    pub offered: u64,
    /// Rows that an earlier run of this program left in the spool.
    pub recovered: u64,
    /// Packets that no row was made of yet.
    pub queued: u64,
    /// Rows that wait for the database.
    pub spooled: u64,
    /// Rows that the database holds.
    pub written: u64,
    /// Rows that are lost, by [`Dropped`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Packets that were to have no row, by [`Filtered`](super::select::Filtered).
    pub filtered: [u64; 3],
}

impl Account {
    pub(super) fn offer(&mut self, packets: usize, taken: usize) {
        self.offered += packets as u64;
        self.queued += taken as u64;
        self.dropped[Dropped::QueueFull as usize] += (packets - taken) as u64;
    }

    /// Queued packets were looked at: some had no row to be made, the others' rows were appended.
    pub(super) fn spool(&mut self, rows: usize, filtered: [u64; 3]) {
        self.filter(filtered);
        self.queued -= rows as u64;
        self.spooled += rows as u64;
    }

    /// Queued packets were looked at: some had no row to be made, the others' rows are lost.
    pub(super) fn refuse(&mut self, rows: usize, filtered: [u64; 3], reason: Dropped) {
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

    pub(super) fn lose(&mut self, rows: u64, reason: Dropped) {
        self.spooled -= rows;
        self.dropped[reason as usize] += rows;
    }
}
