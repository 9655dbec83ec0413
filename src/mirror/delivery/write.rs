//! Writes portions of rows, and finds the rows that the database rejects.

use tokio::time::Instant;

use super::Delivery;
use crate::mirror::{
    account::DropReason,
    deadline::{ANSWER, within},
    row::Row,
    spool::Portion,
    store::{Batch, Store, StoreError, Writer},
};

/// Number of other rows to try when one is rejected, to see whether all are.
const TRIED: usize = 8;

impl Delivery {
    /// Writes a portion, in transactions of [`Self::size`] rows. Halves a rejected transaction until single rejected
    /// rows are found, and drops these.
    pub(super) async fn deliver<S: Store>(
        &mut self,
        store: &mut S,
        portion: Portion,
    ) -> Result<(), StoreError> {
        let Portion { writer, from, to, rows, .. } = portion;
        let count = rows.len();
        // A portion has consecutive rows, or only numbers of lost rows.
        let number = |index: usize| to - (count - index) as u64;
        let is_again = !self.rules.writes_whole_batches
            && self.size.is_large()
            && self.spool.with(|spool| spool.was_sent(&writer, to));
        let size = if is_again { count.max(1) } else { self.size.rows() };
        let mut parts: Vec<_> = (0..count.max(1))
            .step_by(size)
            .map(|start| start..(start + size).min(count))
            .rev()
            .collect();
        let mut position = from;
        let known_as = self.known_as(&writer);
        while let Some(part) = parts.pop() {
            let batch = Batch { from: position, to: number(part.end), rows: &rows[part.clone()] };
            self.in_flight.send(&writer, batch.from, batch.to);
            if !self.rules.writes_whole_batches {
                self.spool.with(|spool| spool.note_sent(&writer, batch.to));
            }
            let rejected = match self.write(store, &known_as, batch).await {
                Ok(()) => false,
                Err(StoreError::Rejected(_)) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                    continue;
                }
                Err(StoreError::Rejected(why)) => {
                    if position == from {
                        // Nothing was written yet: is it this row, or every row?
                        self.try_another(store, &known_as, &rows, part.start, &why).await?;
                    }
                    self.skip_rejected(store, &known_as, batch, &why).await?;
                    true
                }
                Err(error) => return Err(error),
            };
            self.settle(&writer, batch.to, u64::from(rejected));
            position = batch.to;
        }
        self.size.written();
        self.small = (count < size / 2).then(Instant::now);
        self.is_well();
        Ok(())
    }

    /// Runs one transaction. After a timeout, later ones have fewer rows.
    async fn write<S: Store>(
        &mut self,
        store: &mut S,
        writer: &Writer,
        batch: Batch<'_>,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let written = within(ANSWER, "a transaction", store.write(writer, batch)).await;
        let has_failed = !matches!(written, Ok(()) | Err(StoreError::Rejected(_)));
        // A broken connection does not depend on the size.
        if has_failed && began.elapsed() >= ANSWER {
            self.size.timed_out();
            self.timed_out = Some(began);
        }
        written
    }

    /// Moves the writer's position past a row that the database rejects.
    async fn skip_rejected<S: Store>(
        &mut self,
        store: &mut S,
        writer: &Writer,
        batch: Batch<'_>,
        why: &str,
    ) -> Result<(), StoreError> {
        let skipped = Batch { rows: &[], ..batch };
        within(ANSWER, "a transaction", store.write(writer, skipped)).await?;
        if self.refusal_throttle.allows() {
            tracing::error!("mirror: dropped a row that {} rejects: {why}", self.failover.server());
        }
        Ok(())
    }

    /// Checks that the database accepts another row than the one at `rejected`. Otherwise the fault is in the
    /// database, and rows wait until an administrator fixes it.
    async fn try_another<S: Store>(
        &mut self,
        store: &mut S,
        writer: &Writer,
        rows: &[Row],
        rejected: usize,
        why: &str,
    ) -> Result<(), StoreError> {
        let plain = [Row { time: rows[rejected].time, weight: 1, ..Row::default() }];
        let others = rows.iter().enumerate().filter(|(index, _)| *index != rejected);
        let others = others.map(|(_, row)| std::slice::from_ref(row)).take(TRIED);
        for row in others.chain([&plain[..]]) {
            match within(ANSWER, "the test of a row", store.try_rows(writer, row)).await {
                Err(StoreError::Rejected(_)) => {}
                tried => return tried,
            }
        }
        Err(StoreError::Denied(format!("every row is rejected, even a minimal one: {why}")))
    }

    /// Books that the database holds all of this writer's rows before `to`, except `rejected` rejected ones, and removes
    /// them from the spool. Returns how many rows it holds.
    pub(super) fn settle(&self, writer: &Writer, to: u64, rejected: u64) -> u64 {
        self.spool.with(|spool| {
            let waiting = spool.waiting();
            let delivered = spool.delivered(writer, to);
            let lost = waiting - spool.waiting() - delivered;
            self.queue.book(|account| {
                account.lose(lost, DropReason::SpoolCorrupt);
                account.lose(rejected, DropReason::Rejected);
                account.write(delivered - rejected);
            });
            if lost > 0 {
                tracing::error!(
                    rows = lost,
                    "mirror: rows in the spool are lost, because its files are damaged"
                );
            }
            delivered - rejected
        })
    }
}
