//! The targets of rows: files, standard output, connections and datagrams. All of them block, on the output's thread.

mod capture_file;
mod connection;
mod datagram;
mod file;
mod rotation;
mod stream;

use std::{io, time::Duration};

pub(super) use self::{
    capture_file::whole_length,
    connection::StreamTarget,
    datagram::{DatagramSink, DatagramTarget},
    file::{FileContent, FileSink},
    rotation::Rotation,
    stream::StreamSink,
};
use super::records::Records;

/// Time after which a receiver that does not read counts as down.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// A target of rows.
pub(super) trait Sink: Send {
    /// Opens the target, or connects to it, unless it is open.
    ///
    /// # Errors
    /// It cannot be opened now. The call is repeated later.
    fn open(&mut self) -> io::Result<()>;

    /// Writes rows that are not done, from the first one on. Opens the target if needed.
    fn write(&mut self, records: &Records) -> WriteProgress;

    /// Closes the target, because it was renamed or replaced. The default does nothing.
    fn close(&mut self) {}
}

/// What one call of [`Sink::write`] has done.
#[derive(Debug, Default)]
pub(super) struct WriteProgress {
    /// Rows that were written.
    pub(super) written: usize,
    /// Bytes of the next row that the target has accepted and keeps, so that only the rest of it is to be written.
    pub(super) partial: usize,
    /// The row after them is too long for the target.
    pub(super) is_too_long: bool,
    /// Why the next row was not written.
    pub(super) failure: Option<io::Error>,
}

impl WriteProgress {
    /// Rows were written, then there was this error.
    pub(super) fn failed(written: usize, failure: io::Error) -> Self {
        Self { written, failure: Some(failure), ..Self::default() }
    }
}

/// Writes as many bytes as possible. Returns their number, and the error that ended the writing.
pub(super) fn write_most(writer: &mut dyn io::Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

/// The error of a socket whose time limit is over.
fn late(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        let text = format!(
            "the receiver did not respond within {} s; check that it runs and reads as fast as rows come",
            WRITE_LIMIT.as_secs()
        );
        return io::Error::new(io::ErrorKind::TimedOut, text);
    }
    error
}
