//! A connection that can only read, and the limits of a query.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::StoreError;
use crate::mirror::{
    rows_query::{Dialect, Statement},
    target::Target,
};

/// When a query has to end.
#[derive(Clone, Debug)]
pub(in crate::mirror) struct Stop {
    /// Whoever asked does not wait any more.
    pub(in crate::mirror) cancelled: CancellationToken,
    /// The end of the time limit.
    pub(in crate::mirror) deadline: Instant,
}

impl Stop {
    /// Whether the query has to end now.
    pub(in crate::mirror) fn is_due(&self) -> bool {
        self.cancelled.is_cancelled() || self.remaining().is_zero()
    }

    /// The time that is left.
    pub(in crate::mirror) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// A connection to a database that can only read. Each call is safe to drop at any await.
pub(in crate::mirror) trait RowReader: Sized + Send {
    /// The SQL of the database.
    const DIALECT: Dialect;

    /// Connects. The server ends statements that take much longer than the time limit.
    fn open(target: &Target, stop: &Stop) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// Runs a statement, and passes each row of its result to `take`: the columns as texts.
    fn select(
        &mut self,
        statement: &Statement,
        take: &mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the connection after its last statement.
    fn close(self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Ends the statement whose call was dropped, on the server, and the connection.
    fn abandon(self) -> impl Future<Output = ()> + Send;
}

/// A [`RowReader`] of a database that is chosen at run time, so that the code that asks is compiled once.
pub(in crate::mirror) trait AnyReader: Send {
    /// The SQL of the database.
    fn dialect(&self) -> Dialect;

    /// As [`RowReader::select`].
    fn select_any<'a>(
        &'a mut self,
        statement: &'a Statement,
        take: &'a mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;
}

impl<R: RowReader> AnyReader for R {
    fn dialect(&self) -> Dialect {
        R::DIALECT
    }

    fn select_any<'a>(
        &'a mut self,
        statement: &'a Statement,
        take: &'a mut (dyn FnMut(Vec<Option<String>>) + Send),
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
        Box::pin(self.select(statement, take))
    }
}
