//! Delivers the spool's rows to the database, exactly once and in order, on a thread of its own.

mod maintenance;
mod write;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    clock_guard::ClockGuard,
    deadline::{ANSWER, PREPARE, within},
    failover::Failover,
    in_flight::InFlight,
    queue::Queue,
    shared_spool::SharedSpool,
    spool::Spool,
    store::{Maintenance, Store, StoreError, WriteRules, Writer},
    supervise,
    transaction_size::TransactionSize,
};
use crate::system::{
    logging::{ConditionLog, LogThrottle},
    random,
};

/// Interval of pings while there are no rows.
const PING: Duration = Duration::from_secs(5);

/// Minimum and maximum pause between attempts to connect; each attempt doubles it.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The state of the delivery thread.
pub(super) struct Delivery {
    queue: Queue,
    spool: SharedSpool,
    appended: Arc<Notify>,
    failover: Failover,
    rules: WriteRules,
    maintenance: Maintenance,
    /// True once no more rows are appended: the delivery then ends when the spool is empty.
    ending: watch::Receiver<bool>,
    size: TransactionSize,
    /// When the last portion was written, if it was small.
    small: Option<Instant>,
    in_flight: InFlight,
    /// When the last transaction began that timed out.
    timed_out: Option<Instant>,
    /// Replacement ids for writers whose position in the database cannot be true.
    aliases: HashMap<[u8; 16], [u8; 16]>,
    maintenance_due: Instant,
    clock_guard: ClockGuard,
    connection_log: ConditionLog,
    maintenance_log: ConditionLog,
    refusal_throttle: LogThrottle,
}

impl Delivery {
    /// Delivers from the spool to one of the servers; `appended` signals new rows.
    pub(super) fn new(
        (queue, spool, appended): (Queue, SharedSpool, Arc<Notify>),
        (failover, maintenance): (Failover, Maintenance),
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            queue,
            spool,
            appended,
            failover,
            rules: WriteRules::default(),
            maintenance,
            ending,
            size: TransactionSize::new(),
            small: None,
            in_flight: InFlight::default(),
            timed_out: None,
            aliases: HashMap::new(),
            maintenance_due: Instant::now(),
            clock_guard: ClockGuard::default(),
            connection_log: ConditionLog::new("mirror"),
            maintenance_log: ConditionLog::new("mirror, retention and partitions"),
            refusal_throttle: LogThrottle::default(),
        }
    }

    /// Delivers until `ending` is true and the spool is empty. Never stops retrying: to abort, drop the future.
    pub(super) async fn run<S: Store>(mut self) {
        self.rules = S::rules(self.failover.kind());
        let mut wait = RETRY.0;
        loop {
            let began = Instant::now();
            let before = self.spool.with(|spool| spool.position());
            let queue = self.queue.clone();
            let session = Box::pin(self.session::<S>());
            let session = supervise::caught_future(&queue, "the delivery", session);
            let error = match session.await {
                Some(Ok(())) => return,
                Some(Err(error)) => error,
                None => StoreError::Unavailable("the delivery panicked; see the log".into()),
            };
            self.queue.set_up(false);
            self.queue.set_connected(None);
            let problem = format!("{}: {error}; rows wait in the spool", self.failover.subject());
            self.connection_log.report(&problem);
            let has_delivered = self.spool.with(|spool| spool.position()) != before;
            if has_delivered || began.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            let mut pause = self.time_of_write();
            if self.failover.failed(&error, has_delivered) {
                pause = pause.max(wait);
                wait = (wait * 2).min(RETRY.1);
            }
            sleep(pause).await;
        }
    }

    /// Time until the server has ended a transaction that timed out, if its rows are sent again in other batches.
    fn time_of_write(&self) -> Duration {
        if self.rules.writes_whole_batches || self.size.is_large() {
            return Duration::ZERO;
        }
        let elapsed = self.timed_out.map_or(Duration::MAX, |began| began.elapsed());
        self.rules.max_write_time.saturating_sub(elapsed)
    }

    /// Delivers over one connection.
    async fn session<S: Store>(&mut self) -> Result<(), StoreError> {
        let mut store = self.connect::<S>().await?;
        let mut writer = self.resume(&mut store, None).await?;
        if self.spool.with(|spool| spool.waiting()) == 0 {
            self.is_well();
        }
        let mut stuck = None;
        loop {
            if self.maintenance_due <= Instant::now() {
                self.run_maintenance(&mut store).await?;
            }
            if self.gather().await {
                continue;
            }
            let portion = self.spool.with(|spool| spool.next(self.size.rows()));
            match portion {
                Some(portion) if portion.writer == writer => {
                    match self.deliver(&mut store, portion).await {
                        // A transaction of an earlier connection was committed after all, or the table was
                        // changed by hand.
                        Err(StoreError::Moved) => {
                            writer = self.register_again(&mut store, writer, &mut stuck).await?;
                        }
                        Err(error @ StoreError::Denied(_)) => {
                            // A partition or a table may have been removed: maintenance creates days.
                            self.maintenance_due = Instant::now();
                            return Err(error);
                        }
                        delivered => delivered?,
                    }
                }
                Some(_) => writer = self.resume(&mut store, Some(writer)).await?,
                None if *self.ending.borrow() => {
                    if self.spool.with(|spool| spool.waiting()) == 0 {
                        within(ANSWER, "an answer", store.forget(&self.known_as(&writer))).await?;
                    }
                    return Ok(());
                }
                None => self.rest(&mut store).await?,
            }
        }
    }

    /// Connects, and prepares the database.
    async fn connect<S: Store>(&mut self) -> Result<S, StoreError> {
        let mut store: S = self.failover.connect().await?;
        self.queue.set_connected(Some(self.failover.index()));
        within(PREPARE, "the schema", store.prepare()).await?;
        for advice in within(PREPARE, "views and indexes", store.advice()).await? {
            tracing::warn!("{advice}");
        }
        if let Some(ended) = self.spool.with(Spool::take_ended) {
            within(ANSWER, "an answer", store.forget(&ended)).await?;
        }
        Ok(store)
    }

    /// Resumes after the position of a writer was found moved. `stuck` is the position that stayed the same
    /// although it was registered again.
    async fn register_again<S: Store>(
        &mut self,
        store: &mut S,
        writer: Writer,
        stuck: &mut Option<(Writer, u64)>,
    ) -> Result<Writer, StoreError> {
        let before = self.spool.with(|spool| spool.position());
        if stuck.as_ref() == Some(&before) {
            let why = "the position of this writer in nflog_writers cannot be changed";
            return Err(StoreError::Unavailable(why.into()));
        }
        let writer = self.resume(store, Some(writer)).await?;
        if self.spool.with(|spool| spool.position()) == before {
            tracing::warn!(
                "mirror: the position of this writer was removed from nflog_writers or changed; it was \
                 registered again"
            );
            *stuck = Some(before);
        }
        Ok(writer)
    }

    /// Reads the position of the writer whose rows come next, and skips rows that the database already holds:
    /// their commit was not acknowledged. Removes the `last` writer if it is complete.
    async fn resume<S: Store>(
        &mut self,
        store: &mut S,
        mut last: Option<Writer>,
    ) -> Result<Writer, StoreError> {
        loop {
            let (writer, known) = self.spool.with(|spool| spool.position());
            if let Some(over) = last.take().filter(|last| *last != writer) {
                // Otherwise a power loss could bring rows back, for a database that has forgotten their writer.
                self.spool.with(Spool::sync);
                within(ANSWER, "an answer", store.forget(&self.known_as(&over))).await?;
                self.aliases.remove(&over.id);
            }
            let known_as = self.known_as(&writer);
            let reverted = self.reverted(store, &writer, known).await?;
            let held = within(ANSWER, "an answer", store.position(&known_as, known)).await?;
            // Now the database has the position, so that they are counted once.
            self.count_reverted(reverted);
            if held <= known {
                return Ok(writer);
            }
            if !self.can_hold(&writer, held) {
                tracing::error!(
                    held,
                    known,
                    "mirror: {} claims rows that were never sent (was a backup restored, or this \
                     host's state copied?); they are sent under a new writer id",
                    self.failover.server()
                );
                self.aliases.insert(writer.id, random::id());
                continue;
            }
            let rows = self.settle(&writer, held, 0);
            tracing::info!(rows, "mirror: skipped rows that the database already holds");
            last = Some(writer);
        }
    }

    /// The number of rows that the database confirmed and does not account for any more: a failover to a server that had
    /// not received them, or a restored backup. The spool does not have them either.
    async fn reverted<S: Store>(
        &self,
        store: &mut S,
        writer: &Writer,
        known: u64,
    ) -> Result<u64, StoreError> {
        // A new id has no position yet.
        if known == 0 || self.aliases.contains_key(&writer.id) {
            return Ok(0);
        }
        let recorded = within(ANSWER, "an answer", store.recorded(writer, known)).await?;
        let is_earlier = self.spool.with(|spool| spool.is_earlier(writer));
        Ok(match recorded {
            Some(recorded) => known.saturating_sub(recorded),
            // Rows of an earlier session may have been for another database.
            None if is_earlier => 0,
            None => known,
        })
    }

    fn count_reverted(&self, rows: u64) {
        if rows > 0 {
            self.queue.count_reverted(rows);
            tracing::error!(
                rows,
                "mirror: {} confirmed rows that it does not account for any more: a failover or a restored backup lost \
                 them, or nflog_writers was changed; later rows follow",
                self.failover.server()
            );
        }
    }

    /// Whether the database can hold this writer's rows before `held`. In the present session only the end of a
    /// transaction with an unknown outcome is possible, or without transactions a part of its rows. For an earlier
    /// session the database is authoritative: after a power loss or a restored backup the spool may be older.
    fn can_hold(&self, writer: &Writer, held: u64) -> bool {
        let is_in_flight = if self.rules.writes_whole_batches {
            self.in_flight.ends_at(writer, held)
        } else {
            self.in_flight.reaches(writer, held)
        };
        is_in_flight || self.spool.with(|spool| spool.is_earlier(writer))
    }

    /// The writer under the id that the database knows.
    fn known_as(&self, writer: &Writer) -> Writer {
        let id = self.aliases.get(&writer.id).copied().unwrap_or(writer.id);
        Writer { id, ..writer.clone() }
    }

    /// Records that the database accepts rows, or answers while there are none. A connection alone is no proof: a
    /// table may be locked.
    fn is_well(&mut self) {
        self.queue.set_up(true);
        let server = self.failover.server();
        self.connection_log.resolve(&format!("mirror: {server} accepts rows again"));
    }

    /// Waits while rows are gathered for a store that needs large batches, at most until something changes. Returns
    /// whether it waited.
    async fn gather(&mut self) -> bool {
        let waiting = self.spool.with(|spool| spool.waiting());
        let elapsed = self.small.map_or(Duration::MAX, |small| small.elapsed());
        let rest = self.rules.gathering.saturating_sub(elapsed);
        if waiting == 0
            || waiting >= self.size.rows() as u64
            || rest.is_zero()
            || *self.ending.borrow()
        {
            return false;
        }
        tokio::select! {
            () = self.appended.notified() => {}
            _ = self.ending.changed() => {}
            () = sleep(rest) => {}
        }
        true
    }

    /// Waits for rows, and pings the database at intervals.
    async fn rest<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        let maintenance = self.maintenance_due.saturating_duration_since(Instant::now());
        tokio::select! {
            () = self.appended.notified() => Ok(()),
            // An error means that the mirror was dropped, which set `ending` before.
            _ = self.ending.changed() => Ok(()),
            () = sleep(maintenance.min(PING)) => {
                within(ANSWER, "a ping", store.ping()).await?;
                self.is_well();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
