//! How far each followed file was counted, and the file that keeps it.
//!
//! Without a mirror, a position is written once the packets before it were counted. With a mirror, it is written before
//! their rows are appended to the spool, with the point that the spool then has: after a kill, the spool decides whether
//! the position holds. So no line becomes two rows, and none is missing.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use super::{
    fingerprint::FirstBytes,
    saved_position::{FileKey, SavedPosition, SpoolMark},
    state_file::StateFile,
};
use crate::{
    source::kernel_log::checkpoint::Checkpoint,
    system::{
        lock::{lock, wait, wait_timeout},
        logging::LogThrottle,
    },
};

/// The positions of all followed files.
#[derive(Debug)]
pub struct Positions {
    state: Mutex<State>,
    changed: Condvar,
    /// Locked before `state`, and never by the reader's thread: a slow disk delays only those who save.
    saved: Mutex<SavedState>,
}

#[derive(Debug)]
struct State {
    positions: BTreeMap<u64, SavedPosition>,
    /// The position of the batch that is handed over now.
    handing_over: Option<Checkpoint>,
    /// Positions whose packets are not in the spool yet, each with the number of the last packet.
    pending: VecDeque<(u64, Checkpoint)>,
    /// Number of packets that the mirror has spooled or filtered.
    spooled: u64,
    /// Number of packets of which rows are being appended, and the point in the spool after them.
    appending: Option<(u64, SpoolMark)>,
    /// Number of changes, and of those that are saved.
    changes: u64,
    saved_changes: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct SavedState {
    file: StateFile,
    throttle: LogThrottle,
}

impl Positions {
    pub(super) fn new(file: StateFile) -> Self {
        Self {
            state: Mutex::new(State {
                positions: BTreeMap::new(),
                handing_over: None,
                pending: VecDeque::new(),
                spooled: 0,
                appending: None,
                changes: 0,
                saved_changes: 0,
                is_closed: false,
            }),
            changed: Condvar::new(),
            saved: Mutex::new(SavedState { file, throttle: LogThrottle::default() }),
        }
    }

    /// Adds or changes a file, without saving it.
    pub(super) fn set(&self, id: u64, position: SavedPosition) {
        lock(&self.state).positions.insert(id, position);
    }

    /// Saves the positions at once.
    pub(super) fn save(&self) {
        let mut saved = lock(&self.saved);
        // Copied, so that the reader can change them during the write.
        let (changes, positions, after_append) = lock(&self.state).copy();
        saved.save(&positions, after_append.as_ref());
        lock(&self.state).saved_changes = changes;
        self.changed.notify_all();
    }

    /// Waits until the positions of all packets that were counted are saved, except of those that are on their way to the
    /// spool; at most for the limit. A scrape waits, so that a kill after it does not count its packets again.
    pub fn wait_until_saved(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = lock(&self.state);
        while state.handing_over.is_some() || state.saved_changes < state.changes {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            state = wait_timeout(&self.changed, state, rest);
        }
    }

    /// The file moved: its position stays.
    pub(super) fn change(&self, id: u64, path: &Path, key: FileKey, first_bytes: FirstBytes) {
        if let Some(position) = lock(&self.state).positions.get_mut(&id) {
            *position = SavedPosition { path: path.into(), key, first_bytes, ..*position };
        }
        self.save_later();
    }

    /// Removes a file that is no longer followed.
    pub(super) fn forget(&self, id: u64) {
        lock(&self.state).positions.remove(&id);
        self.save_later();
    }

    /// The saved offset of a file.
    pub(super) fn offset(&self, id: u64) -> Option<u64> {
        Some(lock(&self.state).positions.get(&id)?.offset)
    }

    /// The packets before a position are about to be handed over.
    pub(in crate::source) fn handing_over(&self, checkpoint: Checkpoint) {
        lock(&self.state).handing_over = Some(checkpoint);
    }

    /// They were handed over. With a mirror, [`Self::offered`] was called before.
    pub(in crate::source) fn handed_over(&self) {
        let mut state = lock(&self.state);
        if let Some(checkpoint) = state.handing_over.take() {
            state.advance(checkpoint);
            self.changed.notify_all();
        }
    }

    /// The packets that are handed over were offered to the mirror, which has accepted this number so far.
    pub fn offered(&self, packets: u64) {
        let mut state = lock(&self.state);
        let Some(checkpoint) = state.handing_over.take() else { return };
        if packets <= state.spooled {
            // Lines without packets.
            state.advance(checkpoint);
        } else if let Some(last) = state.pending.back_mut()
            && *last == (packets, Checkpoint { offset: last.1.offset, ..checkpoint })
        {
            // Lines without packets move the position of those before them.
            last.1 = checkpoint;
        } else {
            state.pending.push_back((packets, checkpoint));
        }
        self.changed.notify_all();
    }

    /// The rows of this number of packets in all are in the spool once it has all rows before the mark. Saves that.
    pub fn appending(&self, packets: u64, mark: SpoolMark) {
        let mut state = lock(&self.state);
        if state.pending.front().is_some_and(|(offered, _)| *offered <= packets) {
            state.appending = Some((packets, mark));
            drop(state);
            self.save();
        }
    }

    /// The mirror has spooled or filtered this number of packets in all. Saves the positions.
    pub fn spooled(&self, packets: u64) {
        let mut state = lock(&self.state);
        state.spooled = packets;
        state.appending = None;
        let mut is_changed = false;
        while state.pending.front().is_some_and(|(offered, _)| *offered <= packets) {
            if let Some((_, checkpoint)) = state.pending.pop_front() {
                state.advance(checkpoint);
                is_changed = true;
            }
        }
        if is_changed {
            self.changed.notify_all();
        }
    }

    fn save_later(&self) {
        lock(&self.state).changes += 1;
        self.changed.notify_all();
    }

    /// Saves changes until [`Self::close`]: the work of a thread, so that the reader never waits for a disk.
    pub(in crate::source) fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            if state.saved_changes < state.changes {
                drop(state);
                self.save();
                state = lock(&self.state);
            } else if state.is_closed {
                drop(state);
                // Another thread may still be saving.
                drop(lock(&self.saved));
                return;
            } else {
                state = wait(&self.changed, state);
            }
        }
    }

    /// Ends [`Self::run`] once every change is saved.
    pub(in crate::source) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }
}

/// The positions that hold once the spool has all rows before a mark.
type AfterAppend = (SpoolMark, Vec<SavedPosition>);

impl State {
    fn advance(&mut self, checkpoint: Checkpoint) {
        if let Some(position) = self.positions.get_mut(&checkpoint.id) {
            position.offset = checkpoint.offset;
            self.changes += 1;
        }
    }

    /// The number of changes so far, and what the caller saves.
    fn copy(&self) -> (u64, Vec<SavedPosition>, Option<AfterAppend>) {
        let after_append = self.appending.map(|(packets, mark)| {
            let mut after = self.positions.clone();
            for (_, checkpoint) in
                self.pending.iter().take_while(|(offered, _)| *offered <= packets)
            {
                if let Some(position) = after.get_mut(&checkpoint.id) {
                    position.offset = checkpoint.offset;
                }
            }
            (mark, after.into_values().collect())
        });
        (self.changes, self.positions.values().cloned().collect(), after_append)
    }
}

impl SavedState {
    fn save(&mut self, positions: &[SavedPosition], after_append: Option<&AfterAppend>) {
        let after_append = after_append.map(|(mark, positions)| (*mark, positions.as_slice()));
        if let Err(error) = self.file.save(positions, after_append)
            && self.throttle.allows()
        {
            tracing::error!(
                "cannot save the positions in the followed log files to {}: {error}; after a restart, lines can \
                 be counted twice or be missed",
                self.file.path().display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// A write to a slow disk holds only the lock of the file.
    #[test]
    fn the_reader_does_not_wait_for_the_disk() {
        let positions = Positions::new(StateFile::none());
        let key = FileKey { device: 1, inode: 2 };
        let first_bytes = FirstBytes::default();
        positions.set(1, SavedPosition { path: "a".into(), key, first_bytes, offset: 0 });
        thread::scope(|scope| {
            let slow = lock(&positions.saved);
            scope.spawn(|| positions.run());
            scope.spawn(|| positions.save());
            let (done, is_done) = mpsc::channel();
            let reader = &positions;
            scope.spawn(move || {
                for offset in 1..=100 {
                    reader.handing_over(Checkpoint { id: 1, offset });
                    reader.handed_over();
                    thread::yield_now();
                }
                done.send(()).unwrap();
            });
            let outcome = is_done.recv_timeout(Duration::from_secs(10));
            drop(slow);
            positions.close();
            outcome.expect("the reader waits for the disk");
        });
        assert_eq!(positions.offset(1), Some(100));
        positions.wait_until_saved(Duration::ZERO);
        let state = lock(&positions.state);
        assert_eq!(state.saved_changes, state.changes);
    }
}
