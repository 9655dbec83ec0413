//! Copies to ClickHouse, which has no transactions: the copied rows themselves hold the position.
//!
//! The rows of each day have a writer of their own, and their number is the id of the source's row. An insert has the next
//! rows of one day: one part, which is stored whole or not at all. Its token names the greatest number before it, and the
//! server stores one insert of each token. So of all runs, also one that was killed while its insert was running, exactly
//! one continues after each row.

use std::collections::BTreeMap;

use super::{
    super::{
        day::Day,
        row::Row,
        store::{ClickHouse, StoreError, Writer},
    },
    batch_size::MAX_ROWS,
    destination::{Copied, Destination},
};

/// Maximum number of inserts whose rows are not found afterwards.
const MAX_ATTEMPTS: u32 = 3;

/// Bytes of a writer's id that identify the source; the rest is the day.
const SOURCE_BYTES: usize = 12;

/// The rows of a source in ClickHouse, by day.
pub(super) struct DayWriters {
    store: ClickHouse,
    source: Writer,
    /// The greatest number of each writer.
    last: BTreeMap<[u8; 16], u64>,
    stored: u64,
}

impl Destination for DayWriters {
    type Store = ClickHouse;

    // A batch was not finished: the inserts of some of its days.
    const OVERLAP: usize = MAX_ROWS;

    const DROPS_EXPIRED_ROWS: bool = true;

    fn new(store: ClickHouse, source: Writer) -> Self {
        Self { store, source, last: BTreeMap::new(), stored: 0 }
    }

    async fn position(&mut self) -> Result<u64, StoreError> {
        let (mut first, mut last) = (self.source.id, self.source.id);
        first[SOURCE_BYTES..].fill(0);
        last[SOURCE_BYTES..].fill(u8::MAX);
        self.last = self.store.last_numbers(first..=last).await?;
        Ok(self.last.values().copied().max().unwrap_or(0))
    }

    fn has(&self, (id, row): &Copied) -> bool {
        *id <= self.last_of(self.id(Day::of_micros(row.time)))
    }

    fn stored(&self) -> u64 {
        self.stored
    }

    async fn write(&mut self, _: u64, _: u64, rows: &[&Copied]) -> Result<(), StoreError> {
        let mut days = BTreeMap::<Day, Vec<(u64, &Row)>>::new();
        for (id, row) in rows {
            days.entry(Day::of_micros(row.time)).or_default().push((*id, row));
        }
        for (day, rows) in days {
            self.write_day(day, &rows).await?;
        }
        Ok(())
    }
}

impl DayWriters {
    /// The id of the writer of a day.
    fn id(&self, day: Day) -> [u8; 16] {
        let mut id = self.source.id;
        id[SOURCE_BYTES..].copy_from_slice(&day.number().to_be_bytes());
        id
    }

    /// The greatest number of a writer; 0 if it has no row.
    fn last_of(&self, id: [u8; 16]) -> u64 {
        self.last.get(&id).copied().unwrap_or(0)
    }

    /// Stores those of a day's rows that are not stored yet.
    async fn write_day(&mut self, day: Day, rows: &[(u64, &Row)]) -> Result<(), StoreError> {
        let writer = Writer { id: self.id(day), host: self.source.host.clone() };
        let mut attempt = 0;
        loop {
            let last = self.last_of(writer.id);
            let rest = &rows[rows.partition_point(|(id, _)| *id <= last)..];
            let Some((end, _)) = rest.last() else { return Ok(()) };
            self.store.insert_after(&writer, last, attempt, rest).await?;
            let after = self.store.rows_after(&writer, last).await?;
            if after.count == 0 {
                // The server was killed between noting the token and storing the rows.
                attempt += 1;
                self.check(attempt)?;
                continue;
            }
            // Other numbers are those of another run that copies the same rows.
            if (after.count, after.last) == (rest.len() as u64, *end) {
                self.stored += after.count;
            }
            attempt = 0;
            self.last.insert(writer.id, after.last);
        }
    }

    /// An error if rows that were not found after so many attempts are not sent again.
    fn check(&self, attempts: u32) -> Result<(), StoreError> {
        let why = if self.store.is_replicated() {
            "another replica has them, or another copy is running: try again later, with the URL of that replica"
        } else if attempts > MAX_ATTEMPTS {
            "does the table's TTL or another program delete them?"
        } else {
            return Ok(());
        };
        Err(StoreError::Unavailable(format!(
            "ClickHouse: confirmed rows that packets does not have; {why}"
        )))
    }
}
