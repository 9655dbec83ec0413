//! Reads the followed files to their ends, also those that were rotated or truncated.

use std::{io, path::PathBuf, time::Duration};

use super::{
    Follower,
    followed_file::FileRead,
    rotated::{self, rotated_files},
    saved_position::FileKey,
};
use crate::source::{
    kernel_log::{meter::Input, queue::Chunk},
    log::packet_line::SkipReason,
};

/// How long a rotated file can still be written: a daemon closes it when logrotate signals it.
const ROTATED_FOR: Duration = Duration::from_secs(60);

/// How long the rest of a line in a rotated file is waited for.
const LAST_LINE: Duration = Duration::from_secs(5);

impl Follower {
    /// Reads all files to their ends; false if the queue is stopped.
    pub(super) fn read_all(&mut self) -> bool {
        if !self.read_compressed() {
            return false;
        }
        let mut at = 0;
        while at < self.files.len() {
            match self.read_to_end(at) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let path = self.files[at].path.clone();
                    self.log_once(&path, &error.to_string());
                }
            }
            if self.is_finished(at) {
                let file = self.files.remove(at);
                self.positions.forget(file.id);
                // Another file can get its number.
                self.at_path.retain(|_, key| *key != file.key);
            } else {
                at += 1;
            }
        }
        true
    }

    fn read_to_end(&mut self, at: usize) -> io::Result<bool> {
        loop {
            let file = &mut self.files[at];
            let is_last = file.is_rotated && file.last_lines.elapsed() > LAST_LINE;
            let before = file.first_bytes;
            let read = if is_last { file.read_rest()? } else { file.read()? };
            if file.first_bytes != before {
                self.positions.change(file.id, &file.path, file.key, file.first_bytes);
            }
            match read {
                FileRead::Lines(lines) => {
                    let chunk = Chunk::of_file(lines, file.id, file.offset);
                    if !self.queue.push(chunk) {
                        return Ok(false);
                    }
                }
                FileRead::TooLong => {
                    self.meter.count(Input::File, 1);
                    self.meter.skip(SkipReason::TooLong, 1);
                }
                FileRead::Skipped => {}
                FileRead::End => return Ok(true),
                FileRead::Truncated => self.truncated(at)?,
            }
            if self.queue.is_stopped() {
                return Ok(false);
            }
        }
    }

    /// Continues after a truncation: in the copy that was made before it, if there is one, and at the start of the file.
    fn truncated(&mut self, at: usize) -> io::Result<()> {
        let file = &mut self.files[at];
        let before = file.position();
        let (path, offset) = (file.path.clone(), file.offset);
        let copy = rotated_files(&path).into_iter().find(|copy| {
            copy.key != before.key && copy.begins_with(before.first_bytes) && copy.has(&before)
        });
        tracing::info!(file = %path.display(), offset, copied = copy.is_some(), "a log file was truncated");
        let previous = file.id;
        let Some(copy) = copy else {
            file.restart(self.next_id)?;
            self.next_id += 1;
            self.positions.forget(previous);
            self.positions.set(file.id, file.position());
            self.positions.save();
            return Ok(());
        };
        file.switch_to(copy.file, true)?;
        self.positions.change(file.id, &file.path, file.key, file.first_bytes);
        let current = rotated::open(&path).filter(|current| current.key == before.key);
        if let Some(current) = current {
            let count = self.files.len();
            self.follow(current, path, Some(0), false);
            // Read after its copy.
            self.save_added();
            let added = self.files.len() - count;
            self.files[at + 1..].rotate_right(added);
        }
        Ok(())
    }

    /// Whether a file has no more lines, and all were handed over.
    fn is_finished(&self, at: usize) -> bool {
        let file = &self.files[at];
        let is_old = file.is_rotated && file.last_lines.elapsed() > ROTATED_FOR;
        if !is_old && !file.is_removed() {
            return false;
        }
        // A file at a path of a pattern would be found again, and one that was replaced was not looked at yet.
        let is_here = |(path, key): (&PathBuf, &FileKey)| *key == file.key && path.exists();
        let is_here = self.at_path.iter().any(is_here);
        !is_here && self.positions.offset(file.id).is_none_or(|offset| offset >= file.offset)
    }
}
