//! When a changed file is read again: the one rule for every file that is polled.

/// Debounces the states of polled files. A change is reported once two checks in a row see the same state: a file
/// that is being written has another state at each check, and could have less than its whole content.
#[derive(Clone, Debug)]
pub(crate) struct FileDebounce<State> {
    /// The state at the latest read, whether the content was valid or not.
    read: State,
    /// The state at the latest check, if that was not `read`.
    seen: Option<State>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileChange {
    /// The state is that of the latest read.
    Unchanged,
    /// The state differs from that of the previous check, or this is the first check after a change.
    Changing,
    /// The state has changed since the latest read, and not since the previous check.
    Changed,
}

impl<State: PartialEq> FileDebounce<State> {
    /// Starts with the state at the first read.
    pub(crate) fn new(read: State) -> Self {
        Self { read, seen: None }
    }

    /// Checks the state now. After [`FileChange::Changed`], every check reports it again until [`Self::set_read`].
    pub(crate) fn check(&mut self, state: State) -> FileChange {
        if state == self.read {
            self.seen = None;
            return FileChange::Unchanged;
        }
        if self.seen.as_ref() == Some(&state) {
            return FileChange::Changed;
        }
        self.seen = Some(state);
        FileChange::Changing
    }

    /// Records that the files were read, or rejected, in this state.
    pub(crate) fn set_read(&mut self, state: State) {
        *self = Self::new(state);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FileChange::*, *};
    use crate::system::files::Fingerprint;

    #[test]
    fn a_change_is_reported_once_two_checks_see_it() {
        let mut debounce = FileDebounce::new(1);
        assert_eq!(
            [1, 2, 3, 3, 3].map(|state| debounce.check(state)),
            [Unchanged, Changing, Changing, Changed, Changed]
        );
        debounce.set_read(3);
        assert_eq!(
            [3, 1, 3, 1].map(|state| debounce.check(state)),
            [Unchanged, Changing, Unchanged, Changing]
        );
        assert_eq!(debounce.check(1), Changed);
    }

    #[test]
    fn a_replaced_and_a_removed_file_are_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (path, newer) = (directory.path().join("file"), directory.path().join("newer"));
        fs::write(&path, "old").unwrap();
        let state = || Fingerprint::of(&path);
        let mut debounce = FileDebounce::new(state());
        fs::write(&newer, "new").unwrap();
        fs::rename(&newer, &path).unwrap();
        assert_eq!([(); 2].map(|()| debounce.check(state())), [Changing, Changed]);
        debounce.set_read(state());
        assert_eq!(debounce.check(state()), Unchanged);
        fs::remove_file(&path).unwrap();
        assert_eq!([(); 2].map(|()| debounce.check(state())), [Changing, Changed]);
    }
}
