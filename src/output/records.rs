//! The rows of a chunk as bytes, with their ends: only whole rows count as written.

/// Rows that are written in order.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// The end of each row in `bytes`.
    ends: Vec<usize>,
    /// Number of rows that are done.
    done: usize,
    /// Bytes of the next row that the target has.
    partial: usize,
}

impl Records {
    /// Removes all rows.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.done = 0;
        self.partial = 0;
    }

    /// Appends a row that `write` appends to the bytes. If it returns false, nothing is appended.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.bytes.len();
        let is_written = write(&mut self.bytes);
        if is_written {
            self.ends.push(self.bytes.len());
        } else {
            self.bytes.truncate(start);
        }
        is_written
    }

    /// Removes what a row that panicked has left.
    pub(super) fn repair(&mut self) {
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
    }

    /// Number of rows that are not done.
    pub(super) fn len(&self) -> usize {
        self.ends.len() - self.done
    }

    /// The bytes of the rows that are not done, from the first one that the target does not have.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start() + self.partial..]
    }

    /// The rows that are not done, in full.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.start()).chain(self.ends[self.done..].iter().copied());
        starts.zip(&self.ends[self.done..]).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Number of rows that end in the first `length` of [`Self::bytes`], and the length up to the last one's end.
    pub(super) fn whole(&self, length: usize) -> (usize, usize) {
        let start = self.start() + self.partial;
        let rows = self.ends[self.done..].partition_point(|end| end - start <= length);
        let end = if rows == 0 { start } else { self.ends[self.done + rows - 1] };
        (rows, end - start)
    }

    /// Marks the next rows as done.
    pub(super) fn finish(&mut self, rows: usize) {
        if rows > 0 {
            self.done += rows;
            self.partial = 0;
        }
    }

    /// Notes that the target has so many more bytes of the next row.
    pub(super) fn begin_next(&mut self, bytes: usize) {
        self.partial += bytes;
    }

    /// Whether the target has a part of the next row.
    pub(super) fn is_next_begun(&self) -> bool {
        self.partial > 0
    }

    fn start(&self) -> usize {
        self.done.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_rows_are_done() {
        let mut records = Records::default();
        for row in ["one\n", "", "three\n"] {
            records.push(|bytes| {
                bytes.extend_from_slice(row.as_bytes());
                !row.is_empty()
            });
        }
        assert_eq!(records.len(), 2);
        assert_eq!(records.whole(3), (0, 0));
        assert_eq!(records.whole(9), (1, 4));
        assert_eq!(records.whole(10), (2, 10));
        records.finish(1);
        assert_eq!(records.bytes(), b"three\n");
        assert_eq!(records.iter().collect::<Vec<_>>(), [b"three\n"]);
        assert_eq!(records.whole(5), (0, 0));
        records.bytes.extend_from_slice(b"half");
        records.repair();
        assert_eq!(records.bytes(), b"three\n");
        records.begin_next(2);
        records.begin_next(1);
        assert!(records.is_next_begun());
        assert_eq!(
            (records.bytes(), records.whole(2), records.whole(3)),
            (&b"ee\n"[..], (0, 0), (1, 3))
        );
        records.finish(0);
        assert!(records.is_next_begun());
        records.finish(1);
        assert!(!records.is_next_begun());
        assert_eq!((records.len(), records.bytes()), (0, &b""[..]));
        records.clear();
        assert_eq!((records.len(), records.bytes()), (0, &b""[..]));
    }
}
