//! Notices changes of directories with inotify(7).

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init},
};

/// Size of the buffer for events, bytes.
const BUFFER: usize = 16 * 1024;

/// What changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Files were created, removed or renamed.
    pub names: bool,
    /// Files were written.
    pub contents: bool,
}

/// Watches directories. Without inotify, as for a file that another host writes, the follower still looks at the files
/// at intervals.
#[derive(Debug)]
pub(super) struct Watch {
    descriptor: Option<OwnedFd>,
    watched: HashMap<PathBuf, i32>,
}

impl Watch {
    pub fn new() -> Self {
        let descriptor = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Self { descriptor, watched: HashMap::new() }
    }

    /// Watches a directory if it exists and is not watched yet.
    pub fn add(&mut self, directory: &Path) {
        let Some(descriptor) = &self.descriptor else { return };
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::ONLYDIR;
        // Adding a directory again gives the same number, and a new one for a directory that was replaced.
        if let Ok(number) = add_watch(descriptor, directory, flags) {
            self.watched.insert(directory.into(), number);
        }
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(|descriptor| descriptor.as_fd())
    }

    /// The changes since the last call.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        let Some(descriptor) = &self.descriptor else { return changes };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(descriptor, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events() == ReadFlags::MODIFY {
                changes.contents = true;
            } else {
                changes.names = true;
            }
        }
        changes
    }
}
