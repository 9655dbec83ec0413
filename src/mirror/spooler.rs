//! The spooler: a thread that makes rows of queued events and appends them to the spool.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    account::Dropped,
    anonymize::Anonymizer,
    queue::{CHUNK, Queue, Taken, now},
    row::Row,
    row_builder::RowBuilder,
    select::{Filtered, Selector},
    shared::SharedSpool,
    spool::SpoolRefusal,
    supervise,
    tell::{Seldom, Trouble},
};
use crate::event::Event;

/// Rows that have waited so long are worth the disk's effort to keep them through a loss of power, once
/// in that time; most are in the database before.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// What the spooler works with.
pub(super) struct Spooler {
    pub(super) queue: Queue,
    pub(super) selector: Selector,
    pub(super) row_builder: RowBuilder,
    pub(super) anonymizer: Anonymizer,
    pub(super) spool: SharedSpool,
    /// Told whenever rows were appended.
    pub(super) appended: Arc<Notify>,
    pub(super) trouble: Trouble,
    /// When the disk was last asked to keep rows.
    pub(super) synced: Instant,
}

impl Spooler {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut events = Vec::new();
        let mut rows = Vec::with_capacity(CHUNK);
        let mut refusals = Seldom::default();
        loop {
            match self.queue.take(&mut events) {
                Taken::Events(names) => {
                    self.selector.turn_to(&names);
                    self.row_builder.turn_to(&names);
                }
                Taken::Nothing => {
                    self.look_after_spool();
                    continue;
                }
                Taken::End => break,
            }
            // One frame of the spool.
            self.feed_supervised(&events, &mut rows, &mut refusals);
            self.queue.looked();
            self.row_builder.refresh();
            self.look_after_spool();
        }
        self.look_after_spool();
    }

    /// Makes rows of some events and appends them. An event that makes it panic costs its own row only.
    fn feed_supervised(&mut self, events: &[Event], rows: &mut Vec<Row>, refusals: &mut Seldom) {
        let queue = self.queue.clone();
        let mut booked = false;
        let what = "making rows";
        if supervise::caught(&queue, what, || self.feed(events, rows, refusals, &mut booked))
            .is_some()
            || booked
        {
            return;
        }
        for event in events.chunks(1) {
            let fed = supervise::caught(&queue, what, || {
                self.feed(event, rows, refusals, &mut booked);
            });
            if fed.is_none() && !booked {
                let none = [0; Filtered::ALL.len()];
                queue.book(|account| account.refuse(1, none, Dropped::Panicked));
            }
        }
    }

    /// Makes rows of some events and appends them; says whether these stand in the account.
    fn feed(
        &mut self,
        events: &[Event],
        rows: &mut Vec<Row>,
        refusals: &mut Seldom,
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
        let appended = self.spool.with(|spool| {
            let appended = spool.append(rows, now());
            match &appended {
                Ok(()) => self.queue.book(|account| account.spool(rows.len(), filtered)),
                Err(refusal) => {
                    let reason = reason(refusal);
                    self.queue.book(|account| account.refuse(rows.len(), filtered, reason));
                }
            }
            *booked = true;
            appended
        });
        match appended {
            Ok(()) => self.appended.notify_one(),
            Err(refusal) if refusals.worth_a_line() => tracing::error!(
                reason = reason(&refusal).name(),
                "mirror: rows are dropped, the counters go on: {refusal}, and the database takes \
                 them too slowly or not at all"
            ),
            Err(_) => {}
        }
    }

    /// Keeps what waits, and tells how the spool stands.
    fn look_after_spool(&mut self) {
        let due = self.synced.elapsed() > SYNC_AFTER;
        let trouble = self.spool.with(|spool| {
            let waited = spool.oldest().map_or(0, |since| now().saturating_sub(since));
            if due && Duration::from_micros(waited) > SYNC_AFTER {
                spool.sync();
                self.synced = Instant::now();
            }
            spool.trouble().map(str::to_owned)
        });
        self.trouble.tell(trouble.as_deref(), "mirror: the spool works again");
    }
}

fn reason(refusal: &SpoolRefusal) -> Dropped {
    match refusal {
        SpoolRefusal::Full => Dropped::SpoolFull,
        SpoolRefusal::Failed(_) => Dropped::SpoolFailed,
    }
}
