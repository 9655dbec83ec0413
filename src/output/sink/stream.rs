//! Standard output, and connections over TCP, TLS and Unix sockets.

use std::{
    io::{self, Read as _, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::{fd::AsFd, io::Errno, net::RecvFlags};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{Sink, WriteProgress, write_most};
use crate::output::records::Records;

/// Time limit for a connection to one address.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Time after which a receiver that does not read is disconnected.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Where a stream goes.
#[derive(Clone, Debug)]
pub(in crate::output) enum StreamTarget {
    /// Standard output.
    Stdout,
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String, u16),
    /// The same with TLS.
    Tls(String, u16, Option<Arc<ClientConfig>>),
}

/// A connection that is opened again after an error.
pub(in crate::output) struct StreamSink {
    target: StreamTarget,
    /// Written first on each connection.
    header: Vec<u8>,
    connection: Option<Connection>,
}

enum Connection {
    Stdout,
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // Without the buffer of the library, whose content would count as written.
            Self::Stdout => Ok(rustix::io::write(io::stdout(), bytes)?),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Stdout | Self::Unix(_) | Self::Tcp(_) => Ok(()),
        }
    }
}

impl Connection {
    /// Whether the receiver has closed the connection. Rows that are sent afterwards are lost without an error. What the
    /// receiver has sent is discarded.
    fn is_closed(&mut self) -> bool {
        match self {
            Self::Stdout => false,
            Self::Unix(stream) => has_ended(stream),
            Self::Tcp(stream) => has_ended(stream),
            Self::Tls(stream) => has_session_ended(stream),
        }
    }
}

fn has_ended(socket: &impl AsFd) -> bool {
    loop {
        match rustix::net::recv(socket, &mut [0; 1024], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return true,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return error != Errno::AGAIN,
        }
    }
}

/// The same with TLS, whose own messages can be before the end.
fn has_session_ended(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> bool {
    let StreamOwned { conn, sock } = stream;
    if sock.set_nonblocking(true).is_err() {
        return true;
    }
    let has_ended = loop {
        match conn.read_tls(sock) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
        }
        let Ok(state) = conn.process_new_packets() else { break true };
        let received = u64::try_from(state.plaintext_bytes_to_read()).unwrap_or(u64::MAX);
        let discarded = io::copy(&mut conn.reader().take(received), &mut io::sink());
        if state.peer_has_closed() || discarded.is_err() {
            break true;
        }
    };
    has_ended || sock.set_nonblocking(false).is_err()
}

impl StreamSink {
    /// A connection to a target, which begins with `header`.
    pub(in crate::output) fn new(target: StreamTarget, header: Vec<u8>) -> Self {
        Self { target, header, connection: None }
    }

    fn connect(&self) -> io::Result<Connection> {
        let mut connection = match &self.target {
            StreamTarget::Stdout => Connection::Stdout,
            StreamTarget::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(WRITE_LIMIT))?;
                Connection::Unix(stream)
            }
            StreamTarget::Tcp(host, port) => Connection::Tcp(connect_tcp(host, *port)?),
            StreamTarget::Tls(host, port, config) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let config = config.as_ref().ok_or_else(|| io::Error::other("TLS is off"))?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(io::Error::other)?;
                let stream = connect_tcp(host, *port)?;
                stream.set_read_timeout(Some(WRITE_LIMIT))?;
                let mut stream = StreamOwned::new(session, stream);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Connection::Tls(Box::new(stream))
            }
        };
        connection.write_all(&self.header)?;
        Ok(connection)
    }

    fn write_to(connection: &mut Connection, records: &Records) -> WriteProgress {
        let (written, failure) = write_most(connection, records.bytes());
        // The session buffers what it has accepted, so an error leaves the number unknown: the rows are sent again.
        let failure = failure.or_else(|| connection.flush().err());
        let (rows, _) = match connection {
            Connection::Tls(_) if failure.is_some() => (0, 0),
            _ => records.whole(written),
        };
        WriteProgress { written: rows, failure, is_too_long: false }
    }
}

fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_write_timeout(Some(WRITE_LIMIT))?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Sink for StreamSink {
    fn open(&mut self) -> io::Result<()> {
        if self.connection.as_mut().is_some_and(Connection::is_closed) {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connection = Some(self.connect()?);
        }
        Ok(())
    }

    fn write(&mut self, records: &Records) -> WriteProgress {
        if let Err(error) = self.open() {
            return WriteProgress::failed(0, error);
        }
        let Some(connection) = &mut self.connection else { return WriteProgress::default() };
        let progress = Self::write_to(connection, records);
        if progress.failure.is_some() && !matches!(connection, Connection::Stdout) {
            self.connection = None;
        }
        progress
    }
}
