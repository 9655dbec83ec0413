//! Returns the rows to deliver next, and removes those that the database holds.

use super::{
    LastPortion, Portion, RowMark, Spool, io_error::explain, portion_reader::PortionReader,
    position::Position,
};
use crate::mirror::store::Writer;

impl Spool {
    /// The oldest rows that are not delivered; `None` when there are none, or when they cannot be read at the
    /// moment: see [`Self::io_error`].
    ///
    /// Returns the rows of one append, or of several while these are at most `max`. Until [`Self::delivered`] is
    /// called it returns the same rows again, whatever `max` is. The end of a batch that was sent, by
    /// [`Self::note_sent`], is an end also after a restart.
    pub fn next(&mut self, max: usize) -> Option<Portion> {
        self.check_directory();
        let session = self.earlier.front_mut().unwrap_or(&mut self.present);
        let (writer, from) = (session.writer.clone(), session.delivered);
        let again = self
            .last_portion
            .as_ref()
            .filter(|last_portion| last_portion.writer == writer.id && last_portion.to > from);
        let sent = self.sent.filter(|sent| sent.writer == writer.id && sent.end > from);
        let end = sent.map(|sent| sent.end).or(again.map(|last_portion| last_portion.to));
        let (max, limit) = end.map_or((max, u64::MAX), |end| (usize::MAX, end));
        let mut reader = PortionReader::new(from, max, limit);
        match session.read(&mut reader) {
            // Rows in memory come after all rows of this session on disk.
            Ok(true) if self.earlier.is_empty() => self.memory_buffer.read(&mut reader),
            Ok(_) => {}
            Err(error) => {
                self.unreadable = Some(explain("read a segment", &self.plan.directory, &error));
                return None;
            }
        }
        self.unreadable = None;
        let PortionReader { rows, next, since, lost, .. } = reader;
        let portion = match lost {
            None if rows.is_empty() => return None,
            None => Portion { writer, from, to: next, rows, lost: 0, since },
            Some(to) => {
                let since = self.oldest().unwrap_or_default();
                Portion { writer, from, to, rows, lost: to - from, since }
            }
        };
        self.last_portion =
            Some(LastPortion { writer: portion.writer.id, to: portion.to, lost: portion.lost });
        Some(portion)
    }

    /// Notes that the rows of this writer before `to` are about to be sent: if their outcome remains unknown, the same
    /// rows are returned again.
    pub fn note_sent(&mut self, writer: &Writer, to: u64) {
        let sent = RowMark { writer: writer.id, end: to };
        self.sent = Some(sent);
        if let Some(directory) = &mut self.directory
            && let Err(error) = directory.position.write_sent(sent)
        {
            self.io_error = Some(explain("change files", &self.plan.directory, &error));
        }
    }

    /// Whether rows were sent up to here.
    #[must_use]
    pub fn was_sent(&self, writer: &Writer, to: u64) -> bool {
        self.sent == Some(RowMark { writer: writer.id, end: to })
    }

    /// The writer whose rows come next, and the number of its rows that are known to be delivered.
    #[must_use]
    pub fn position(&self) -> (Writer, u64) {
        let session = self.earlier.front().unwrap_or(&self.present);
        (session.writer.clone(), session.delivered)
    }

    /// Whether this is a writer of an earlier session.
    #[must_use]
    pub fn is_earlier(&self, writer: &Writer) -> bool {
        self.earlier.iter().any(|session| session.writer.id == writer.id)
    }

    /// Removes this writer's rows up to this number, which the database holds, even those that were not read yet.
    /// Returns their number, without those that the last portion declared lost once all of it is passed.
    pub fn delivered(&mut self, writer: &Writer, to: u64) -> u64 {
        let earlier = self.earlier.iter().position(|session| session.writer.id == writer.id);
        let is_front = earlier == Some(0) || self.earlier.is_empty();
        let (session, end) = match earlier {
            Some(index) => {
                let session = &mut self.earlier[index];
                let end = session.end();
                (session, end)
            }
            None if writer.id == self.present.writer.id => (&mut self.present, self.next),
            None => return 0,
        };
        let to = to.min(end);
        if to <= session.delivered {
            return 0;
        }
        let passed = to - session.delivered;
        let position = Position { session: session.number, writer: writer.id, delivered: to };
        let mut noted = Ok(());
        if let Some(directory) = self.directory.as_mut().filter(|_| is_front) {
            // Before any file is removed: a session without a position counts from its first file.
            noted = directory.position.write(position);
            directory.unsynced = true;
        }
        let noted = noted.and(session.pass(to, earlier.is_none()));
        match earlier {
            Some(index) if self.earlier[index].segments.is_empty() => {
                self.earlier.remove(index);
            }
            Some(_) => {}
            None => self.memory_buffer.pass(to),
        }
        if let Err(error) = noted {
            self.io_error = Some(explain("change files", &self.plan.directory, &error));
        }
        let last_portion =
            self.last_portion.take_if(|last_portion| last_portion.writer == writer.id);
        passed
            - last_portion
                .filter(|last_portion| to >= last_portion.to)
                .map_or(0, |last_portion| last_portion.lost)
    }
}
