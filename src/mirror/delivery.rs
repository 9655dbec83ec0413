//! The delivery: a thread that brings the spool's rows to the database, exactly once, in order.

use std::{
    collections::HashMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    account::Dropped,
    clock_guard::{ClockGuard, Clocks},
    queue::Queue,
    row::Row,
    shared::SharedSpool,
    spool::{Portion, Spool, random_id},
    store::{Batch, Maintenance, MaintenanceReport, Store, StoreError, Writer},
    supervise,
    target::Target,
    tell::{Seldom, Trouble},
    transaction_size::TransactionSize,
};

/// How long the database may take for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long it may take for the schema.
const PREPARE: Duration = Duration::from_secs(60);

/// How long it may take for a transaction or an answer.
const ANSWER: Duration = Duration::from_secs(15);

/// How long it may take to keep house; rows wait in the spool meanwhile.
const UPKEEP: Duration = Duration::from_secs(120);

/// How often the database is asked for a sign of life when there are no rows.
const PING: Duration = Duration::from_secs(5);

/// How soon more of it is done when it was too much for once: rows go first.
const UPKEEP_PAUSE: Duration = Duration::from_millis(100);

/// Rows that are tried when one is refused, to see whether all are.
const TRIED: usize = 8;

/// Waits between attempts to reach the database grow from the first to the last of these.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What the delivery works with.
pub(super) struct Delivery {
    queue: Queue,
    spool: SharedSpool,
    appended: Arc<Notify>,
    target: Target,
    upkeep: Maintenance,
    /// Turns true when nothing is appended any more: then it ends as soon as the spool is empty.
    ending: watch::Receiver<bool>,
    size: TransactionSize,
    /// The writer and the end of the last transaction whose outcome is not known.
    in_flight: Option<(Writer, u64)>,
    /// Ids that stand in the database for writers whose position there cannot be true.
    aliases: HashMap<[u8; 16], [u8; 16]>,
    upkeep_due: Instant,
    clock_guard: ClockGuard,
    trouble: Trouble,
    house: Trouble,
    refusals: Seldom,
}

impl Delivery {
    /// From the spool to the target; told by `appended` that there are rows.
    pub(super) fn new(
        (queue, spool, appended): (Queue, SharedSpool, Arc<Notify>),
        (target, upkeep): (Target, Maintenance),
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            queue,
            spool,
            appended,
            target,
            upkeep,
            ending,
            size: TransactionSize::new(),
            in_flight: None,
            aliases: HashMap::new(),
            upkeep_due: Instant::now(),
            clock_guard: ClockGuard::default(),
            trouble: Trouble::new("mirror"),
            house: Trouble::new("mirror, retention and partitions"),
            refusals: Seldom::default(),
        }
    }

    /// Delivers until told to end and the spool is empty. Never gives up: who cannot wait, drops it.
    pub(super) async fn run<S: Store>(mut self) {
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
            self.queue.tell_up(false);
            let told = format!("{}: {error}; rows wait in the spool", self.target);
            self.trouble.tell(Some(&told), "");
            let has_delivered = self.spool.with(|spool| spool.position()) != before;
            if has_delivered || began.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// One connection's worth of deliveries.
    async fn session<S: Store>(&mut self) -> Result<(), StoreError> {
        let mut store = within(CONNECT, "a connection", S::connect(&self.target)).await?;
        within(PREPARE, "the schema", store.prepare()).await?;
        for advice in within(PREPARE, "views and indexes", store.advice()).await? {
            tracing::warn!("{advice}");
        }
        if let Some(ended) = self.spool.with(Spool::take_ended) {
            within(ANSWER, "an answer", store.forget(&ended)).await?;
        }
        let mut writer = self.resume(&mut store, None).await?;
        if self.spool.with(|spool| spool.waiting()) == 0 {
            self.is_well();
        }
        // Where the position did not move although it was registered again.
        let mut stuck = None;
        loop {
            if self.upkeep_due <= Instant::now() {
                self.keep_house(&mut store).await?;
            }
            let portion = self.spool.with(|spool| spool.next(self.size.rows()));
            match portion {
                Some(portion) if portion.writer == writer => {
                    match self.deliver(&mut store, portion).await {
                        // Another connection of ours committed after all, or somebody changed the
                        // table: `resume` registers the position again.
                        Err(StoreError::Moved) => {
                            let before = self.spool.with(|spool| spool.position());
                            if stuck.as_ref() == Some(&before) {
                                let why = "nflog_writers does not let this writer's position move";
                                return Err(StoreError::Unavailable(why.into()));
                            }
                            writer = self.resume(&mut store, Some(writer)).await?;
                            if self.spool.with(|spool| spool.position()) == before {
                                tracing::warn!(
                                    "mirror: the position of this writer was removed from \
                                     nflog_writers or changed; it is registered again"
                                );
                                stuck = Some(before);
                            }
                        }
                        Err(error @ StoreError::Denied(_)) => {
                            // Perhaps a partition or a table was removed: maintenance makes days.
                            self.upkeep_due = Instant::now();
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

    /// Asks the database how far it got with the writer whose rows come next, and passes over what it
    /// holds already: commits whose answers were lost. The `last` writer is forgotten when it is over.
    async fn resume<S: Store>(
        &mut self,
        store: &mut S,
        mut last: Option<Writer>,
    ) -> Result<Writer, StoreError> {
        loop {
            let (writer, known) = self.spool.with(|spool| spool.position());
            if let Some(over) = last.take().filter(|last| *last != writer) {
                // Lest a loss of power brings rows back to a database that forgot who wrote them.
                self.spool.with(Spool::sync);
                within(ANSWER, "an answer", store.forget(&self.known_as(&over))).await?;
                self.aliases.remove(&over.id);
            }
            let known_as = self.known_as(&writer);
            let held = within(ANSWER, "an answer", store.position(&known_as, known)).await?;
            if held <= known {
                return Ok(writer);
            }
            if !self.can_hold(&writer, held) {
                tracing::error!(
                    held,
                    known,
                    "mirror: {} claims rows that were never sent (was a backup restored, or this \
                     host's state copied?); they are sent under a new writer id",
                    self.target
                );
                self.aliases.insert(writer.id, random_id());
                continue;
            }
            let rows = self.settle(&writer, held, 0);
            tracing::info!(rows, "mirror: the database held rows whose commit was not answered");
            last = Some(writer);
        }
    }

    /// Whether the database can truthfully hold this writer's rows before `held`. Of the present session
    /// it is known what was sent: only the end of a transaction whose outcome is not known can be. What
    /// an earlier session sent, the database knows best: a spool may be older than it, after a loss of
    /// power or out of a backup.
    fn can_hold(&self, writer: &Writer, held: u64) -> bool {
        let is_in_flight =
            self.in_flight.as_ref().is_some_and(|(of, to)| of == writer && *to == held);
        is_in_flight || self.spool.with(|spool| spool.is_earlier(writer))
    }

    /// The writer as the database knows it.
    fn known_as(&self, writer: &Writer) -> Writer {
        let id = self.aliases.get(&writer.id).copied().unwrap_or(writer.id);
        Writer { id, ..writer.clone() }
    }

    /// Writes a portion, in transactions of [`Self::size`] rows. Rows that the database refuses are
    /// found by halving, and dropped alone.
    async fn deliver<S: Store>(
        &mut self,
        store: &mut S,
        portion: Portion,
    ) -> Result<(), StoreError> {
        let Portion { writer, from, to, rows, .. } = portion;
        let count = rows.len();
        // A portion has rows without a gap, or none: numbers that are lost.
        let number = |index: usize| to - (count - index) as u64;
        let mut parts: Vec<_> = (0..count.max(1))
            .step_by(self.size.rows())
            .map(|start| start..(start + self.size.rows()).min(count))
            .rev()
            .collect();
        let mut position = from;
        let known_as = self.known_as(&writer);
        while let Some(part) = parts.pop() {
            let batch = Batch { from: position, to: number(part.end), rows: &rows[part.clone()] };
            let began = Instant::now();
            self.in_flight = Some((writer.clone(), batch.to));
            let written = within(ANSWER, "a transaction", store.write(&known_as, batch)).await;
            let refused = match written {
                Ok(()) => false,
                Err(StoreError::Refused(_)) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                    continue;
                }
                Err(StoreError::Refused(why)) => {
                    if position == from {
                        // Nothing has passed yet: is it this row, or every row?
                        self.try_another(store, &known_as, &rows, part.start, &why).await?;
                    }
                    let over = Batch { rows: &[], ..batch };
                    within(ANSWER, "a transaction", store.write(&known_as, over)).await?;
                    if self.refusals.worth_a_line() {
                        tracing::error!("mirror: {} refuses a row, dropped: {why}", self.target);
                    }
                    true
                }
                Err(error) => {
                    // A connection that breaks says nothing about the size.
                    if began.elapsed() >= ANSWER {
                        self.size.timed_out();
                    }
                    return Err(error);
                }
            };
            self.settle(&writer, batch.to, u64::from(refused));
            position = batch.to;
        }
        self.size.written();
        self.is_well();
        Ok(())
    }

    /// Sees that the database takes another row than the one at `refused`: else it is not that row that is
    /// bad but something about the database, and rows wait until somebody has fixed it.
    async fn try_another<S: Store>(
        &mut self,
        store: &mut S,
        writer: &Writer,
        rows: &[Row],
        refused: usize,
        why: &str,
    ) -> Result<(), StoreError> {
        let plain = [Row { time: rows[refused].time, weight: 1, ..Row::default() }];
        let others = rows.iter().enumerate().filter(|(index, _)| *index != refused);
        let others = others.map(|(_, row)| std::slice::from_ref(row)).take(TRIED);
        for row in others.chain([&plain[..]]) {
            match within(ANSWER, "a row that is tried", store.try_rows(writer, row)).await {
                Err(StoreError::Refused(_)) => {}
                tried => return tried,
            }
        }
        Err(StoreError::Denied(format!("it refuses every row, also a plain one: {why}")))
    }

    /// The database takes rows, or answers while there are none. A connection alone does not tell: a
    /// table may be locked behind it.
    fn is_well(&mut self) {
        self.queue.tell_up(true);
        self.trouble.tell(None, &format!("mirror: {} takes rows again", self.target));
    }

    /// The database holds all of this writer's rows before `to`, but for so many that it refused:
    /// they leave the spool and are booked. Returns how many it holds of those.
    fn settle(&self, writer: &Writer, to: u64, refused: u64) -> u64 {
        self.spool.with(|spool| {
            let waiting = spool.waiting();
            let delivered = spool.delivered(writer, to);
            let lost = waiting - spool.waiting() - delivered;
            self.queue.book(|account| {
                account.lose(lost, Dropped::SpoolCorrupt);
                account.lose(refused, Dropped::Refused);
                account.write(delivered - refused);
            });
            if lost > 0 {
                tracing::error!(
                    rows = lost,
                    "mirror: rows in the spool cannot be read back, its files are damaged"
                );
            }
            delivered - refused
        })
    }

    /// Waits for rows, and asks for a sign of life now and then.
    async fn rest<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        let upkeep = self.upkeep_due.saturating_duration_since(Instant::now());
        tokio::select! {
            () = self.appended.notified() => Ok(()),
            // An error is a mirror that is gone: it told to end before.
            _ = self.ending.changed() => Ok(()),
            () = sleep(upkeep.min(PING)) => {
                within(ANSWER, "a sign of life", store.ping()).await?;
                self.is_well();
                Ok(())
            }
        }
    }

    /// Makes partitions ahead and drops what is expired, both by the server's clock. Trouble with it keeps
    /// no row from being written.
    async fn keep_house<S: Store>(&mut self, store: &mut S) -> Result<(), StoreError> {
        // Also when it fails, so that it is not tried at each new connection.
        self.upkeep_due = Instant::now() + S::MAINTENANCE_INTERVAL;
        let done = match self.maintain(store).await {
            Ok(done) => done,
            Err(error) => {
                self.house.tell(Some(&format!("{}: {error}", self.target)), "");
                return Err(error);
            }
        };
        if !done.dropped.is_empty() {
            tracing::info!(partitions = %done.dropped.join(" "), "mirror: dropped expired partitions");
        }
        if done.unfinished {
            self.upkeep_due = Instant::now() + UPKEEP_PAUSE;
        }
        if done.warnings.is_empty() {
            self.queue.tell_upkeep();
            self.house.tell(None, "mirror: retention and partitions work again");
        } else {
            self.house.tell(Some(&done.warnings.join("; ")), "");
        }
        Ok(())
    }

    async fn maintain<S: Store>(&mut self, store: &mut S) -> Result<MaintenanceReport, StoreError> {
        let server = within(ANSWER, "an answer", store.clock()).await?.now;
        let mut upkeep = self.upkeep;
        let mut held = None;
        if upkeep != Maintenance::default() {
            let newest_row = within(ANSWER, "an answer", store.newest_row(server)).await?;
            let (monotonic, local) = (Instant::now(), SystemTime::now());
            let clocks = Clocks { monotonic, local, server, newest_row };
            held = self.clock_guard.check(clocks).err();
        }
        self.queue.tell_retention_held(held.is_some());
        if held.is_some() {
            upkeep = Maintenance::default();
        }
        let mut done = within(UPKEEP, "retention", store.maintain(&upkeep, server)).await?;
        done.warnings.extend(held);
        Ok(done)
    }
}

/// Gives a call its time. One that takes longer is dropped, and its connection with it.
async fn within<T>(
    time: Duration,
    what: &str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(time, call).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable(format!("{what} takes longer than {} s", time.as_secs())))
    })
}

#[cfg(test)]
mod tests;
