//! Which rows of a writer the server has.

use std::ops::Range;

use super::{
    super::{StoreError, Writer},
    hex,
    http::{Client, Statement},
    unexpected,
};
use crate::sort::sort_by_key;

/// Maximum number of ranges that are read. A batch that was written in part has at most one for each of its rows.
const MAX_RANGES: usize = 100_000;

/// The position of a writer, and the rows after it that the server has already.
#[derive(Debug)]
pub(super) struct Written {
    writer: [u8; 16],
    position: u64,
    /// Ranges after the position, in order.
    ranges: Vec<Range<u64>>,
    /// Whether nothing was written since the position was read.
    is_unverified: bool,
}

impl Written {
    /// Reads the rows from this number on.
    pub(super) async fn read(
        client: &mut Client,
        writer: [u8; 16],
        from: u64,
    ) -> Result<Self, StoreError> {
        let doing = "read the writer's position";
        // Numbers without a gap differ from their rank by the same amount. The projection by_writer has the order.
        let text = format!(
            "SELECT min(sequence), max(sequence) + 1 FROM (\
             SELECT sequence, sequence - row_number() OVER (ORDER BY sequence) AS island FROM (\
             SELECT DISTINCT sequence FROM packets WHERE writer = unhex('{}') AND sequence >= {from})) \
             GROUP BY island ORDER BY 1 LIMIT {}",
            hex(&writer),
            MAX_RANGES + 1
        );
        let answer = client.run(Statement { doing, text: &text, settings: &[] }).await?;
        let answer = String::from_utf8_lossy(&answer);
        let mut ranges = Vec::new();
        for line in answer.lines() {
            let (start, end) = line.split_once('\t').unwrap_or_default();
            match (start.parse(), end.parse()) {
                (Ok(start), Ok(end)) => ranges.push(start..end),
                _ => return Err(unexpected(doing, line)),
            }
        }
        if ranges.len() > MAX_RANGES {
            return Err(StoreError::Denied(format!(
                "ClickHouse: cannot {doing}: packets has rows of the writer {} in more than {MAX_RANGES} ranges after \
                 row {from}",
                hex(&writer)
            )));
        }
        let mut written = Self { writer, position: from, ranges, is_unverified: true };
        if let Some(first) = written.ranges.first().filter(|first| first.start == from) {
            let end = first.end;
            written.ranges.remove(0);
            written.position = end;
        }
        Ok(written)
    }

    /// Number of the first row that the server does not have.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether this is the position of the writer.
    pub(super) fn is_at(&self, writer: &Writer, position: u64) -> bool {
        self.writer == writer.id && self.position == position
    }

    /// Whether the server has the row with this number.
    pub(super) fn has(&self, number: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= number);
        number < self.position
            || after.checked_sub(1).is_some_and(|before| self.ranges[before].contains(&number))
    }

    /// Adds rows that were written, in ascending order.
    pub(super) fn add(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            match self.ranges.last_mut() {
                Some(last) if last.end == number => last.end += 1,
                _ => self.ranges.push(number..number + 1),
            }
        }
        sort_by_key(&mut self.ranges, |range| range.start);
    }

    /// Whether nothing was written since the position was read: rows that come next may have been sent before.
    pub(super) fn is_unverified(&self) -> bool {
        self.is_unverified
    }

    /// Moves the position.
    pub(super) fn pass(&mut self, to: u64) {
        self.position = to;
        self.is_unverified = false;
        self.ranges.retain(|range| range.end > to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_several_days_are_known_while_the_batch_is_unfinished() {
        let mut written = Written {
            writer: [7; 16],
            position: 10,
            ranges: vec![20..25, 40..41],
            is_unverified: true,
        };
        written.add([11, 12, 14].into_iter());
        written.add([13].into_iter());
        for (number, expect) in
            [(9, true), (10, false), (11, true), (13, true), (15, false), (20, true), (25, false)]
        {
            assert_eq!(written.has(number), expect, "{number}");
        }
        written.pass(22);
        assert!(!written.is_unverified());
        assert_eq!((written.position(), written.has(21), written.has(24)), (22, true, true));
        written.pass(41);
        assert!(written.ranges.is_empty());
    }
}
