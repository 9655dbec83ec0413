//! Opens the spool's directory, at the start or later, and takes over the sessions that earlier runs left.

use std::{collections::HashSet, time::Instant};

use super::{
    OtherTarget, RETRY, Spool,
    directory::{DirectoryError, SpoolDirectory},
    io_error::explain,
    other_targets,
    session::Session,
};
use crate::mirror::target::is_same_database;

impl Spool {
    /// Retries a directory that could not be used, and checks that it still exists.
    pub(super) fn check_directory(&mut self) {
        let now = Instant::now();
        if self.plan.max_size == 0 || now < self.due {
            return;
        }
        if self.directory.as_ref().is_some_and(|directory| !directory.is_gone()) {
            // After an I/O error the next row retries the disk.
            if self.io_error.is_none() {
                self.due = now + RETRY;
            }
            return;
        }
        // Open files can still be read.
        self.present.close(false);
        self.directory = None;
        if let Err(DirectoryError::InUse(why) | DirectoryError::Io(why)) = self.attach() {
            self.fail(why);
        }
    }

    /// Opens the directory, and puts the sessions found there before the present one.
    pub(super) fn attach(&mut self) -> Result<(), DirectoryError> {
        let segments = self.sessions().flat_map(|session| &session.segments);
        let known: HashSet<_> = segments.map(|segment| segment.path.clone()).collect();
        let writers: HashSet<_> = self.sessions().map(|session| session.writer.id).collect();
        let (directory, mut found) = SpoolDirectory::open(&self.plan.directory, &known)?;
        let target = self.present.target.clone().unwrap_or_default();
        other_targets::mark(&self.plan.directory, found.sessions.iter_mut(), &target).map_err(
            |error| DirectoryError::Io(explain("mark segments", &self.plan.directory, &error)),
        )?;
        let before = self.others.len();
        for session in found.sessions {
            // Ours, and not among the known ones: a renamed file.
            if writers.contains(&session.writer.id) {
                continue;
            }
            self.adopt(session, &target);
        }
        self.appended.extend(found.appended);
        self.sent = self.sent.or(found.sent);
        self.ended = found.ended.filter(|ended| !writers.contains(ended));
        for other in other_targets::sum(self.others[before..].iter()) {
            tracing::warn!(
                rows = other.rows,
                bytes = other.bytes,
                target = other.target,
                "mirror: rows for another database stay in the spool until mirror.url names it again; \
                 mirror.spool.other_target = \"deliver\" delivers them to this database, \"drop\" removes them"
            );
        }
        // Never the name of a segment in a directory that is gone.
        self.present.number = found.next_session.max(self.present.number + 1);
        self.directory = Some(directory);
        self.io_error = None;
        self.due = Instant::now() + RETRY;
        Ok(())
    }

    /// Queues an earlier session for delivery, or keeps or drops one for another database.
    fn adopt(&mut self, mut session: Session, target: &str) {
        let rows = session.end() - session.delivered;
        let is_ours = session.target.as_deref().is_some_and(|of| is_same_database(of, target));
        match self.plan.other_target {
            OtherTarget::Keep if !is_ours => self.others.push(session),
            OtherTarget::Drop if !is_ours => {
                let target = session.target.as_deref().unwrap_or_default();
                tracing::warn!(rows, target, "mirror: rows for another database are dropped");
                self.discarded = self.discarded.saturating_add(rows);
                // Files that cannot be removed now are dropped again at the next start.
                let _ = session.pass(session.end(), false);
            }
            OtherTarget::Keep | OtherTarget::Deliver | OtherTarget::Drop => {
                self.recovered = self.recovered.saturating_add(rows);
                let index = self.earlier.partition_point(|other| other.number <= session.number);
                self.earlier.insert(index, session);
            }
        }
    }

    /// Records an I/O error: rows stay in memory until the next attempt.
    pub(super) fn fail(&mut self, why: String) {
        self.io_error = Some(why);
        self.due = Instant::now() + RETRY;
    }
}
