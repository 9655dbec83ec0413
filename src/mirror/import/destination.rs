//! Where rows are copied to: a database with transactions, whose table `nflog_writers` holds the position of the source.

use super::{
    super::{
        row::Row,
        store::{Batch, Store, StoreError, Writer},
    },
    reasons::Reasons,
};

/// A copied row and the id of the row that it was made of.
pub(super) type Copied = (u64, Row);

/// A database that gets the rows of a source, each exactly once.
pub(super) trait Destination {
    /// The connection to the database.
    type Store: Store;

    /// Number of rows of the source before [`Self::position`] of which some may not be stored.
    const OVERLAP: usize = 0;

    /// Whether the database drops expired rows whenever it wants. They are not copied then, because the position is read
    /// from the rows.
    const DROPS_EXPIRED_ROWS: bool = false;

    /// Copies to the table of this connection. `writer` identifies the source.
    fn new(store: Self::Store, writer: Writer) -> Self;

    /// Id of the last row of the source that is stored or skipped; 0 before the first one.
    async fn position(&mut self) -> Result<u64, StoreError>;

    /// Whether a row is stored already.
    fn has(&self, _: &Copied) -> bool {
        false
    }

    /// Number of rows that were stored, also by writes that failed.
    fn stored(&self) -> u64;

    /// Stores rows, and moves the position from the id `from` to `to`.
    async fn write(&mut self, from: u64, to: u64, rows: &[&Copied]) -> Result<(), StoreError>;
}

/// A database with transactions: the one that inserts rows moves the position.
pub(super) struct Transactions<S> {
    store: S,
    writer: Writer,
    stored: u64,
}

impl<S: Store> Destination for Transactions<S> {
    type Store = S;

    fn new(store: S, writer: Writer) -> Self {
        Self { store, writer, stored: 0 }
    }

    fn stored(&self) -> u64 {
        self.stored
    }

    async fn position(&mut self) -> Result<u64, StoreError> {
        self.store.position(&self.writer, 0).await
    }

    async fn write(&mut self, from: u64, to: u64, rows: &[&Copied]) -> Result<(), StoreError> {
        let rows: Vec<_> = rows.iter().map(|(_, row)| row.clone()).collect();
        self.store.write(&self.writer, Batch { from, to, rows: &rows }).await?;
        self.stored += rows.len() as u64;
        Ok(())
    }
}

/// Stores rows, and moves the position over all of them. Rows that the database rejects are skipped and counted by reason.
pub(super) async fn write<D: Destination>(
    destination: &mut D,
    (from, to): (u64, u64),
    rows: &[&Copied],
    skipped: &mut Reasons,
) -> Result<(), StoreError> {
    let mut position = from;
    // The parts that are still to be written, the next one last: each with the position after it.
    let mut parts = vec![(rows, to)];
    while let Some((part, to)) = parts.pop() {
        match destination.write(position, to, part).await {
            Ok(()) => position = to,
            Err(StoreError::Rejected(_)) if part.len() > 1 => {
                let (head, tail) = part.split_at(part.len() / 2);
                parts.push((tail, to));
                parts.push((head, tail[0].0 - 1));
            }
            Err(StoreError::Rejected(reason)) if part.len() == 1 => {
                skipped.add(format!("rejected by the target: {reason}"), 1);
                parts.push((&[], to));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
