//! Transactions whose outcome is unknown: their connection failed, and a server may commit them later.

use std::collections::BTreeSet;

use super::store::Writer;

/// The ends of one writer's transactions that may have been committed.
///
/// One server commits or rolls back a transaction before it answers the next question about its position. A cluster does
/// not: the node of a lost connection can commit after another node has answered. So all are kept until the position is
/// past them, at most one for each row of a transaction.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    writer: Option<Writer>,
    ends: BTreeSet<u64>,
}

impl InFlight {
    /// A transaction of this writer is sent. All rows before `from` are known to be written.
    pub(super) fn send(&mut self, writer: &Writer, from: u64, to: u64) {
        if self.writer.as_ref() != Some(writer) {
            self.writer = Some(writer.clone());
            self.ends.clear();
        }
        self.ends.retain(|end| *end > from);
        self.ends.insert(to);
    }

    /// Whether a transaction of this writer ends here.
    pub(super) fn ends_at(&self, writer: &Writer, end: u64) -> bool {
        self.writer.as_ref() == Some(writer) && self.ends.contains(&end)
    }

    /// Whether a transaction of this writer has the row before `end`.
    pub(super) fn reaches(&self, writer: &Writer, end: u64) -> bool {
        self.writer.as_ref() == Some(writer) && self.ends.last().is_some_and(|last| *last >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(id: u8) -> Writer {
        Writer { id: [id; 16], host: "gate".into() }
    }

    /// A node commits the first of three attempts, after the others were rejected by the cluster.
    #[test]
    fn any_attempt_can_be_the_one_that_is_committed() {
        let mut in_flight = InFlight::default();
        in_flight.send(&writer(1), 10, 20);
        in_flight.send(&writer(1), 10, 30);
        in_flight.send(&writer(1), 10, 25);
        for (end, expect) in [(10, false), (20, true), (24, false), (25, true), (30, true)] {
            assert_eq!(in_flight.ends_at(&writer(1), end), expect, "{end}");
        }
        assert!(in_flight.reaches(&writer(1), 24) && !in_flight.reaches(&writer(1), 31));
        assert!(!in_flight.ends_at(&writer(2), 20));
        in_flight.send(&writer(1), 25, 40);
        assert!(!in_flight.ends_at(&writer(1), 25) && in_flight.ends_at(&writer(1), 30));
        in_flight.send(&writer(2), 0, 30);
        assert!(!in_flight.ends_at(&writer(1), 30) && in_flight.ends_at(&writer(2), 30));
    }
}
