//! A connection of an output: standard output, TCP, TLS or a Unix socket.

use std::{
    io::{self, Read as _, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::AsFd,
    io::Errno,
    net::RecvFlags,
    time::Timespec,
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{WRITE_LIMIT, late};

/// Time limit for a connection to one address.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Time in which a receiver that accepts a connection only to close it does so. With TLS 1.3, it checks the client's
/// certificate after the client's handshake is complete.
const REJECTION_LIMIT: Duration = Duration::from_millis(250);

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

/// An open connection.
pub(super) enum Connection {
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
            Self::Unix(stream) => stream.write(bytes).map_err(late),
            Self::Tcp(stream) => stream.write(bytes).map_err(late),
            Self::Tls(stream) => stream.write(bytes).map_err(late),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush().map_err(late),
            Self::Stdout | Self::Unix(_) | Self::Tcp(_) => Ok(()),
        }
    }
}

impl Connection {
    /// Connects, and waits for a moment in which the receiver can close the connection.
    ///
    /// # Errors
    /// There is no connection, or the receiver closed it.
    pub(super) fn open(target: &StreamTarget) -> io::Result<Self> {
        let began = Instant::now();
        let mut connection = match target {
            StreamTarget::Stdout => return Ok(Self::Stdout),
            StreamTarget::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(WRITE_LIMIT))?;
                Self::Unix(stream)
            }
            StreamTarget::Tcp(host, port) => Self::Tcp(connect_tcp(host, *port)?),
            StreamTarget::Tls(host, port, config) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let config = config.as_ref().ok_or_else(|| io::Error::other("TLS is off"))?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(io::Error::other)?;
                let stream = connect_tcp(host, *port)?;
                stream.set_read_timeout(Some(WRITE_LIMIT))?;
                let mut stream = StreamOwned::new(session, stream);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).map_err(late)?;
                }
                Self::Tls(Box::new(stream))
            }
        };
        // The closing of a distant receiver needs about the time of the connecting.
        connection.wait_for_end(REJECTION_LIMIT.max(began.elapsed()));
        connection.end().map_or(Ok(connection), Err)
    }

    /// Why the connection has ended, if the receiver has closed it. Rows that are sent afterwards are lost without an error.
    /// What the receiver has sent is discarded.
    pub(super) fn end(&mut self) -> Option<io::Error> {
        match self {
            Self::Stdout => None,
            Self::Unix(stream) => end_of_socket(stream),
            Self::Tcp(stream) => end_of_socket(stream),
            Self::Tls(stream) => end_of_session(stream),
        }
    }

    /// Waits until the receiver sends something or closes the connection, at most for this time.
    fn wait_for_end(&self, limit: Duration) {
        let socket = match self {
            Self::Stdout => return,
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
        };
        let limit = Timespec::try_from(limit).ok();
        // After an interruption, the end is found later.
        let _ = poll(&mut [PollFd::new(&socket, PollFlags::IN)], limit.as_ref());
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the receiver closed the connection")
}

fn end_of_socket(socket: &impl AsFd) -> Option<io::Error> {
    loop {
        match rustix::net::recv(socket, &mut [0; 1024], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Some(closed()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return None,
            Err(error) => return Some(error.into()),
        }
    }
}

/// The same with TLS, whose own messages can be before the end.
fn end_of_session(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> Option<io::Error> {
    let StreamOwned { conn, sock } = stream;
    if let Err(error) = sock.set_nonblocking(true) {
        return Some(error);
    }
    let end = loop {
        match conn.read_tls(sock) {
            Ok(0) => break Some(closed()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
            Err(error) => break Some(error),
        }
        let state = match conn.process_new_packets() {
            Ok(state) => state,
            Err(error) => break Some(io::Error::other(error)),
        };
        let received = u64::try_from(state.plaintext_bytes_to_read()).unwrap_or(u64::MAX);
        let discarded = io::copy(&mut conn.reader().take(received), &mut io::sink());
        if state.peer_has_closed() || discarded.is_err() {
            break Some(closed());
        }
    };
    end.or_else(|| sock.set_nonblocking(false).err())
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
