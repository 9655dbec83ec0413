//! Timeouts for clients that read their response too slowly.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::system::lock::lock;

/// The deadlines of one connection. HTTP/1 has one response at a time.
#[derive(Debug)]
pub(super) struct WriteTimeout {
    stall_timeout: Duration,
    deadlines: Mutex<Option<Deadlines>>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// When the whole response must be written; `None` is no limit.
    response: Option<Instant>,
    /// When the next byte must be written.
    stall: Instant,
}

impl WriteTimeout {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self { stall_timeout, deadlines: Mutex::default(), changed: Notify::new() }
    }

    /// A response begins, which must be written in this time.
    pub(super) fn start(&self, time: Duration) {
        self.set(Instant::now().checked_add(time));
    }

    /// A part of the response was written.
    pub(super) fn progress(&self) {
        if let Some(deadlines) = &mut *self.deadlines() {
            deadlines.stall = Instant::now() + self.stall_timeout;
        }
    }

    /// A write waits for the client, also one that belongs to no response.
    pub(super) fn blocked(&self) {
        if self.deadlines().is_none() {
            self.set(None);
        }
    }

    /// The whole response was written.
    pub(super) fn finish(&self) {
        *self.deadlines() = None;
    }

    /// Completes when a deadline has passed.
    pub(super) async fn expired(&self) {
        loop {
            let deadlines = *self.deadlines();
            let Some(Deadlines { response, stall }) = deadlines else {
                self.changed.notified().await;
                continue;
            };
            let end = response.map_or(stall, |response| response.min(stall));
            if end <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(end) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn set(&self, response: Option<Instant>) {
        let stall = Instant::now() + self.stall_timeout;
        *self.deadlines() = Some(Deadlines { response, stall });
        self.changed.notify_one();
    }

    fn deadlines(&self) -> MutexGuard<'_, Option<Deadlines>> {
        lock(&self.deadlines)
    }
}
