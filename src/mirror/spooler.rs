//! Builds rows from queued events and appends them to the spool, on a thread of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    account::DropReason,
    anonymize::Anonymizer,
    queue::{CHUNK, Queue, QueueState},
    row::Row,
    row_builder::RowBuilder,
    select::{Filtered, Selector},
    shared_spool::SharedSpool,
    spool::AppendError,
    supervise,
};
use crate::{
    event::Event,
    system::{
        clock::steady_micros,
        logging::{ConditionLog, LogThrottle},
    },
};

/// Rows older than this are synced to disk, at most once in this time; most are in the database before.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// The state of the spooler thread.
pub(super) struct Spooler {
    pub(super) queue: Queue,
    pub(super) selector: Selector,
    pub(super) row_builder: RowBuilder,
    pub(super) anonymizer: Anonymizer,
    pub(super) spool: SharedSpool,
    /// Notified whenever rows were appended.
    pub(super) appended: Arc<Notify>,
    pub(super) spool_log: ConditionLog,
    /// Time of the last sync.
    pub(super) synced: Instant,
}

impl Spooler {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut events = Vec::new();
        let mut rows = Vec::with_capacity(CHUNK);
        let mut throttle = LogThrottle::default();
        loop {
            match self.queue.take(&mut events) {
                QueueState::Events(names) => {
                    self.selector.turn_to(&names);
                    self.row_builder.turn_to(&names);
                }
                QueueState::Idle => {
                    self.sync_spool();
                    continue;
                }
                QueueState::Closed => break,
            }
            // One frame of the spool.
            self.spool_supervised(&events, &mut rows, &mut throttle);
            self.queue.mark_processed(events.len());
            self.row_builder.refresh();
            self.sync_spool();
        }
        self.sync_spool();
    }

    /// Builds rows of some events and appends them. An event that causes a panic loses only its own row.
    fn spool_supervised(
        &mut self,
        events: &[Event],
        rows: &mut Vec<Row>,
        throttle: &mut LogThrottle,
    ) {
        let queue = self.queue.clone();
        let mut booked = false;
        let what = "making rows";
        if supervise::caught(&queue, what, || {
            self.spool_events(events, rows, throttle, &mut booked);
        })
        .is_some()
            || booked
        {
            return;
        }
        for event in events.chunks(1) {
            let spooled = supervise::caught(&queue, what, || {
                self.spool_events(event, rows, throttle, &mut booked);
            });
            if spooled.is_none() && !booked {
                let none = [0; Filtered::ALL.len()];
                queue.book(|account| account.refuse(1, none, DropReason::Panicked));
            }
        }
    }

    /// Builds rows of some events and appends them; sets `booked` once the account has them.
    fn spool_events(
        &mut self,
        events: &[Event],
        rows: &mut Vec<Row>,
        throttle: &mut LogThrottle,
        booked: &mut bool,
    ) {
        *booked = false;
        rows.clear();
        let mut filtered = [0; Filtered::ALL.len()];
        for event in events {
            match self.selector.pick(event) {
                Ok(()) => {
                    let mut row = self.row_builder.row(event, self.selector.weight());
                    self.anonymizer.apply(&mut row);
                    rows.push(row);
                }
                Err(reason) => filtered[reason as usize] += 1,
            }
        }
        let mark = self.spool.with(|spool| spool.mark_after(rows.len()));
        self.queue.announce(events.len(), mark);
        let appended = self.spool.with(|spool| {
            let appended = spool.append(rows, steady_micros());
            match &appended {
                Ok(()) => self.queue.book(|account| account.spool(rows.len(), filtered)),
                Err(error) => {
                    let reason = reason(error);
                    self.queue.book(|account| account.refuse(rows.len(), filtered, reason));
                }
            }
            *booked = true;
            appended
        });
        match appended {
            Ok(()) => self.appended.notify_one(),
            Err(error) if throttle.allows() => tracing::error!(
                reason = reason(&error).name(),
                "mirror: rows are dropped, counters are not affected: {error}, and the database accepts no \
                 rows or too few"
            ),
            Err(_) => {}
        }
    }

    /// Syncs old rows to disk, and logs whether the spool works.
    fn sync_spool(&mut self) {
        let due = self.synced.elapsed() > SYNC_AFTER;
        let error = self.spool.with(|spool| {
            let waited = spool.oldest().map_or(0, |since| steady_micros().saturating_sub(since));
            if due && Duration::from_micros(waited) > SYNC_AFTER {
                spool.sync();
                self.synced = Instant::now();
            }
            spool.io_error().map(str::to_owned)
        });
        match error {
            Some(error) => self.spool_log.report(&error),
            None => self.spool_log.resolve("mirror: the spool works again"),
        }
    }
}

fn reason(error: &AppendError) -> DropReason {
    match error {
        AppendError::Full => DropReason::SpoolFull,
        AppendError::Failed(_) => DropReason::SpoolFailed,
    }
}
