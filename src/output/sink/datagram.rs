//! Datagrams: UDP, Unix sockets, and the journal.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::Duration,
};

use rustix::io::Errno;

use super::{Sink, WRITE_LIMIT, WriteProgress, late};
use crate::output::records::Records;

/// Where datagrams go.
#[derive(Clone, Debug)]
pub(in crate::output) enum DatagramTarget {
    /// A host and a port.
    Udp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
    /// The socket of the journal, with the fields before each message.
    Journal(PathBuf),
}

/// A socket for one datagram for each row.
pub(in crate::output) struct DatagramSink {
    target: DatagramTarget,
    socket: Option<Socket>,
    datagram: Vec<u8>,
    write_limit: Duration,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl DatagramSink {
    pub(in crate::output) fn new(target: DatagramTarget) -> Self {
        Self { target, socket: None, datagram: Vec::new(), write_limit: WRITE_LIMIT }
    }

    fn connect(&self) -> io::Result<Socket> {
        match &self.target {
            DatagramTarget::Udp(host, port) => {
                connect_udp(host, *port, self.write_limit).map(Socket::Udp)
            }
            DatagramTarget::Unix(path) | DatagramTarget::Journal(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(self.write_limit))?;
                Ok(Socket::Unix(socket))
            }
        }
    }

    fn send(&mut self, row: &[u8]) -> io::Result<()> {
        self.open()?;
        let bytes = if matches!(self.target, DatagramTarget::Journal(_)) {
            journal_entry(row, &mut self.datagram);
            &self.datagram
        } else {
            row
        };
        let sent = match &self.socket {
            Some(Socket::Udp(socket)) => socket.send(bytes),
            Some(Socket::Unix(socket)) => socket.send(bytes),
            None => return Ok(()),
        };
        sent.map(drop).map_err(late)
    }
}

/// An entry in the journal's native protocol: fields as `NAME=value`, one a line. The message has no newline.
/// <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>
fn journal_entry(row: &[u8], entry: &mut Vec<u8>) {
    entry.clear();
    entry.extend_from_slice(b"PRIORITY=6\nSYSLOG_IDENTIFIER=nflog_exporter\nMESSAGE=");
    entry.extend_from_slice(row);
    entry.push(b'\n');
}

fn connect_udp(host: &str, port: u16, write_limit: Duration) -> io::Result<UdpSocket> {
    let mut failure = io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let any = match address {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let connect = || {
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            socket.set_write_timeout(Some(write_limit))?;
            Ok(socket)
        };
        match connect() {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Sink for DatagramSink {
    fn open(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            self.socket = Some(self.connect()?);
        }
        Ok(())
    }

    fn write(&mut self, records: &Records) -> WriteProgress {
        let mut progress = WriteProgress::default();
        for row in records.iter() {
            match self.send(row) {
                Ok(()) => progress.written += 1,
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    progress.is_too_long = true;
                    break;
                }
                Err(error) => {
                    self.socket = None;
                    progress.failure = Some(error);
                    break;
                }
            }
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error names the receiver, not a resource of the system.
    #[test]
    fn a_receiver_that_does_not_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let mut sink = DatagramSink::new(DatagramTarget::Unix(path));
        sink.write_limit = Duration::from_millis(20);
        // More than the queue of a socket takes (`net.unix.max_dgram_qlen`, and the bytes of its buffer).
        let error = (0..100_000).find_map(|_| sink.send(&[b'x'; 1_000]).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().starts_with("the receiver did not respond within 10 s; check"));
    }

    #[test]
    fn an_entry_of_the_journal_has_its_fields() {
        let mut entry = b"before".to_vec();
        journal_entry(b"{\"a\":1}", &mut entry);
        let fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=nflog_exporter\nMESSAGE={\"a\":1}\n";
        assert_eq!(String::from_utf8(entry).unwrap(), fields);
    }
}
