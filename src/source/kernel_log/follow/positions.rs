//! How far each followed file was counted, and the file that keeps it.
//!
//! A position is written once the packets before it were handed over: to the counters, and, with a mirror, to its spool.
//! So lines are neither lost nor counted twice when the program is killed.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Condvar, Mutex},
};

use super::{
    fingerprint::FirstBytes,
    saved_position::{FileKey, SavedPosition},
    state_file::StateFile,
};
use crate::{
    source::kernel_log::checkpoint::Checkpoint,
    system::{
        lock::{lock, wait},
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
struct SavedState {
    file: StateFile,
    throttle: LogThrottle,
}

#[derive(Debug)]
struct State {
    positions: BTreeMap<u64, SavedPosition>,
    /// Positions whose packets are not in the spool yet, each with the number of the last packet.
    pending: VecDeque<(u64, Checkpoint)>,
    /// Number of packets that the mirror has spooled or filtered.
    spooled: u64,
    is_unsaved: bool,
    is_closed: bool,
}

impl Positions {
    pub(super) fn new(file: StateFile) -> Self {
        Self {
            state: Mutex::new(State {
                positions: BTreeMap::new(),
                pending: VecDeque::new(),
                spooled: 0,
                is_unsaved: false,
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
        let positions = lock(&self.state).copy();
        saved.save(&positions);
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

    /// The packets before a position were handed over. `offered` is the number of packets that the mirror has accepted
    /// so far; `None` without a mirror.
    pub fn handed_over(&self, checkpoint: Checkpoint, offered: Option<u64>) {
        let mut state = lock(&self.state);
        if let Some(offered) = offered.filter(|offered| *offered > state.spooled) {
            // Lines without packets move the position of those before them.
            if let Some(last) = state.pending.back_mut()
                && *last == (offered, Checkpoint { offset: last.1.offset, ..checkpoint })
            {
                last.1 = checkpoint;
            } else {
                state.pending.push_back((offered, checkpoint));
            }
            return;
        }
        state.advance(checkpoint);
        drop(state);
        self.save_later();
    }

    /// The mirror has spooled or filtered this number of packets in all. Saves the positions.
    pub fn spooled(&self, packets: u64) {
        let mut state = lock(&self.state);
        state.spooled = packets;
        let mut is_changed = false;
        while state.pending.front().is_some_and(|(offered, _)| *offered <= packets) {
            if let Some((_, checkpoint)) = state.pending.pop_front() {
                state.advance(checkpoint);
                is_changed = true;
            }
        }
        if is_changed {
            // On this thread, so that the time in which the program can be killed between rows and position is short.
            drop(state);
            self.save();
        }
    }

    fn save_later(&self) {
        lock(&self.state).is_unsaved = true;
        self.changed.notify_all();
    }

    /// Saves changes until [`Self::close`]: the work of a thread, so that the reader never waits for a disk.
    pub(in crate::source) fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            if state.is_unsaved {
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

impl State {
    fn advance(&mut self, checkpoint: Checkpoint) {
        if let Some(position) = self.positions.get_mut(&checkpoint.id) {
            position.offset = checkpoint.offset;
            self.is_unsaved = true;
        }
    }

    /// The positions, which the caller saves.
    fn copy(&mut self) -> Vec<SavedPosition> {
        self.is_unsaved = false;
        self.positions.values().cloned().collect()
    }
}

impl SavedState {
    fn save(&mut self, positions: &[SavedPosition]) {
        let positions: Vec<_> = positions.iter().collect();
        if let Err(error) = self.file.save(&positions)
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
    use std::{sync::mpsc, thread, time::Duration};

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
                    reader.handed_over(Checkpoint { id: 1, offset }, None);
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
        assert!(!lock(&positions.state).is_unsaved);
    }
}
