//! Rows whose numbers are those of another table's rows, as a copy of that table stores them.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    super::{StoreError, Writer},
    ClickHouse, Numbered, hex, insert, lines, one, unexpected,
};

/// Maximum number of writers that are read: the days of 270 years.
const MAX_WRITERS: usize = 100_000;

/// Rows of a writer after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mirror) struct RowsAfter {
    /// How many there are.
    pub(in crate::mirror) count: u64,
    /// The greatest number; 0 if there are none.
    pub(in crate::mirror) last: u64,
}

impl ClickHouse {
    /// Whether several servers have the rows, so that this one can lack the newest.
    pub(in crate::mirror) fn is_replicated(&self) -> bool {
        self.table.is_replicated
    }

    /// The greatest number of each of these writers that has rows.
    pub(in crate::mirror) async fn last_numbers(
        &mut self,
        writers: RangeInclusive<[u8; 16]>,
    ) -> Result<BTreeMap<[u8; 16], u64>, StoreError> {
        let doing = "read the positions of a copy";
        // Of the projection by writer.
        let query = format!(
            "SELECT hex(writer), max(sequence) FROM packets WHERE writer >= unhex('{}') AND writer <= unhex('{}') \
             GROUP BY writer LIMIT {MAX_WRITERS}",
            hex(writers.start()),
            hex(writers.end())
        );
        let lines = lines(&mut self.client, doing, &query).await?;
        let number = |line: &String| {
            let (writer, last) = line.split_once('\t')?;
            let writer = u128::from_str_radix(writer, 16).ok()?.to_be_bytes();
            Some((writer, last.parse().ok()?))
        };
        let numbers = lines.iter().map(|line| number(line).ok_or_else(|| unexpected(doing, line)));
        numbers.collect()
    }

    /// The rows of a writer after a number.
    pub(in crate::mirror) async fn rows_after(
        &mut self,
        writer: &Writer,
        number: u64,
    ) -> Result<RowsAfter, StoreError> {
        let doing = "read the position of a copy";
        let query = format!(
            "SELECT count(), max(sequence) FROM packets WHERE writer = unhex('{}') AND sequence > {number}",
            hex(&writer.id)
        );
        let answer = one(&mut self.client, doing, &query).await?;
        let read = answer
            .split_once('\t')
            .and_then(|(count, last)| Some((count.parse().ok()?, last.parse().ok()?)));
        let (count, last) = read.ok_or_else(|| unexpected(doing, &answer))?;
        Ok(RowsAfter { count, last })
    }

    /// Inserts rows of one day, the next ones of their writer after a number. The server stores one insert after each
    /// number; `attempt` makes it another one.
    pub(in crate::mirror) async fn insert_after(
        &mut self,
        writer: &Writer,
        number: u64,
        attempt: u32,
        rows: &[Numbered<'_>],
    ) -> Result<(), StoreError> {
        let token = format!("{}-after-{number}-{attempt}", hex(&writer.id));
        insert(&mut self.client, writer, rows, &token).await
    }
}
