//! The thread of one output: selects packets, makes rows, and writes them until the target has accepted them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{
    account::{FILTERED, FORMAT, OutputAccount, OutputDropReason},
    format::Formatter,
    queue::{OutputQueue, PacketBatch, TakenBatches},
    records::Records,
    sink::Sink,
};
use crate::{
    event::Names,
    mirror::select::Selector,
    system::logging::{ConditionLog, LogThrottle},
};

/// The first and the longest pause after an error of the target.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What stands between two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing: each row is a datagram or the record of a capture.
    None,
    /// A newline after each row.
    Newline,
    /// The length of each row in front of it, RFC 6587.
    OctetCount,
}

/// The state of the thread.
pub(super) struct Writer {
    pub(super) name: String,
    /// The target, for messages.
    pub(super) target: String,
    pub(super) queue: Arc<OutputQueue>,
    pub(super) selector: Selector,
    pub(super) formatter: Formatter,
    pub(super) framing: Framing,
    pub(super) sink: Box<dyn Sink>,
    pub(super) records: Records,
    /// Whether a part of a row was the last thing that could be written before the end.
    pub(super) is_cut: bool,
    pub(super) log: ConditionLog,
    pub(super) panics: LogThrottle,
}

impl Writer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut batches = Vec::new();
        self.open();
        loop {
            match self.queue.take(&mut batches) {
                TakenBatches::Some(names) => {
                    self.selector.turn_to(&names);
                    self.formatter.rows.turn_to(&names);
                    self.records.clear();
                    for batch in batches.drain(..) {
                        self.make_rows(&batch, &names);
                    }
                    self.formatter.rows.refresh();
                    self.write_rows();
                }
                TakenBatches::None => self.open(),
                TakenBatches::Closed => break,
            }
        }
    }

    /// Opens the target, again if requested.
    fn open(&mut self) {
        if self.queue.take_reopen() {
            self.sink.close();
        }
        match self.sink.open() {
            Ok(()) => self.report_up(),
            Err(error) => self.report_down(&error),
        }
    }

    /// Makes the rows of a batch. A row that panics is lost alone.
    fn make_rows(&mut self, batch: &PacketBatch, names: &Names) {
        let mut filtered = [0; FILTERED];
        let mut panicked = 0;
        for (index, event) in batch.events.iter().enumerate() {
            let message = batch.messages.get(index);
            if let Err(reason) = self.selector.pick(event) {
                filtered[reason as usize] += 1;
                continue;
            }
            let weight = self.selector.weight();
            let Self { records, formatter, framing, .. } = self;
            let make = AssertUnwindSafe(|| {
                records.push(|bytes| {
                    let start = bytes.len();
                    let is_made = formatter.append((event, message), names, weight, bytes);
                    add_frame(*framing, start, bytes);
                    is_made
                })
            });
            match catch_unwind(make) {
                Ok(true) => {}
                Ok(false) => filtered[FORMAT] += 1,
                Err(_) => {
                    self.records.repair();
                    panicked += 1;
                }
            }
        }
        self.queue.book(|account| {
            account.filter(filtered);
            account.lose(panicked, OutputDropReason::Panicked);
        });
        if panicked > 0 && self.panics.allows() {
            tracing::error!(
                output = self.name,
                "making a row panicked, which is a bug; the row is lost"
            );
        }
    }

    /// Writes all rows. While the target has an error, they wait, and the queue behind them fills; after the end of the
    /// exporter began, one more error loses them.
    fn write_rows(&mut self) {
        let mut pause = FIRST_PAUSE;
        if self.is_cut {
            self.lose_rest();
        }
        while self.records.len() > 0 {
            if self.queue.take_reopen() {
                self.sink.close();
            }
            let is_last = self.queue.is_closed();
            let progress = self.sink.write(&self.records);
            self.finish(progress.written, OutputAccount::write);
            self.records.begin_next(progress.partial);
            if progress.is_too_long {
                self.finish(1, |account, rows| account.lose(rows, OutputDropReason::TooLong));
            }
            let Some(error) = progress.failure else {
                self.report_up();
                continue;
            };
            self.report_down(&error);
            if is_last {
                self.is_cut = self.records.is_next_begun();
                self.lose_rest();
                return;
            }
            pause = if progress.written + progress.partial > 0 { FIRST_PAUSE } else { pause };
            self.queue.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn lose_rest(&mut self) {
        let rest = self.records.len();
        self.finish(rest, |account, rows| account.lose(rows, OutputDropReason::Unavailable));
    }

    fn finish(&mut self, rows: usize, book: impl FnOnce(&mut OutputAccount, u64)) {
        self.records.finish(rows);
        self.queue.book(|account| book(account, rows as u64));
    }

    fn report_up(&mut self) {
        self.queue.set_up(true);
        self.log.resolve(&format!("output {}: rows are written again", self.name));
    }

    fn report_down(&mut self, error: &std::io::Error) {
        self.queue.set_up(false);
        let (name, target) = (&self.name, &self.target);
        self.log.report(&format!(
            "{name}: cannot write to {target}: {error}; rows wait, and the newest are dropped when the queue is full"
        ));
    }
}

/// Completes the row that begins at `start`.
fn add_frame(framing: Framing, start: usize, bytes: &mut Vec<u8>) {
    match framing {
        Framing::None => {}
        Framing::Newline => bytes.push(b'\n'),
        Framing::OctetCount => {
            let length = format!("{} ", bytes.len() - start);
            bytes.splice(start..start, length.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_framed() {
        let framed = |framing| {
            let mut bytes = b"before".to_vec();
            bytes.extend_from_slice(b"row");
            add_frame(framing, 6, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(framed(Framing::None), "beforerow");
        assert_eq!(framed(Framing::Newline), "beforerow\n");
        assert_eq!(framed(Framing::OctetCount), "before3 row");
    }
}
