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
}

#[derive(Debug)]
struct State {
    positions: BTreeMap<u64, SavedPosition>,
    /// Positions whose packets are not in the spool yet, each with the number of the last packet.
    pending: VecDeque<(u64, Checkpoint)>,
    /// Number of packets that the mirror has spooled or filtered.
    spooled: u64,
    file: StateFile,
    is_unsaved: bool,
    is_closed: bool,
    throttle: LogThrottle,
}

impl Positions {
    pub(super) fn new(file: StateFile) -> Self {
        Self {
            state: Mutex::new(State {
                positions: BTreeMap::new(),
                pending: VecDeque::new(),
                spooled: 0,
                file,
                is_unsaved: false,
                is_closed: false,
                throttle: LogThrottle::default(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds or changes a file, without saving it.
    pub(super) fn set(&self, id: u64, position: SavedPosition) {
        lock(&self.state).positions.insert(id, position);
    }

    /// Saves the positions at once.
    pub(super) fn save(&self) {
        lock(&self.state).save();
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
            state.save();
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
                state.save();
            } else if state.is_closed {
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

    fn save(&mut self) {
        self.is_unsaved = false;
        let positions: Vec<_> = self.positions.values().collect();
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
