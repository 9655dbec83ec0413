//! Files that one process uses at a time, by flock(2).

use std::{fs::File, io, ops::Deref};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// An open file, locked until it is dropped.
#[derive(Debug)]
pub struct LockedFile(File);

/// Why a file is not locked.
#[derive(Debug)]
pub enum LockError {
    /// It is locked already. This is the file, not locked.
    Held(File),
    /// An I/O error.
    Io(io::Error),
}

impl LockedFile {
    /// Locks a file; does not wait.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn new(file: File) -> Result<Self, LockError> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held(file)),
            Err(error) => Err(LockError::Io(error.into())),
        }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing it may not be enough: a process that another thread starts has the same open file until it executes
        // its program.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let first = LockedFile::new(path.reopen().unwrap()).unwrap();
        let second = LockedFile::new(path.reopen().unwrap());
        assert!(matches!(second, Err(LockError::Held(_))), "{second:?}");
        // A process that is being started has it too.
        let copy = first.try_clone().unwrap();
        drop(first);
        LockedFile::new(path.reopen().unwrap()).unwrap();
        drop(copy);
    }
}
